#include "fsck/name_scan.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "fsck/fork_walk.h"
#include "fsck/parallel.h"
#include "libfs/base/math.h"
#include "libfs/cli/message.h"

namespace xdax::fsck {
namespace {

// What the entries of one directory mean for the rest.
class EntryCheck final : public DirectorySink {
 public:
  EntryCheck(FileCheck& check, FileView& file, SumGatherer& links, GroupInodes& group, DirectoryRecord& record)
      : check_(check), file_(file), links_(links), group_(group), record_(record), generation_(file.core().gen) {}

  void entry(const DirEntry& entry) override {
    if (is_reserved(entry.ino)) return report(Problem::kEntryFree, entry, "the inode is the filesystem's own");
    const auto found = check_.inodes.find(entry.ino, chunk_);
    if (!found) {
      // Where a tree was not read as a whole, the inode may well exist.
      const std::uint64_t ag = check_.geometry.ag_of(entry.ino).value();
      if (ag < check_.inodes.group_count() && check_.inodes.group(ag).intact) report(Problem::kEntryFree, entry, "");
      return;
    }
    GroupInodes& group = *found->group;
    if (!group.in_use(found->place)) return report(Problem::kEntryFree, entry, "");
    const std::uint8_t marks = group.marks(found->place);
    group.take_link(found->place);
    if ((marks & inode_marks::kRead) != 0) typed(entry, group, found->place, marks);
    if (!check_.geometry.features.parent()) return;
    links_.add(
        check_.geometry.ag_of(entry.ino).value(),
        check_.hash.link(entry.ino.value(), file_.ino.value(), generation_, entry.name.data(), entry.name.size()));
  }

  void parent(InodeNumber ino) override { record_.said = ino; }

 private:
  [[nodiscard]] bool is_reserved(InodeNumber ino) const {
    const Superblock& superblock = check_.superblock;
    return ino == check_.geometry.root_inode || ino.value() == superblock.rbmino || ino.value() == superblock.rsumino;
  }

  void typed(const DirEntry& entry, GroupInodes& group, std::uint32_t place, std::uint8_t marks) {
    const auto type = static_cast<FileType>((marks & inode_marks::kTypeMask) << 12);
    const bool known = dir_file_type_of(type) != DirFileType::kUnknown;
    if (check_.geometry.features.ftype() && known && entry.file_type != dir_file_type_of(type)) {
      report(Problem::kEntryType, entry,
             fmt::format("type {}, the inode's is {}", static_cast<unsigned>(entry.file_type),
                         static_cast<unsigned>(dir_file_type_of(type))));
    }
    if (type != FileType::kDirectory) return;
    // Its ".." is a link of this directory.
    group_.take_link(record_.place);
    DirectoryRecord* child = group.directory(place);
    if (child == nullptr) return;
    note_parent(*child);
  }

  // Several threads may find entries of one directory; the lowest of its parents stays, whoever comes first.
  void note_parent(DirectoryRecord& child) const {
    static_assert(sizeof(InodeNumber) == sizeof(std::uint64_t));
    std::atomic_ref<InodeNumber> slot(child.seen);
    InodeNumber seen = kNullInode;
    while (!slot.compare_exchange_weak(seen, std::min(seen, file_.ino))) {
    }
    if (seen != kNullInode) std::atomic_ref<bool>(child.twice).store(true);
  }

  void report(Problem problem, const DirEntry& entry, const std::string& more) {
    Finding finding = file_.place("directory");
    finding.detail = fmt::format("\"{}\", inode {}{}{}", cli::one_line(std::string(entry.name)), entry.ino.value(),
                                 more.empty() ? "" : ": ", more);
    file_.add(problem, std::move(finding));
  }

  FileCheck& check_;
  FileView& file_;
  SumGatherer& links_;
  GroupInodes& group_;
  DirectoryRecord& record_;
  std::uint32_t generation_;
  std::size_t chunk_ = 0;  ///< of the inode found last
};

// Walks a directory whose inode was read as `request` says.
bool use_directory(const FileCheck& check, const ReadRequest& request, FindingSink& findings, FileView& file,
                   const std::function<void(FileView&, const ForkMap&)>& use) {
  file.inode = request.buffer;
  if (request.error) {
    Finding finding = file.place("inode");
    finding.problem = Problem::kIoUnreadable;
    finding.detail = request.error.message();
    findings.add(std::move(finding));
    return false;
  }
  if (file.core().magic != InodeCore::kMagic || file.core().type() != FileType::kDirectory) return false;
  ForkMap data;
  {
    // The pass over inodes has reported whatever is wrong with the fork.
    NoFindings silence;
    FileView quiet(check.device, check.geometry, silence);
    quiet.ino = file.ino;
    quiet.inode = file.inode;
    MapKeeper keeper(data);
    data.intact = ForkWalk(quiet, Fork::kData, keeper).run().intact;
  }
  use(file, data);
  return true;
}

class NameScan {
 public:
  NameScan(FileCheck& check, FindingSink& findings)
      : check_(check), findings_(findings), links_(check.links), file_(check.device, check.geometry, findings) {
    file_.log_head = check.log_head;
    file_.seed = check.seed;
    file_.memory_bytes = check.memory_bytes / std::max(1u, check.threads);
  }

  // Their inodes are read at once.
  void directories(std::span<const DirectoryRef> refs) {
    const std::size_t inode_bytes = check_.geometry.inode_bytes;
    IoBytes inodes(refs.size() * inode_bytes);
    std::vector<ReadRequest> requests;
    for (std::size_t i = 0; i < refs.size(); ++i) {
      requests.push_back({.offset_bytes = check_.geometry.byte_of(number_of(refs[i])),
                          .buffer = MutableByteSpan(inodes).subspan(i * inode_bytes, inode_bytes),
                          .error = {}});
    }
    check_.device.read_batch(requests);
    for (std::size_t i = 0; i < refs.size(); ++i) one(refs[i], requests[i]);
  }

 private:
  [[nodiscard]] InodeNumber number_of(const DirectoryRef& ref) const {
    return check_.inodes.number(ref.group, check_.inodes.group(ref.group).directories[ref.index].place);
  }

  void one(const DirectoryRef& ref, const ReadRequest& request) {
    GroupInodes& group = check_.inodes.group(ref.group);
    DirectoryRecord& record = group.directories[ref.index];
    const InodeNumber ino = number_of(ref);
    group.take_link(record.place);                                         // "."
    if (ino == check_.geometry.root_inode) group.take_link(record.place);  // its own ".."
    file_.ino = ino;
    const bool read = use_directory(check_, request, findings_, file_, [&](FileView& file, const ForkMap& data) {
      EntryCheck entries(check_, file, links_, group, record);
      if (!check_directory(file, data, entries).complete || !data.intact) check_.incomplete_directories.add(ino);
    });
    if (!read) check_.incomplete_directories.add(ino);
  }

  FileCheck& check_;
  FindingSink& findings_;
  SumGatherer links_;
  FileView file_;
};

}  // namespace

std::vector<DirectoryRef> all_directories(const InodeTable& inodes) {
  std::vector<DirectoryRef> all;
  for (std::uint64_t ag = 0; ag < inodes.group_count(); ++ag) {
    const auto count = static_cast<std::uint32_t>(inodes.group(ag).directories.size());
    for (std::uint32_t i = 0; i < count; ++i) all.push_back({static_cast<std::uint32_t>(ag), i});
  }
  return all;
}

bool read_directory(const FileCheck& check, InodeNumber ino, FindingSink& findings, FileView& file, IoBytes& buffer,
                    const std::function<void(FileView&, const ForkMap&)>& use) {
  buffer.resize(check.geometry.inode_bytes);
  ReadRequest request{.offset_bytes = check.geometry.byte_of(ino), .buffer = buffer, .error = {}};
  check.device.read_batch({&request, 1});
  file.ino = ino;
  return use_directory(check, request, findings, file, use);
}

void scan_names(FileCheck& check, FindingList& findings, const std::function<void()>& step) {
  const std::vector<DirectoryRef> all = all_directories(check.inodes);
  const std::uint64_t per_task = directories_per_task(all.size());
  const std::uint64_t tasks = div_ceil(std::uint64_t{all.size()}, per_task);
  run_tasks(check.threads, tasks, check.findings_limit, findings,
            [&](std::uint64_t task, std::size_t, FindingList& list) {
              NameScan scan(check, list);
              const std::size_t first = static_cast<std::size_t>(task * per_task);
              const std::size_t end = std::min(first + static_cast<std::size_t>(per_task), all.size());
              scan.directories(std::span(all).subspan(first, end - first));
              step();
            });
}

}  // namespace xdax::fsck

#include "fsck/parent_compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string>

#include "fsck/fork_walk.h"
#include "fsck/inode_scan.h"
#include "fsck/name_scan.h"
#include "fsck/parallel.h"
#include "libfs/cli/message.h"

namespace xdax::fsck {
namespace {

struct Link {
  InodeNumber child;
  InodeNumber parent;
  std::uint32_t generation = 0;
  std::string_view name;
};

using LinkUse = std::function<void(const Link& link, std::uint64_t hash)>;

class LinkEntries final : public DirectorySink {
 public:
  LinkEntries(FileCheck& check, FileView& file, std::uint64_t ag, const LinkUse& use)
      : check_(check), file_(file), ag_(ag), use_(use) {}
  void entry(const DirEntry& entry) override {
    const auto found = check_.inodes.find(entry.ino);
    if (!found || check_.geometry.ag_of(entry.ino).value() != ag_ || !found->group->in_use(found->place)) return;
    const Link link{entry.ino, file_.ino, file_.core().gen, entry.name};
    use_(link,
         check_.hash.link(link.child.value(), link.parent.value(), link.generation, link.name.data(), link.name.size())
             .low);
  }
  void parent(InodeNumber) override {}

 private:
  FileCheck& check_;
  FileView& file_;
  std::uint64_t ag_;
  const LinkUse& use_;
};

class LinkPointers final : public AttributeSink {
 public:
  LinkPointers(const FileCheck& check, InodeNumber child, const LinkUse& use)
      : check_(check), child_(child), use_(use) {}
  void parent_pointer(const AttrEntry& entry) override {
    const auto& pointer = view<ParentPointer>(entry.value);
    const Link link{child_, InodeNumber(pointer.ino), pointer.gen, entry.name};
    use_(link,
         check_.hash.link(link.child.value(), link.parent.value(), link.generation, link.name.data(), link.name.size())
             .low);
  }

 private:
  const FileCheck& check_;
  InodeNumber child_;
  const LinkUse& use_;
};

// One group, in slices of the hashes so that the lists stay within the memory allowed.
class ParentComparison {
 public:
  ParentComparison(FileCheck& check, std::uint64_t ag, FindingList& findings)
      : check_(check), ag_(ag), findings_(findings) {}

  void run() {
    constexpr std::uint64_t kBytesPerLink = 16;
    const std::uint64_t fits = std::max<std::uint64_t>(check_.memory_bytes / kBytesPerLink, 1024);
    const std::uint64_t slices = check_.links.count(ag_) / fits + 1;
    for (std::uint64_t slice = 0; slice < slices; ++slice) {
      const auto inside = [&](std::uint64_t hash) { return hash % slices == slice; };
      std::vector<std::uint64_t> entries;
      std::vector<std::uint64_t> pointers;
      each_entry([&](const Link&, std::uint64_t hash) {
        if (inside(hash)) entries.push_back(hash);
      });
      each_pointer([&](const Link&, std::uint64_t hash) {
        if (inside(hash)) pointers.push_back(hash);
      });
      std::sort(entries.begin(), entries.end());
      std::sort(pointers.begin(), pointers.end());
      std::vector<std::uint64_t> missing;
      std::vector<std::uint64_t> stale;
      std::set_difference(entries.begin(), entries.end(), pointers.begin(), pointers.end(),
                          std::back_inserter(missing));
      std::set_difference(pointers.begin(), pointers.end(), entries.begin(), entries.end(), std::back_inserter(stale));
      name(missing, stale);
    }
  }

 private:
  void name(const std::vector<std::uint64_t>& missing, const std::vector<std::uint64_t>& stale) {
    if (!missing.empty()) {
      each_entry([&](const Link& link, std::uint64_t hash) {
        if (!std::binary_search(missing.begin(), missing.end(), hash)) return;
        if (!check_.incomplete_attributes.contains(link.child.value())) report(Problem::kParentMissing, link);
      });
    }
    if (stale.empty()) return;
    each_pointer([&](const Link& link, std::uint64_t hash) {
      if (!std::binary_search(stale.begin(), stale.end(), hash)) return;
      if (!check_.incomplete_directories.contains(link.parent.value())) report(Problem::kParentStale, link);
    });
  }

  void report(Problem problem, const Link& link) {
    Finding finding;
    finding.problem = problem;
    finding.structure = "parent pointer";
    finding.group = static_cast<std::uint32_t>(ag_);
    finding.inode = link.child.value();
    finding.byte = check_.geometry.byte_of(link.child);
    finding.detail = fmt::format("\"{}\" in inode {} of generation {}", cli::one_line(std::string(link.name)),
                                 link.parent.value(), link.generation);
    findings_.add(std::move(finding));
  }

  void each_entry(const LinkUse& use) {
    NoFindings silence;
    FileView file(check_.device, check_.geometry, silence);
    IoBytes buffer;
    for (const DirectoryRef& ref : all_directories(check_.inodes)) {
      const GroupInodes& group = check_.inodes.group(ref.group);
      const InodeNumber ino = check_.inodes.number(ref.group, group.directories[ref.index].place);
      read_directory(check_, ino, silence, file, buffer, [&](FileView& view, const ForkMap& data) {
        LinkEntries sink(check_, view, ag_, use);
        static_cast<void>(check_directory(view, data, sink));
      });
    }
  }

  void each_pointer(const LinkUse& use) {
    NoFindings silence;
    FileView file(check_.device, check_.geometry, silence);
    const auto chunks = static_cast<std::uint32_t>(check_.inodes.group(ag_).chunks.size());
    for_each_known_inode(check_, {static_cast<std::uint32_t>(ag_), 0, chunks}, [&](InodeNumber ino, ByteSpan bytes) {
      file.ino = ino;
      file.inode = bytes;
      if (file.core().forkoff == 0) return;
      ForkMap attr;
      MapKeeper keeper(attr);
      attr.intact = ForkWalk(file, Fork::kAttr, keeper).run().intact;
      LinkPointers sink(check_, ino, use);
      static_cast<void>(check_attributes(file, attr, sink));
    });
  }

  FileCheck& check_;
  std::uint64_t ag_;
  FindingList& findings_;
};

}  // namespace

void compare_parents(FileCheck& check, FindingList& findings, SkippedChecks& skipped) {
  for (std::uint64_t ag = 0; ag < check.inodes.group_count(); ++ag) {
    if (!check.inodes.group(ag).intact) {
      skipped.add(CrossCheck::kParents);
      continue;
    }
    if (check.links.sum(ag) == check.parents.sum(ag)) continue;
    const std::uint64_t before = findings.total();
    ParentComparison(check, ag, findings).run();
    // As with extents: a difference that cannot be shown is still one.
    if (findings.total() == before) skipped.add(CrossCheck::kParents);
  }
}

}  // namespace xdax::fsck

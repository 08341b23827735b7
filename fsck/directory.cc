// The check of a directory's content: which form it has, its entries, and the index over them.

#include <algorithm>
#include <string>

#include <fmt/format.h>

#include "fsck/contents.h"
#include "fsck/da_walk.h"
#include "fsck/directory_index.h"
#include "fsck/flaw_findings.h"
#include "libfs/cli/message.h"
#include "libfs/format/da_hash.h"
#include "libfs/format/dir_data.h"
#include "libfs/format/dir_shortform.h"

namespace xdax::fsck {
namespace {

constexpr std::uint64_t kEveryKey = ~0ull;

class DirectoryCheck {
 public:
  DirectoryCheck(FileView& file, const ForkMap& data, DirectorySink& sink)
      : file_(file),
        data_(data),
        sink_(sink),
        regions_(DirRegions::of(file.geometry)),
        block_length_(1u << file.geometry.dir_block_log),
        identity_(file, da_problems(Fork::kData)),
        entries_(file.seed) {}

  ContentReport run() {
    if (data_.overlaps_on_disk()) {
      // A block read for each place that maps it would be work without end.
      file_.add(Problem::kDirRevisited, file_.place("directory"));
      return {.complete = false};
    }
    report_.complete = data_.intact;
    size();
    const bool indexed = data_.end_block() > regions_.leaf.value();
    if (indexed) {
      with_index();
    } else {
      block_form();
    }
    if (identity_.abandoned()) report_.complete = false;
    return report_;
  }

 private:
  // File blocks that hold entries, as the extents say.
  [[nodiscard]] std::uint64_t entries_end() const {
    std::uint64_t end = 0;
    for (const Extent& extent : data_.extents) {
      if (extent.file_block < regions_.leaf) {
        end = std::min(extent.file_block.value() + extent.length_blocks, regions_.leaf.value());
      }
    }
    return end;
  }

  void size() {
    const std::uint64_t end = entries_end();
    const std::uint64_t found = file_.core().size;
    if (data_.intact && found != end << file_.geometry.block_log) {
      Finding finding = file_.place("directory");
      finding.field = "inode.size";
      finding.found = found;
      finding.expected = end << file_.geometry.block_log;
      file_.add(Problem::kDirSize, std::move(finding));
    }
    if (!data_.extents.empty() && data_.end_block() > regions_.past_end.value()) {
      Finding finding = file_.place("directory");
      finding.found = data_.end_block() - 1;
      finding.expected = regions_.past_end.value() - 1;
      finding.detail = "a file block past what a directory may have";
      file_.add(Problem::kDirStray, std::move(finding));
    }
  }

  void hole(std::uint64_t at) {
    report_.complete = false;
    if (!data_.intact) return;  // it may be among the extents that were not found
    Finding finding = file_.place("directory");
    finding.found = at;
    finding.detail = "a block of entries";
    file_.add(Problem::kDirHole, std::move(finding));
  }

  void block_form() {
    const std::uint64_t end = entries_end();
    if (end > block_length_) {
      // Several blocks of entries and no index over them: the entries are still worth having.
      all_blocks(DirDataForm::kData);
      Finding finding = file_.place("directory");
      finding.detail = "its index";
      finding.found = regions_.leaf.value();
      if (data_.intact) file_.add(Problem::kDirHole, std::move(finding));
      report_.complete = false;
      return;
    }
    if (end == 0) return hole(0);
    all_blocks(DirDataForm::kBlock);
  }

  void with_index() {
    all_blocks(DirDataForm::kData);
    IndexSum index(file_.seed);
    const bool whole = check_directory_index(file_, data_, identity_, known_, index);
    if (!whole || !known_.entries_known || !data_.intact) {
      report_.complete = report_.complete && known_.entries_known && data_.intact;
      return;
    }
    if (index.sum() != entries_.sum()) explain(std::max(index.count(), entries_.count()));
  }

  // Every block of entries that is mapped, in order.
  void all_blocks(DirDataForm form) {
    ForkReader reader(file_, data_, "directory");
    std::uint64_t next = 0;
    for (const Extent& extent : data_.extents) {
      if (extent.file_block >= regions_.leaf) break;
      const std::uint64_t end = std::min(extent.file_block.value() + extent.length_blocks, regions_.leaf.value());
      std::uint64_t at = std::max(extent.file_block.value() / block_length_ * block_length_, next);
      for (; at < end && !identity_.abandoned(); at += block_length_) one_block(reader, form, FileBlock(at));
      next = std::max(next, at);
    }
    if (!dots_complete_ && known_.entries_known) file_.add(Problem::kDirDot, file_.place("directory"));
  }

  void one_block(ForkReader& reader, DirDataForm form, FileBlock at) {
    known_.blocks.push_back({.number = static_cast<std::uint32_t>(at.value() / block_length_)});
    const auto piece = reader.read(at, block_length_);
    if (!piece) {
      known_.entries_known = false;
      if (reader.mapped(at, block_length_)) {
        report_.complete = false;  // it cannot be read, which was said
      } else {
        hole(at.value());
      }
      return;
    }
    const Flaws flaws = verify_dir_data(piece->bytes, file_.geometry, form,
                                        {.owner = file_.ino, .block = piece->first, .file_block = at});
    const Finding where = file_.place("directory", piece->first);
    if (!flaws.empty()) add_flaws(file_.findings, flaws, where, "dir");
    const auto& header = view<DirDataHeader>(piece->bytes);
    if (!identity_.own(flaws)) {
      known_.entries_known = false;
      report_.complete = false;
      return;
    }
    if (!flaws.has(FlawKind::kChecksum)) file_.check_stamp(header.info.lsn, where);
    if (flaws.empty()) known_.blocks.back().best = header.best_free[0].length;
    items(piece->bytes, form, at, flaws);
    if (form == DirDataForm::kBlock) block_duplicates(piece->bytes);
  }

  void items(ByteSpan bytes, DirDataForm form, FileBlock at, const Flaws& flaws) {
    const Geometry& geometry = file_.geometry;
    DirDataCursor cursor(bytes, form, geometry.features.ftype());
    const std::uint64_t base = (at.value() << geometry.block_log) / kDirAlignBytes;
    unsigned dots = 0;
    while (cursor.next()) {
      const DirDataItem& item = cursor.item();
      if (!item.is_entry) continue;
      const DirEntry& entry = item.entry;
      if (form == DirDataForm::kData) {
        entries_.add(dir_name_hash(entry.name, geometry.features),
                     static_cast<std::uint32_t>(base + item.at_bytes / kDirAlignBytes));
      }
      if (entry.name == ".") {
        ++dots;
      } else if (entry.name == "..") {
        ++dots;
        if (geometry.valid_inode(entry.ino)) sink_.parent(entry.ino);
      } else if (flaws.empty() || geometry.valid_inode(entry.ino)) {
        sink_.entry(entry);
      }
    }
    if (at == FileBlock(0)) dots_complete_ = dots >= 2;
    if (cursor.broken()) {
      known_.entries_known = false;
      report_.complete = false;
    }
  }

  void block_duplicates(ByteSpan bytes) {
    DuplicateNames duplicates(file_, data_);
    std::vector<DirLeafEntry> index;
    for (const DirLeafEntry& entry : dir_block_index(bytes)) {
      if (!entry.stale()) index.push_back(entry);
    }
    for (const DirLeafEntry& entry : index) duplicates.add(entry.hashval, entry.address);
  }

  // The sums differ: both sides are read again, collected, and compared, as much at a time as memory allows.
  void explain(std::uint64_t count) {
    constexpr std::uint64_t kMostWindows = 1024;
    const std::uint64_t fits = std::max<std::uint64_t>(file_.memory_bytes / (2 * LeastKeys::bytes(1)), kMostWindows);
    const auto limit = static_cast<std::size_t>(std::max(fits, count / kMostWindows));
    bool explained = false;
    const auto found = [&](Problem problem, std::uint64_t key, std::uint64_t times) {
      explained = true;
      for (std::uint64_t i = 0; i < times; ++i) report(problem, key);
    };
    for (std::uint64_t from = 0, until = 0; until != kEveryKey; from = until + 1) {
      NoSink silence;
      FileView quiet(file_.device, file_.geometry, silence);
      quiet.ino = file_.ino;
      quiet.inode = file_.inode;
      NoEntries nobody;
      DirectoryCheck again(quiet, data_, nobody);
      LeastKeys entries(from, kEveryKey, limit);
      again.entries_.collect = &entries;
      again.all_blocks(DirDataForm::kData);
      const auto& named = entries.settle();
      LeastKeys index(from, entries.until(), limit);
      IndexSum sum(0);
      sum.collect = &index;
      check_directory_index(quiet, data_, again.identity_, again.known_, sum);
      const auto& indexed = index.settle();
      until = index.until();
      compare_counts(
          named, indexed, until,
          [&](std::uint64_t key, std::uint64_t times) { found(Problem::kDirIndexMissing, key, times); },
          [&](std::uint64_t key, std::uint64_t times) { found(Problem::kDirIndexStale, key, times); });
    }
    // They differed a moment ago: what is read changes, and nothing can be said of it.
    if (!explained) report_.complete = false;
  }

  void report(Problem problem, std::uint64_t key) {
    Finding finding = file_.place("directory");
    finding.detail =
        fmt::format("hash {:#x} at byte {} of the directory", key >> 32, (key & 0xffffffffu) * kDirAlignBytes);
    file_.add(problem, std::move(finding));
  }

  class NoSink final : public FindingSink {
   public:
    void add(Finding) override {}
  };
  class NoEntries final : public DirectorySink {
   public:
    void entry(const DirEntry&) override {}
    void parent(InodeNumber) override {}
  };

  FileView& file_;
  const ForkMap& data_;
  DirectorySink& sink_;
  DirRegions regions_;
  std::uint32_t block_length_;
  Identity identity_;
  IndexSum entries_;
  DirectoryIndex known_;
  ContentReport report_;
  bool dots_complete_ = false;
};

// The few entries inside an inode.
ContentReport check_shortform(FileView& file, DirectorySink& sink) {
  const ByteSpan fork = fork_bytes(file.inode, Fork::kData);
  // verify_inode() has reported a size past the fork.
  const ByteSpan content = fork.first(std::min<std::size_t>(static_cast<std::size_t>(file.core().size), fork.size()));
  const Geometry& geometry = file.geometry;
  const Flaws flaws = verify_dir_shortform(content, geometry);
  Finding where = file.place("directory");
  *where.byte += fork_area(file.core(), geometry.inode_bytes, Fork::kData).offset_bytes;
  if (!flaws.empty()) add_flaws(file.findings, flaws, where, "dir");
  DirShortformCursor cursor(content, geometry.features.ftype());
  if (cursor.parent() && geometry.valid_inode(*cursor.parent())) sink.parent(*cursor.parent());
  std::vector<std::string_view> names;
  while (const auto entry = cursor.next()) {
    if (std::find(names.begin(), names.end(), entry->name) != names.end()) {
      Finding finding = where;
      finding.detail = fmt::format("\"{}\"", cli::one_line(std::string(entry->name)));
      file.add(Problem::kDirDuplicate, std::move(finding));
    }
    names.push_back(entry->name);
    const bool dots = entry->name == "." || entry->name == "..";
    if (!dots && geometry.valid_inode(entry->ino)) sink.entry(*entry);
  }
  return {.complete = !cursor.broken() && cursor.parent().has_value()};
}

}  // namespace

ContentReport check_directory(FileView& file, const ForkMap& data, DirectorySink& sink) {
  switch (fork_format(file.core(), Fork::kData)) {
    case ForkFormat::kLocal:
      return check_shortform(file, sink);
    case ForkFormat::kExtents:
    case ForkFormat::kBtree:
      return DirectoryCheck(file, data, sink).run();
    default:
      return {.complete = false};
  }
}

}  // namespace xdax::fsck

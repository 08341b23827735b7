#include "fsck/inode_scan.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <optional>

#include "fsck/contents.h"
#include "fsck/flaw_findings.h"
#include "fsck/parallel.h"
#include "libfs/format/btree_records.h"

namespace xdax::fsck {
namespace {

constexpr std::uint32_t kBatchBytes = 256u << 10;

// A run of inodes of one chunk that exist, and where it was read to.
struct Run {
  std::uint32_t place = 0;
  std::uint32_t count = 0;
  std::size_t at_bytes = 0;
};

// The parts of a chunk that exist: whole blocks where blocks are smaller than a chunk, so that a hole is not read.
void append_runs(const FileCheck& check, const ChunkPlace& chunk, std::uint32_t place, std::vector<Run>& runs) {
  const std::uint64_t existing = chunk.existing_mask();
  for (std::uint32_t i = 0; i < limits::kInodesPerChunk;) {
    if ((existing >> i & 1) == 0) {
      ++i;
      continue;
    }
    const auto length = static_cast<std::uint32_t>(std::countr_one(existing >> i));
    const std::size_t at =
        runs.empty() ? 0 : runs.back().at_bytes + (std::size_t{runs.back().count} << check.geometry.inode_log);
    runs.push_back({place + i, length, at});
    i += length;
  }
}

// Adds what a fork maps to the sums, and keeps the map where it is wanted.
class ExtentGatherer final : public ExtentSink {
 public:
  ExtentGatherer(const FileCheck& check, SumGatherer& owned, SumGatherer& covered, FileView& file, Fork fork)
      : check_(check), owned_(owned), covered_(covered), file_(file), fork_(fork) {}

  /// Null: nothing is kept.
  ForkMap* keep = nullptr;

  void extent(const Extent& extent) override {
    add(owned_extent(check_.geometry, file_.ino, fork_, extent), check_.geometry.ag_of(extent.start));
    if (keep != nullptr) keep->extents.push_back(extent);
    if (fork_ != Fork::kData) return;
    check_shared(extent);
    if (extent.unwritten) return;
    written_end_ = extent.file_block.value() + extent.length_blocks;
  }
  void tree_block(FsBlock block) override {
    add(owned_tree_block(check_.geometry, file_.ino, fork_, block), check_.geometry.ag_of(block));
  }
  /// One past the last file block that is written.
  [[nodiscard]] std::uint64_t written_end() const { return written_end_; }

 private:
  void add(const OwnedExtent& extent, AgNumber ag) {
    if (ag.value() >= check_.owned.groups()) return;  // in a group that is not on the device: said already
    // Only the sum that there is something to compare with.
    const GroupFacts& facts = check_.facts[ag.value()];
    if (facts.owned) {
      owned_.add(ag.value(), check_.hash.owned(extent));
    } else if (facts.covered) {
      covered_.add(ag.value(), check_.hash.covered(extent.start, extent.length));
    }
  }

  // A file that is not marked writes in place, which would change the other owners.
  void check_shared(const Extent& extent) {
    if (file_.core().reflink() || !check_.geometry.features.reflink()) return;
    const std::uint64_t ag = check_.geometry.ag_of(extent.start).value();
    if (ag >= check_.facts.size()) return;
    const std::vector<Interval>& shared = check_.facts[static_cast<std::size_t>(ag)].shared;
    if (shared.empty()) return;
    const std::uint32_t start = check_.geometry.ag_block_of(extent.start).value();
    const auto after = std::partition_point(shared.begin(), shared.end(),
                                            [start](const Interval& each) { return each.end() <= start; });
    if (after == shared.end() || after->start >= std::uint64_t{start} + extent.length_blocks) return;
    Finding finding = file_.place("inode", extent.start);
    finding.length_blocks = extent.length_blocks;
    finding.detail = fmt::format("file block {}", extent.file_block.value());
    file_.add(Problem::kInodeReflink, std::move(finding));
  }

  const FileCheck& check_;
  SumGatherer& owned_;
  SumGatherer& covered_;
  FileView& file_;
  Fork fork_;
  std::uint64_t written_end_ = 0;
};

// Gathers the parent pointers of one file.
class ParentGatherer final : public AttributeSink {
 public:
  ParentGatherer(const FileCheck& check, SumGatherer& parents, InodeNumber child)
      : check_(check), parents_(parents), child_(child) {}
  void parent_pointer(const AttrEntry& entry) override {
    const auto& pointer = view<ParentPointer>(entry.value);
    parents_.add(check_.geometry.ag_of(child_).value(),
                 check_.hash.link(child_.value(), pointer.ino, pointer.gen, entry.name.data(), entry.name.size()));
  }

 private:
  const FileCheck& check_;
  SumGatherer& parents_;
  InodeNumber child_;
};

class InodeScan {
 public:
  InodeScan(FileCheck& check, FindingSink& findings, const ChunkRange& range)
      : check_(check),
        findings_(findings),
        range_(range),
        inodes_(check.inodes.group(range.group)),
        owned_(check.owned),
        covered_(check.covered),
        parents_(check.parents),
        file_(check.device, check.geometry, findings) {
    file_.log_head = check.log_head;
    file_.seed = check.seed;
  }

  std::vector<DirectoryRecord> run() {
    for_each_inode(
        check_, range_,
        [this](std::uint32_t place, ByteSpan bytes) {
          for (; !bytes.empty(); bytes = bytes.subspan(check_.geometry.inode_bytes), ++place) {
            inode(place, bytes.first(check_.geometry.inode_bytes));
          }
        },
        [this](std::uint32_t place, const std::error_code& error) { unreadable(place, error); });
    return std::move(directories_);
  }

 private:
  void unreadable(std::uint32_t place, const std::error_code& error) {
    file_.ino = check_.inodes.number(range_.group, place);
    Finding finding = file_.place("inode");
    finding.detail = error.message();
    file_.add(Problem::kIoUnreadable, std::move(finding));
    nothing_known(place);
  }

  void nothing_known(std::uint32_t place) {
    if (!inodes_.in_use(place)) return;
    check_.incomplete_extents.add(file_.ino);
    check_.incomplete_directories.add(file_.ino);
    check_.incomplete_attributes.add(file_.ino);
  }

  void inode(std::uint32_t place, ByteSpan bytes) {
    file_.ino = check_.inodes.number(range_.group, place);
    file_.inode = bytes;
    const Flaws flaws = verify_inode(bytes, check_.geometry, {.ino = file_.ino});
    if (!flaws.empty()) add_flaws(findings_, flaws, file_.place("inode"));
    if (flaws.has(FlawKind::kMagic)) return nothing_known(place);
    const InodeCore& core = file_.core();
    if (file_.stamped_ahead(core.lsn) && !flaws.has(FlawKind::kChecksum) && !core_is_foreign(flaws)) {
      file_.check_stamp(core.lsn, file_.place("inode"));
    }
    const bool in_use = inodes_.in_use(place);
    if (core.allocated() != in_use) {
      file_.add(in_use ? Problem::kInodeFree : Problem::kInodeAllocated, file_.place("inode"));
      return nothing_known(place);
    }
    if (!in_use) return;
    if (core_is_foreign(flaws)) return nothing_known(place);
    note(place, core);
    forks(flaws);
  }

  static bool core_is_foreign(const Flaws& flaws) {
    return flaws.has(FlawKind::kSelfAddress) || flaws.has(FlawKind::kUuid) || flaws.has(FlawKind::kVersion);
  }

  void note(std::uint32_t place, const InodeCore& core) {
    std::uint8_t marks = inode_marks::kRead | static_cast<std::uint8_t>(core.mode >> 12);
    if (core.nlink == 0) marks |= inode_marks::kNoLinks;
    if (core.nlink == limits::kPinnedLinks) marks |= inode_marks::kPinned;
    inodes_.add_marks(place, marks);
    inodes_.set_links(place, core.nlink);
    if (core.type() == FileType::kDirectory) directories_.push_back({.place = place});
  }

  // Flaws that make what the fork walk finds less than there is.
  static bool hides_extents(const Flaws& flaws) {
    return flaws.total() > flaws.size() || flaws.has(FlawKind::kCount) || flaws.has(FlawKind::kPointer) ||
           flaws.has(FlawKind::kOrder) || flaws.has(FlawKind::kLevel) || flaws.has(FlawKind::kRange) ||
           flaws.has(FlawKind::kConsistency);
  }

  void forks(const Flaws& flaws) {
    const InodeCore& core = file_.core();
    data_.extents.clear();
    attr_.extents.clear();
    ForkSummary data;
    ForkSummary attr;
    {
      ExtentGatherer gatherer(check_, owned_, covered_, file_, Fork::kData);
      if (keeps_data(core)) gatherer.keep = &data_;
      data = ForkWalk(file_, Fork::kData, gatherer).run();
      written_size(gatherer, core);
    }
    if (core.forkoff != 0) {
      ExtentGatherer gatherer(check_, owned_, covered_, file_, Fork::kAttr);
      gatherer.keep = &attr_;
      attr = ForkWalk(file_, Fork::kAttr, gatherer).run();
    }
    data_.intact = data.intact;
    attr_.intact = attr.intact;
    counts(core, data, attr);
    if (!data.intact || !attr.intact || hides_extents(flaws)) check_.incomplete_extents.add(file_.ino);
    if (core.type() == FileType::kSymlink && fork_format(core, Fork::kData) != ForkFormat::kLocal) {
      static_cast<void>(check_symlink(file_, data_));
    }
    if (const auto type = quota_type()) static_cast<void>(check_quota_records(file_, data_, *type));
    if (core.forkoff == 0) return;
    ParentGatherer gatherer(check_, parents_, file_.ino);
    if (!check_attributes(file_, attr_, gatherer).complete) check_.incomplete_attributes.add(file_.ino);
  }

  [[nodiscard]] bool keeps_data(const InodeCore& core) const {
    return core.type() == FileType::kSymlink || quota_type().has_value();
  }

  [[nodiscard]] std::optional<DquotType> quota_type() const {
    const Superblock& superblock = check_.superblock;
    if (file_.ino == check_.geometry.root_inode) return std::nullopt;
    if (file_.ino.value() == superblock.uquotino) return DquotType::kUser;
    if (file_.ino.value() == superblock.gquotino) return DquotType::kGroup;
    if (file_.ino.value() == superblock.pquotino) return DquotType::kProject;
    return std::nullopt;
  }

  // Space allocated ahead is unwritten. A crash in the middle of a truncation leaves written blocks behind the end,
  // since the size is changed first, and a mount leaves them there until the file is used; so it is no more than worth
  // knowing. So does a mapping that writes to memory directly, when a crash comes before the size is changed.
  void written_size(const ExtentGatherer& gatherer, const InodeCore& core) {
    if (core.type() != FileType::kRegular || (core.flags2 & inode_flags2::kDax) != 0) return;
    const std::uint64_t end = gatherer.written_end();
    const std::uint64_t size = core.size;
    const std::uint64_t size_blocks =
        (size >> check_.geometry.block_log) + ((size & (check_.geometry.block_bytes - 1)) != 0 ? 1 : 0);
    if (end <= size_blocks) return;
    Finding finding = file_.place("inode");
    finding.field = "inode.size";
    finding.found = size;
    finding.detail = fmt::format("written up to file block {}", end - 1);
    file_.add(Problem::kInodeSize, std::move(finding));
  }

  void counts(const InodeCore& core, const ForkSummary& data, const ForkSummary& attr) {
    if (!data.intact || !attr.intact) return;
    const bool trees = fork_format(core, Fork::kData) == ForkFormat::kBtree ||
                       (core.forkoff != 0 && fork_format(core, Fork::kAttr) == ForkFormat::kBtree);
    if (!trees) return;  // verify_inode() counts what lies in the inode
    const auto compare = [&](Problem problem, const char* field, std::uint64_t found, std::uint64_t expected) {
      if (found == expected) return;
      Finding finding = file_.place("inode");
      finding.field = field;
      finding.found = found;
      finding.expected = expected;
      finding.detail = field;
      file_.add(problem, std::move(finding));
    };
    compare(Problem::kInodeExtents, "inode.nextents", data_extent_count(core), data.extents);
    if (core.forkoff != 0) compare(Problem::kInodeExtents, "inode.anextents", attr_extent_count(core), attr.extents);
    compare(Problem::kInodeBlocks, "inode.nblocks", core.nblocks,
            data.data_blocks + data.tree_blocks + attr.data_blocks + attr.tree_blocks);
  }

  FileCheck& check_;
  FindingSink& findings_;
  const ChunkRange& range_;
  GroupInodes& inodes_;
  SumGatherer owned_;
  SumGatherer covered_;
  SumGatherer parents_;
  FileView file_;
  ForkMap data_;
  ForkMap attr_;
  std::vector<DirectoryRecord> directories_;
};

}  // namespace

std::vector<ChunkRange> chunk_ranges(const InodeTable& inodes) {
  std::vector<ChunkRange> ranges;
  for (std::uint64_t ag = 0; ag < inodes.group_count(); ++ag) {
    const auto chunks = static_cast<std::uint32_t>(inodes.group(ag).chunks.size());
    for (std::uint32_t first = 0; first < chunks; first += kChunksPerTask) {
      ranges.push_back({static_cast<std::uint32_t>(ag), first, std::min(kChunksPerTask, chunks - first)});
    }
  }
  return ranges;
}

void for_each_inode(const FileCheck& check, const ChunkRange& range,
                    const std::function<void(std::uint32_t place, ByteSpan bytes)>& use,
                    const std::function<void(std::uint32_t place, const std::error_code& error)>& lost) {
  const GroupInodes& inodes = check.inodes.group(range.group);
  const AgNumber ag(range.group);
  const std::uint32_t inode_bytes = check.geometry.inode_bytes;
  const std::uint32_t batch = std::max(1u, kBatchBytes / (inode_bytes * limits::kInodesPerChunk));
  IoBytes buffer;
  std::vector<Run> runs;
  std::vector<ReadRequest> requests;
  for (std::uint32_t first = 0; first < range.count; first += batch) {
    runs.clear();
    requests.clear();
    const std::uint32_t end = std::min(first + batch, range.count);
    for (std::uint32_t i = first; i < end; ++i) {
      append_runs(check, inodes.chunks[range.first + i], (range.first + i) * limits::kInodesPerChunk, runs);
    }
    if (runs.empty()) continue;
    buffer.resize(runs.back().at_bytes + std::size_t{runs.back().count} * inode_bytes);
    for (const Run& run : runs) {
      const std::uint64_t byte = check.geometry.byte_of(check.geometry.inode_number(ag, inodes.inode_at(run.place)));
      const std::size_t bytes = std::size_t{run.count} * inode_bytes;
      ReadRequest* last = requests.empty() ? nullptr : &requests.back();
      if (last != nullptr && last->offset_bytes + last->buffer.size() == byte) {
        last->buffer = MutableByteSpan(last->buffer.data(), last->buffer.size() + bytes);
      } else {
        requests.push_back(
            {.offset_bytes = byte, .buffer = MutableByteSpan(buffer).subspan(run.at_bytes, bytes), .error = {}});
      }
    }
    check.device.read_batch(requests);
    const bool whole = std::none_of(requests.begin(), requests.end(), [](const ReadRequest& r) { return !!r.error; });
    for (const Run& run : runs) {
      if (whole) {
        use(run.place, ByteSpan(buffer).subspan(run.at_bytes, std::size_t{run.count} * inode_bytes));
        continue;
      }
      // A sector of the batch is bad: each inode by itself, so that it costs no more than it holds.
      for (std::uint32_t i = 0; i < run.count; ++i) {
        const std::uint32_t place = run.place + i;
        const MutableByteSpan bytes =
            MutableByteSpan(buffer).subspan(run.at_bytes + std::size_t{i} * inode_bytes, inode_bytes);
        ReadRequest single{
            .offset_bytes = check.geometry.byte_of(check.geometry.inode_number(ag, inodes.inode_at(place))),
            .buffer = bytes,
            .error = {}};
        check.device.read_batch({&single, 1});
        if (single.error) {
          lost(place, single.error);
        } else {
          use(place, bytes);
        }
      }
    }
  }
}

void for_each_known_inode(const FileCheck& check, const ChunkRange& range,
                          const std::function<void(InodeNumber ino, ByteSpan bytes)>& use) {
  const GroupInodes& inodes = check.inodes.group(range.group);
  const std::size_t inode_bytes = check.geometry.inode_bytes;
  for_each_inode(
      check, range,
      [&](std::uint32_t place, ByteSpan bytes) {
        for (; !bytes.empty(); bytes = bytes.subspan(inode_bytes), ++place) {
          const bool known = inodes.in_use(place) && (inodes.marks(place) & inode_marks::kRead) != 0;
          if (known) use(check.inodes.number(range.group, place), bytes.first(inode_bytes));
        }
      },
      [](std::uint32_t, const std::error_code&) {});
}

OwnedExtent owned_extent(const Geometry& geometry, InodeNumber owner, Fork fork, const Extent& extent) {
  std::uint64_t offset = extent.file_block.value();
  if (fork == Fork::kAttr) offset |= rmap::kAttrFork;
  if (extent.unwritten) offset |= rmap::kUnwritten;
  return {geometry.ag_block_of(extent.start).value(), extent.length_blocks, owner.value(), offset};
}

OwnedExtent owned_tree_block(const Geometry& geometry, InodeNumber owner, Fork fork, FsBlock block) {
  std::uint64_t offset = rmap::kBmapBlock;
  if (fork == Fork::kAttr) offset |= rmap::kAttrFork;
  return {geometry.ag_block_of(block).value(), 1, owner.value(), offset};
}

void scan_inodes(FileCheck& check, FindingList& findings, const std::function<void()>& step) {
  const std::vector<ChunkRange> ranges = chunk_ranges(check.inodes);
  std::vector<std::vector<DirectoryRecord>> directories(ranges.size());
  run_tasks(check.threads, ranges.size(), check.findings_limit, findings,
            [&](std::uint64_t task, std::size_t, FindingList& list) {
              const auto index = static_cast<std::size_t>(task);
              directories[index] = InodeScan(check, list, ranges[index]).run();
              step();
            });
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    auto& all = check.inodes.group(ranges[i].group).directories;
    all.insert(all.end(), directories[i].begin(), directories[i].end());
    directories[i] = {};
  }
}

}  // namespace xdax::fsck

#include "fsck/file_view.h"

#include <algorithm>

namespace xdax::fsck {
namespace {

constexpr std::uint32_t kReadAheadBytes = 256u << 10;

}  // namespace

const Extent* ForkMap::find(FileBlock block) const {
  const auto after = std::upper_bound(extents.begin(), extents.end(), block,
                                      [](FileBlock at, const Extent& extent) { return at < extent.file_block; });
  if (after == extents.begin()) return nullptr;
  const Extent& extent = *(after - 1);
  return block - extent.file_block < extent.length_blocks ? &extent : nullptr;
}

std::uint64_t ForkMap::blocks() const {
  std::uint64_t sum = 0;
  for (const Extent& extent : extents) sum += extent.length_blocks;
  return sum;
}

std::uint64_t ForkMap::end_block() const {
  return extents.empty() ? 0 : extents.back().file_block.value() + extents.back().length_blocks;
}

bool ForkMap::overlaps_on_disk() const {
  std::vector<Extent> sorted = extents;
  std::sort(sorted.begin(), sorted.end(), [](const Extent& l, const Extent& r) { return l.start < r.start; });
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    if (sorted[i].start < sorted[i - 1].start + sorted[i - 1].length_blocks) return true;
  }
  return false;
}

Finding FileView::place(const char* structure) const {
  Finding finding;
  finding.structure = structure;
  finding.group = geometry.ag_of(ino).value();
  finding.inode = ino.value();
  finding.byte = geometry.byte_of(ino);
  return finding;
}

Finding FileView::place(const char* structure, FsBlock block) const {
  Finding finding;
  finding.structure = structure;
  finding.group = geometry.ag_of(block).value();
  finding.block = geometry.ag_block_of(block).value();
  finding.inode = ino.value();
  finding.byte = geometry.byte_of(block);
  return finding;
}

void FileView::check_stamp(LogSequence lsn, const Finding& where) {
  if (!log_head || lsn <= *log_head || lsn == ~0ull) return;
  Finding finding = where;
  finding.found = lsn;
  finding.expected = *log_head;
  finding.detail = "ought to be at most the end of the log";
  add(Problem::kLsnAhead, std::move(finding));
}

bool ForkReader::mapped(FileBlock at, std::uint32_t length_blocks) const {
  for (std::uint64_t done = 0; done < length_blocks;) {
    const Extent* extent = map_.find(at + done);
    if (extent == nullptr || extent->unwritten) return false;
    done += extent->length_blocks - (at + done - extent->file_block);
  }
  return true;
}

std::optional<ForkReader::Piece> ForkReader::from_window(FileBlock at, std::uint32_t length_blocks) const {
  const std::uint32_t block_log = file_.geometry.block_log;
  if (at < window_start_) return std::nullopt;
  const std::uint64_t skip = at - window_start_;
  if (skip + length_blocks > window_.size() >> block_log) return std::nullopt;
  return Piece{window_.subspan(static_cast<std::size_t>(skip << block_log), std::size_t{length_blocks} << block_log),
               window_address_ + skip};
}

bool ForkReader::read_contiguous(FsBlock start, MutableByteSpan buffer, Report report) {
  ReadRequest request{.offset_bytes = file_.geometry.byte_of(start), .buffer = buffer, .error = {}};
  file_.device.read_batch({&request, 1});
  if (!request.error) return true;
  if (report == Report::kNo) return false;
  Finding finding = file_.place(structure_, start);
  finding.detail = request.error.message();
  file_.add(Problem::kIoUnreadable, std::move(finding));
  return false;
}

std::optional<ForkReader::Piece> ForkReader::read(FileBlock at, std::uint32_t length_blocks) {
  if (const auto piece = from_window(at, length_blocks)) {
    if (at == expected_next_) expected_next_ = at + length_blocks;
    return piece;
  }
  if (!mapped(at, length_blocks)) return std::nullopt;
  const std::uint32_t block_log = file_.geometry.block_log;
  const Extent& extent = *map_.find(at);
  const std::uint64_t skip = at - extent.file_block;
  const std::uint64_t left = extent.length_blocks - skip;
  const bool in_order = at == expected_next_;
  expected_next_ = at + length_blocks;
  window_ = {};
  if (left >= length_blocks) {
    const FsBlock start = extent.start + skip;
    std::uint64_t ahead =
        in_order ? std::max<std::uint64_t>(kReadAheadBytes >> block_log, length_blocks) : length_blocks;
    ahead = std::min(ahead, left);
    window_start_ = at;
    window_address_ = start;
    buffer_.resize(static_cast<std::size_t>(ahead << block_log));
    // One bad sector must not cost the blocks read ahead with it; only what is asked for is reported.
    if (ahead == length_blocks || !read_contiguous(start, buffer_, Report::kNo)) {
      buffer_.resize(std::size_t{length_blocks} << block_log);
      if (!read_contiguous(start, buffer_, Report::kYes)) return std::nullopt;
    }
    window_ = buffer_;
    return from_window(at, length_blocks);
  }
  // In several extents: gathered into one piece, block by block of the disk where that changes.
  buffer_.resize(std::size_t{length_blocks} << block_log);
  const FsBlock first = extent.start + skip;
  for (std::uint64_t done = 0; done < length_blocks;) {
    const Extent& part = *map_.find(at + done);
    const std::uint64_t part_skip = at + done - part.file_block;
    const std::uint64_t blocks = std::min<std::uint64_t>(length_blocks - done, part.length_blocks - part_skip);
    const MutableByteSpan target = MutableByteSpan(buffer_).subspan(static_cast<std::size_t>(done << block_log),
                                                                    static_cast<std::size_t>(blocks << block_log));
    if (!read_contiguous(part.start + part_skip, target, Report::kYes)) return std::nullopt;
    done += blocks;
  }
  return Piece{ByteSpan(buffer_), first};
}

}  // namespace xdax::fsck

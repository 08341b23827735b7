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
  if (!stamped_ahead(lsn)) return;
  Finding finding = where;
  finding.found = lsn;
  finding.expected = *log_head;
  finding.detail = "ought to be at most the end of the log";
  add(Problem::kLsnAhead, std::move(finding));
}

bool ForkReader::mapped(FileBlock at, std::uint32_t length_blocks) const {
  return in_one_piece(at, length_blocks) == length_blocks;
}

std::optional<ForkReader::Piece> ForkReader::from_window(FileBlock at, std::uint32_t length_blocks) const {
  const std::uint32_t block_log = file_.geometry.block_log;
  if (at < window_start_) return std::nullopt;
  const std::uint64_t skip = at - window_start_;
  if (skip + length_blocks > window_.size() >> block_log) return std::nullopt;
  const Extent& extent = *map_.find(at);
  return Piece{window_.subspan(static_cast<std::size_t>(skip << block_log), std::size_t{length_blocks} << block_log),
               extent.start + (at - extent.file_block)};
}

// How many blocks from `at` on can be read as one piece of the file: mapped, written and without a hole between them.
std::uint64_t ForkReader::in_one_piece(FileBlock at, std::uint64_t most_blocks) const {
  std::uint64_t blocks = 0;
  while (blocks < most_blocks) {
    const Extent* extent = map_.find(at + blocks);
    if (extent == nullptr || extent->unwritten) break;
    blocks += extent->length_blocks - (at + blocks - extent->file_block);
  }
  return std::min(blocks, most_blocks);
}

bool ForkReader::fill_window(FileBlock at, std::uint64_t length_blocks, Report report) {
  const std::uint32_t block_log = file_.geometry.block_log;
  window_ = {};
  const auto bytes = static_cast<std::size_t>(length_blocks << block_log);
  if (buffer_.size() < bytes) buffer_.resize(bytes);
  const MutableByteSpan target = MutableByteSpan(buffer_).first(bytes);
  requests_.clear();
  for (std::uint64_t done = 0; done < length_blocks;) {
    const Extent& extent = *map_.find(at + done);
    const std::uint64_t skip = at + done - extent.file_block;
    const std::uint64_t blocks = std::min<std::uint64_t>(length_blocks - done, extent.length_blocks - skip);
    requests_.push_back({.offset_bytes = file_.geometry.byte_of(extent.start + skip),
                         .buffer = target.subspan(static_cast<std::size_t>(done << block_log),
                                                  static_cast<std::size_t>(blocks << block_log)),
                         .error = {}});
    done += blocks;
  }
  file_.device.read_batch(requests_);
  const auto failed = std::find_if(requests_.begin(), requests_.end(), [](const ReadRequest& r) { return !!r.error; });
  if (failed == requests_.end()) {
    window_start_ = at;
    window_ = target;
    return true;
  }
  if (report == Report::kYes) {
    const auto before = static_cast<std::uint64_t>(failed->buffer.data() - buffer_.data()) >> block_log;
    const Extent& extent = *map_.find(at + before);
    Finding finding = file_.place(structure_, extent.start + (at + before - extent.file_block));
    finding.detail = failed->error.message();
    file_.add(Problem::kIoUnreadable, std::move(finding));
  }
  return false;
}

std::optional<ForkReader::Piece> ForkReader::read(FileBlock at, std::uint32_t length_blocks) {
  // The first read may be the start of a walk: blocks of an index lie together, in whatever order they are asked for.
  const bool in_order = !expected_next_ || at == *expected_next_;
  if (in_order) expected_next_ = at + length_blocks;
  if (const auto piece = from_window(at, length_blocks)) return piece;
  if (!mapped(at, length_blocks)) return std::nullopt;
  expected_next_ = at + length_blocks;
  const std::uint64_t ahead =
      in_order && at >= singly_until_
          ? in_one_piece(at, std::max<std::uint64_t>(kReadAheadBytes >> file_.geometry.block_log, length_blocks))
          : length_blocks;
  // One bad sector must not cost the blocks read ahead with it, nor be met again for each of them; only what is asked
  // for is reported.
  if (ahead > length_blocks) {
    if (fill_window(at, ahead, Report::kNo)) return from_window(at, length_blocks);
    singly_until_ = at + ahead;
  }
  if (!fill_window(at, length_blocks, Report::kYes)) return std::nullopt;
  return from_window(at, length_blocks);
}

}  // namespace xdax::fsck

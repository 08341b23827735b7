#include "mkfs/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "libfs/base/math.h"
#include "mkfs/layout.h"
#include "mkfs/render_start.h"

namespace xdax::mkfs {
namespace {

constexpr std::uint64_t kMiB = 1ull << 20;
// Boot blocks, partition tables and the superblocks of other filesystems lie in the first and last 128 KiB.
constexpr std::uint64_t kForeignBytes = 128 * 1024;
// Groups are rendered and written together until they take this much memory.
constexpr std::uint64_t kBatchBytes = 8 * kMiB;
// Copies of an old superblock that are erased at most: no real filesystem has more, a damaged one may say so.
constexpr std::uint32_t kMaxOldGroups = 1u << 20;

class Formatter {
 public:
  Formatter(Device& device, const Plan& plan, const FormatOptions& options)
      : device_(device), plan_(plan), geometry_(plan.geometry), options_(options) {}

  void run() {
    erase_what_was_there();
    write_log();
    write_first_inodes();
    write_groups();
    device_.persist();
    check_cancelled();
    std::vector<std::byte> sector(geometry_.sector_bytes);
    render_primary_superblock(plan_, sector);
    device_.write(0, sector);
    device_.persist();
  }

 private:
  void check_cancelled() const {
    if (options_.cancelled != nullptr && options_.cancelled->load(std::memory_order_relaxed)) {
      throw RefusalError(Errc::kCancelled,
                         fmt::format("{}: interrupted; the device holds no filesystem", device_.name()));
    }
  }

  // An old filesystem must be gone before the first byte of the new one is there: first its primary superblock, made
  // durable, then other signatures and the superblock copies that a repair tool might take for its own.
  void erase_what_was_there() {
    std::vector<std::byte> head(std::min(kForeignBytes, device_.size_bytes()));
    ReadRequest request{.offset_bytes = 0, .buffer = head, .error = {}};
    device_.read_batch({&request, 1});
    // What cannot be read may be anything.
    if (request.error) std::ranges::fill(head, std::byte{0xff});
    const std::vector<Geometry> old = old_filesystem(head);
    // The sector that says "filesystem" goes before anything it describes. Where there is nothing, nothing need go.
    if (!all_zero(head)) {
      device_.zero(0, std::min<std::uint64_t>(1u << limits::kMinSectorLog, head.size()), ZeroMode::kKept);
      device_.persist();
      device_.zero(0, head.size(), ZeroMode::kKept);
    }
    // Images keep what was preallocated for them; only drives are told. What a discarded range reads as is up to the
    // drive.
    if (options_.discard && device_.traits().block_device && device_.discard(0, device_.size_bytes())) {
      device_.zero(0, head.size(), ZeroMode::kKept);
    }
    const std::uint64_t tail = round_down(device_.size_bytes(), std::uint64_t{geometry_.sector_bytes});
    const std::uint64_t tail_bytes = std::min(kForeignBytes, tail);
    device_.zero(tail - tail_bytes, tail_bytes, ZeroMode::kKept);
    for (const Geometry& geometry : old) erase_superblock_copies(geometry);
  }

  // The geometry of an XFS filesystem that was here, if its superblock is readable; at most one.
  [[nodiscard]] static std::vector<Geometry> old_filesystem(ByteSpan head) {
    if (view<Superblock>(head).magicnum != Superblock::kMagic) return {};
    // Version 4 superblocks lie in the same places; all that matters is that the numbers can be computed with.
    const auto& superblock = view<Superblock>(head);
    const bool usable = superblock.blocklog >= kBasicBlockLog && superblock.blocklog <= limits::kMaxBlockLog &&
                        superblock.agblocks >= limits::kMinAgBlocks && superblock.sectlog >= limits::kMinSectorLog &&
                        superblock.sectlog <= limits::kMaxSectorLog && superblock.agcount != 0;
    if (!usable) return {};
    Geometry geometry;
    geometry.block_log = superblock.blocklog;
    geometry.block_bytes = 1u << superblock.blocklog;
    geometry.sector_bytes = 1u << superblock.sectlog;
    geometry.ag_blocks = superblock.agblocks;
    geometry.ag_count = superblock.agcount;
    return {geometry};
  }

  void erase_superblock_copies(const Geometry& old) {
    const std::vector<std::byte> zeros(old.sector_bytes);
    std::vector<WriteRequest> writes;
    for (std::uint32_t ag = 0; ag < std::min(old.ag_count, kMaxOldGroups); ++ag) {
      const std::uint64_t at = old.byte_of(AgNumber(ag), AgBlock(0));
      if (at + old.sector_bytes > device_.size_bytes()) break;
      writes.push_back({.offset_bytes = at, .buffer = zeros, .error = {}});
      if (writes.size() == 1024) flush(writes);
    }
    flush(writes);
  }

  void write_log() {
    check_cancelled();
    const std::uint64_t start = geometry_.byte_of(geometry_.log_start);
    // A drive that was told that all its blocks are unused may as well keep those of the log unmapped.
    const ZeroMode mode = options_.discard && device_.traits().block_device ? ZeroMode::kFastest : ZeroMode::kKept;
    device_.zero(start, std::uint64_t{geometry_.log_blocks} << geometry_.block_log, mode);
    device_.write(start, render_log_start(plan_));
  }

  void write_first_inodes() {
    check_cancelled();
    const AgLayout layout = lay_out_group(geometry_, AgNumber(0));
    std::vector<std::byte> blocks(std::size_t{layout.inodes.length} << geometry_.block_log);
    render_first_inodes(plan_, layout, blocks);
    device_.write(geometry_.byte_of(AgNumber(0), AgBlock(layout.inodes.start)), blocks);
  }

  void write_groups() {
    const std::size_t group_bytes = std::size_t{lay_out_group(geometry_, AgNumber(0)).fixed} << geometry_.block_log;
    const std::size_t batch = std::clamp<std::uint64_t>(kBatchBytes / group_bytes, 1, geometry_.ag_count);
    std::vector<std::byte> buffer(batch * group_bytes);
    std::vector<WriteRequest> writes;
    for (std::uint32_t ag = 0; ag < geometry_.ag_count; ++ag) {
      if (writes.empty()) {
        check_cancelled();
        std::ranges::fill(buffer, std::byte{0});
      }
      const MutableByteSpan blocks = MutableByteSpan(buffer).subspan(writes.size() * group_bytes, group_bytes);
      render_group(plan_, AgNumber(ag), lay_out_group(geometry_, AgNumber(ag)), blocks);
      // Group 0 leaves out the sector of the primary superblock.
      const std::size_t skip = ag == 0 ? geometry_.sector_bytes : 0;
      writes.push_back({.offset_bytes = geometry_.byte_of(AgNumber(ag), AgBlock(0)) + skip,
                        .buffer = blocks.subspan(skip),
                        .error = {}});
      if (writes.size() == batch) flush(writes);
    }
    flush(writes);
  }

  void flush(std::vector<WriteRequest>& writes) {
    device_.write_batch(writes);
    for (const WriteRequest& write : writes) {
      if (!write.error) continue;
      throw IoError(Errc::kWriteFailed,
                    fmt::format("{}: writing {} bytes at byte {} failed: {}; the device holds no filesystem",
                                device_.name(), write.buffer.size(), write.offset_bytes, write.error.message()));
    }
    writes.clear();
  }

  Device& device_;
  const Plan& plan_;
  const Geometry& geometry_;
  const FormatOptions& options_;
};

}  // namespace

void format_device(Device& device, const Plan& plan, const FormatOptions& options) {
  if (plan.geometry.size_bytes() > device.size_bytes()) {
    throw RefusalError(Errc::kOutOfRange,
                       fmt::format("{}: holds {} bytes, but the filesystem needs {}; make it smaller with -d size",
                                   device.name(), device.size_bytes(), plan.geometry.size_bytes()));
  }
  Formatter(device, plan, options).run();
}

}  // namespace xdax::mkfs

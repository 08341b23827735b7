#include "libfs/format/extent.h"

#include "libfs/base/assert.h"
#include "libfs/base/math.h"

namespace xdax {
namespace {

constexpr unsigned kLengthBits = 21;
constexpr unsigned kStartHighBits = 9;
constexpr unsigned kStartLowBits = 64 - kLengthBits;
constexpr std::uint64_t kUnwrittenBit = 1ull << 63;

}  // namespace

Extent Extent::decode(const ExtentRecord& record) {
  const std::uint64_t l0 = record.l0;
  const std::uint64_t l1 = record.l1;
  return {.file_block = FileBlock((l0 & ~kUnwrittenBit) >> kStartHighBits),
          .start = FsBlock(((l0 & ((1ull << kStartHighBits) - 1)) << kStartLowBits) | (l1 >> kLengthBits)),
          .length_blocks = static_cast<std::uint32_t>(l1 & ((1ull << kLengthBits) - 1)),
          .unwritten = (l0 & kUnwrittenBit) != 0};
}

ExtentRecord Extent::encode() const {
  XDAX_ASSERT(length_blocks <= limits::kMaxExtentBlocks && file_block.value() <= limits::kMaxFileBlock);
  ExtentRecord record;
  record.l0 =
      (unwritten ? kUnwrittenBit : 0) | (file_block.value() << kStartHighBits) | (start.value() >> kStartLowBits);
  record.l1 = (start.value() << kLengthBits) | length_blocks;
  return record;
}

Flaws verify_extents(std::span<const ExtentRecord> records, const Geometry& geometry, bool attribute_fork,
                     std::uint32_t base_offset_bytes) {
  Flaws flaws;
  std::uint64_t next_file_block = 0;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const Extent extent = Extent::decode(records[i]);
    const auto at = static_cast<std::uint32_t>(base_offset_bytes + i * sizeof(ExtentRecord));
    if (!geometry.valid_extent(extent.start, extent.length_blocks)) {
      flaws.add({FlawKind::kPointer, "extent.startblock", at, extent.start.value(), extent.length_blocks,
                 "one or more blocks inside one group"});
    }
    if (!range_fits(extent.file_block.value(), extent.length_blocks, geometry.max_file_blocks())) {
      flaws.add({FlawKind::kRange, "extent.startoff", at, extent.file_block.value(), geometry.max_file_blocks(),
                 "a range below 2^63 bytes"});
    }
    if (extent.file_block.value() < next_file_block) {
      flaws.add({FlawKind::kOrder, "extent.startoff", at, extent.file_block.value(), next_file_block,
                 "past the end of the extent before it"});
    }
    if (extent.unwritten && attribute_fork) {
      flaws.add(
          {FlawKind::kRange, "extent.state", at, 1, 0, "written: only the data of regular files may be unwritten"});
    }
    next_file_block = extent.file_block.value() + extent.length_blocks;
  }
  return flaws;
}

}  // namespace xdax

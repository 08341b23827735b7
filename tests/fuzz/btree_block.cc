// Fuzz target: a block of any of the seven trees.
//
// The first byte of the input chooses the tree (modulo seven) and, by its upper bits, whether the block is a root and
// whether its level is expected; the rest is the block.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "libfs/format/btree_block.h"
#include "tests/fuzz/small_geometry.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace xdax;
  static const Geometry geometry = fuzz::small_geometry();
  if (size == 0) return 0;
  constexpr std::uint8_t kKinds = 7;
  constexpr std::uint8_t kRoot = 0x40;
  constexpr std::uint8_t kAnyLevel = 0x80;
  const auto kind = static_cast<BtreeKind>((data[0] & 0x3f) % kKinds);
  const bool root = (data[0] & kRoot) != 0;
  std::vector<std::byte> block(geometry.block_bytes);
  std::transform(data + 1, data + std::min(size, block.size() + 1), block.begin(),
                 [](std::uint8_t byte) { return std::byte{byte}; });
  const std::optional<std::uint32_t> level =
      (data[0] & kAnyLevel) != 0 ? std::nullopt : std::optional<std::uint32_t>(0);
  if (kind == BtreeKind::kBmap) {
    const FsBlock where = geometry.fs_block(AgNumber(1), AgBlock(100));
    static_cast<void>(verify_long_btree_block(
        block, geometry, {.block = where, .owner = geometry.root_inode, .level = level, .attribute_fork = root}));
    return 0;
  }
  static_cast<void>(verify_short_btree_block(
      block, geometry, {.kind = kind, .ag = AgNumber(1), .block = AgBlock(100), .level = level, .root = root}));
  return 0;
}

#include "fsck/extent_sums.h"

#define XXH_INLINE_ALL  // keys are short: the call would cost as much as the hash
#include <xxhash.h>

#include "libfs/format/btree_records.h"

namespace xdax::fsck {
namespace {

Sum128 hash(const void* bytes, std::size_t size, std::uint64_t seed) {
  const XXH128_hash_t value = XXH3_128bits_withSeed(bytes, size, seed);
  return {value.low64, value.high64};
}

Sum128 difference(Sum128 left, const Sum128& right) { return left -= right; }

}  // namespace

Sum128 ExtentHash::owned(const OwnedExtent& extent) const {
  // Blocks of an extent map have no place in the file, and mappings of metadata none either.
  const bool placed = !rmap::is_special(extent.owner) && (extent.offset & rmap::kBmapBlock) == 0;
  const std::uint64_t flags = extent.offset & ~rmap::kOffsetMask;
  const std::uint64_t distance = placed ? (extent.offset & rmap::kOffsetMask) - extent.start : 0;
  std::uint64_t key[4] = {extent.start, extent.owner, distance, flags};
  const Sum128 first = hash(key, sizeof(key), seed_);
  key[0] = std::uint64_t{extent.start} + extent.length;
  return difference(first, hash(key, sizeof(key), seed_));
}

Sum128 ExtentHash::covered(std::uint32_t start, std::uint64_t length) const {
  std::uint64_t block = start;
  const Sum128 first = hash(&block, sizeof(block), seed_);
  block += length;
  return difference(first, hash(&block, sizeof(block), seed_));
}

Sum128 ExtentHash::link(std::uint64_t child, std::uint64_t parent, std::uint32_t generation, const char* name,
                        std::size_t name_bytes) const {
  const Sum128 text = hash(name, name_bytes, seed_);
  const std::uint64_t key[5] = {child, parent, generation, text.low, text.high};
  return hash(key, sizeof(key), seed_);
}

}  // namespace xdax::fsck

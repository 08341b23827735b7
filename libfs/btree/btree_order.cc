#include "libfs/btree/btree_order.h"

#include <cstring>
#include <tuple>

#include "libfs/format/btree_records.h"
#include "libfs/format/extent.h"

namespace xdax {
namespace {

template <class T>
const T& as(const std::byte* bytes) {
  static_assert(alignof(T) == 1);
  return *reinterpret_cast<const T*>(bytes);
}

template <std::size_t kBytes>
void copy_front(const std::byte* record, std::byte* key) {
  std::memcpy(key, record, kBytes);
}

std::strong_ordering compare_start32(const std::byte* left, const std::byte* right) {
  return as<be32>(left).get() <=> as<be32>(right).get();
}

std::strong_ordering compare_start64(const std::byte* left, const std::byte* right) {
  return as<be64>(left).get() <=> as<be64>(right).get();
}

std::strong_ordering compare_size(const std::byte* left, const std::byte* right) {
  const auto& a = as<FreeRecord>(left);
  const auto& b = as<FreeRecord>(right);
  return std::tuple(a.blockcount.get(), a.startblock.get()) <=> std::tuple(b.blockcount.get(), b.startblock.get());
}

// Whether an extent is written takes no part in the order.
std::strong_ordering compare_rmap(const std::byte* left, const std::byte* right) {
  const auto key = [](const RmapKey& stored) {
    return std::tuple(stored.startblock.get(), stored.owner.get(), stored.offset.get() & ~rmap::kUnwritten);
  };
  return key(as<RmapKey>(left)) <=> key(as<RmapKey>(right));
}

void rmap_low(const std::byte* record, std::byte* key) {
  const auto& from = as<RmapRecord>(record);
  RmapKey low;
  low.startblock = from.startblock;
  low.owner = from.owner;
  low.offset = from.offset;
  std::memcpy(key, &low, sizeof(low));
}

// The last block of the record; only the data of files has an offset that moves with the block.
void rmap_high(const std::byte* record, std::byte* key) {
  const auto& from = as<RmapRecord>(record);
  const std::uint32_t further = from.blockcount - 1;
  RmapKey high;
  high.startblock = from.startblock + further;
  high.owner = from.owner;
  const std::uint64_t offset = from.offset;
  high.offset = rmap::is_special(from.owner) || (offset & rmap::kBmapBlock) != 0
                    ? offset
                    : (((offset & rmap::kOffsetMask) + further) & rmap::kOffsetMask) | (offset & ~rmap::kOffsetMask);
  std::memcpy(key, &high, sizeof(high));
}

void bmap_key(const std::byte* record, std::byte* key) {
  const be64 start = Extent::decode(as<ExtentRecord>(record)).file_block.value();
  std::memcpy(key, &start, sizeof(start));
}

constexpr BtreeOrder kBno{compare_start32, copy_front<sizeof(FreeRecord)>, nullptr};
constexpr BtreeOrder kCnt{compare_size, copy_front<sizeof(FreeRecord)>, nullptr};
constexpr BtreeOrder kStart{compare_start32, copy_front<sizeof(be32)>, nullptr};
constexpr BtreeOrder kRmap{compare_rmap, rmap_low, rmap_high};
constexpr BtreeOrder kBmap{compare_start64, bmap_key, nullptr};

}  // namespace

const BtreeOrder& btree_order(BtreeKind kind) {
  switch (kind) {
    case BtreeKind::kBno:
      return kBno;
    case BtreeKind::kCnt:
      return kCnt;
    case BtreeKind::kRmap:
      return kRmap;
    case BtreeKind::kBmap:
      return kBmap;
    default:
      return kStart;
  }
}

}  // namespace xdax

#include "libfs/journal/superblock_edit.h"

namespace xdax {
namespace {

constexpr MetadataIdentity kSuperblock{.kind = MetadataKind::kSuperblock, .owner = {}, .file_block = {}};

BlockPlace place(const Transaction& transaction) {
  return {.byte = 0, .length_bytes = transaction.geometry().sector_bytes};
}

}  // namespace

const Superblock& read_superblock(Transaction& transaction) {
  return view<Superblock>(transaction.read(place(transaction), kSuperblock));
}

Superblock& change_superblock(Transaction& transaction) {
  return mutable_view<Superblock>(transaction.change(place(transaction), kSuperblock));
}

bool have_quota_counted(Transaction& transaction) {
  const std::uint16_t flags = read_superblock(transaction).qflags;
  if ((flags & quota_flags::kCounted) == 0) return false;
  change_superblock(transaction).qflags = static_cast<std::uint16_t>(flags & ~quota_flags::kCounted);
  return true;
}

}  // namespace xdax

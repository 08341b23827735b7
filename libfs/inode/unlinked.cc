#include "libfs/inode/unlinked.h"

#include <fmt/format.h>

#include <unordered_set>

#include "libfs/base/error.h"
#include "libfs/inode/inode_edit.h"

namespace xdax {
namespace {

std::uint32_t bucket_of(AgInode inode) { return inode.value() % Agi::kUnlinkedBuckets; }

[[noreturn]] void corrupt(Transaction& transaction, InodeNumber ino) {
  throw CorruptionError(Errc::kBadStructure, fmt::format("{}: inode {} is not on the list of unlinked inodes",
                                                         transaction.journal().device().name(), ino.value()));
}

}  // namespace

void add_unlinked(Transaction& transaction, InodeNumber ino) {
  const Geometry& geometry = transaction.geometry();
  const AgInode own = geometry.ag_inode_of(ino);
  Group group(transaction, geometry.ag_of(ino));
  Agi& agi = group.change_agi();
  const InodeEdit inode(transaction, ino);
  inode.change_core().next_unlinked = agi.unlinked[bucket_of(own)].get();
  agi.unlinked[bucket_of(own)] = own.value();
}

void remove_unlinked(Transaction& transaction, InodeNumber ino) {
  const Geometry& geometry = transaction.geometry();
  const AgNumber ag = geometry.ag_of(ino);
  const AgInode own = geometry.ag_inode_of(ino);
  Group group(transaction, ag);
  const InodeEdit inode(transaction, ino);
  const std::uint32_t next = inode.core().next_unlinked;
  AgInode at{group.agi().unlinked[bucket_of(own)]};
  if (at == own) {
    group.change_agi().unlinked[bucket_of(own)] = next;
  } else {
    // A list that comes back to where it was has no end.
    std::unordered_set<std::uint32_t> visited;
    for (;;) {
      if (at == kNullAgInode || !geometry.valid_ag_inode(ag, at) || !visited.insert(at.value()).second) {
        corrupt(transaction, ino);
      }
      const InodeEdit before(transaction, geometry.inode_number(ag, at));
      const AgInode following{before.core().next_unlinked};
      if (following == own) {
        before.change_core().next_unlinked = next;
        break;
      }
      at = following;
    }
  }
  inode.change_core().next_unlinked = kNullAgInode.value();
}

std::optional<InodeNumber> first_unlinked(Transaction& transaction, AgNumber ag) {
  Group group(transaction, ag);
  for (const be32& head : group.agi().unlinked) {
    if (head == kNullAgInode.value()) continue;
    const InodeNumber ino = transaction.geometry().inode_number(ag, AgInode(head));
    if (!transaction.geometry().valid_inode(ino)) corrupt(transaction, ino);
    return ino;
  }
  return std::nullopt;
}

}  // namespace xdax

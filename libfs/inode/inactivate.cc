#include "libfs/inode/inactivate.h"

#include <fmt/format.h>

#include <algorithm>

#include "libfs/base/error.h"
#include "libfs/inode/inode_allocator.h"
#include "libfs/inode/inode_edit.h"
#include "libfs/inode/unlinked.h"

namespace xdax {
namespace {

constexpr unsigned kExtentsAtATime = 16;
// So many extents and the inode fit one transaction, as kExtentsAtATime without it do.
constexpr std::uint64_t kFewExtents = 4;
// Of shared blocks every one may change the tree of reference counts.
constexpr std::uint32_t kSharedBlocksAtATime = 256;

// Blocks of directories, attributes and links are metadata: what the cache and the log hold of them is given up.
void give_up_blocks(const InodeEdit& inode, Fork fork, const Extent& extent) {
  const Geometry& geometry = inode.geometry();
  if (fork == Fork::kData && inode.type() == FileType::kRegular) return;
  const bool directory = fork == Fork::kData && inode.type() == FileType::kDirectory;
  const bool whole = fork == Fork::kData && inode.type() == FileType::kSymlink;
  const std::uint32_t unit = directory ? 1u << geometry.dir_block_log : whole ? extent.length_blocks : 1u;
  for (std::uint32_t at = 0; at < extent.length_blocks; at += unit) {
    inode.transaction().give_up({.byte = geometry.byte_of(extent.start + at),
                                 .length_bytes = std::min(unit, extent.length_blocks - at) << geometry.block_log});
  }
}

bool has_map(const InodeEdit& inode, Fork fork) {
  if (fork == Fork::kAttr && inode.core().forkoff == 0) return false;
  const ForkFormat format = fork_format(inode.core(), fork);
  return format == ForkFormat::kExtents || format == ForkFormat::kBtree;
}

bool has_blocks(const InodeEdit& inode, Fork fork) { return has_map(inode, fork) && ForkWriter(inode, fork).last(); }

// False when there was nothing to free.
bool empty_fork(const InodeEdit& inode, Fork fork) {
  if (!has_map(inode, fork)) return false;
  ForkWriter writer(inode, fork);
  return free_some_blocks(writer, FileBlock(0));
}

bool has_few_extents(const InodeEdit& inode) {
  return data_extent_count(inode.core()) + attr_extent_count(inode.core()) <= kFewExtents;
}

void free_inode(const InodeEdit& inode) {
  InodeCore& core = inode.change_core();
  set_data_extent_count(core, 0);
  set_attr_extent_count(core, 0);
  core.forkoff = 0;
  remove_unlinked(inode.transaction(), inode.ino());
  InodeAllocator(inode.transaction()).free(inode.ino());
}

}  // namespace

bool free_some_blocks(ForkWriter& fork, FileBlock from) {
  const InodeEdit& inode = fork.inode();
  std::uint32_t blocks_left = inode.core().reflink() ? kSharedBlocksAtATime : ~0u;
  for (unsigned i = 0; i < kExtentsAtATime; ++i) {
    const auto last = fork.last();
    if (!last || last->file_block.value() + last->length_blocks <= from.value()) return i != 0;
    const std::uint64_t begin = std::max(last->file_block.value(), from.value());
    const std::uint64_t end = last->file_block.value() + last->length_blocks;
    const std::uint64_t length = std::min<std::uint64_t>(end - begin, blocks_left);
    Extent part = *last;
    part.start = last->start + (end - length - last->file_block.value());
    part.file_block = FileBlock(end - length);
    part.length_blocks = static_cast<std::uint32_t>(length);
    give_up_blocks(inode, fork.fork(), part);
    fork.free(part.file_block, length);
    if (length == blocks_left) return true;
    blocks_left -= static_cast<std::uint32_t>(length);
  }
  return true;
}

void inactivate(Journal& journal, InodeNumber ino, const std::function<void(Transaction&)>& commit) {
  for (bool more = true; more;) {
    Transaction transaction(journal);
    const InodeEdit inode(transaction, ino);
    inode.require_allocated();
    const bool few = has_few_extents(inode);
    // What a file says of its size must never be more than it has.
    if (inode.core().size != 0 && inode.type() == FileType::kRegular) inode.change_core().size = std::uint64_t{0};
    more = empty_fork(inode, Fork::kData);
    if (few || !more) more = empty_fork(inode, Fork::kAttr) || more;
    if (few && more) more = has_blocks(inode, Fork::kData) || has_blocks(inode, Fork::kAttr);
    if (!more) free_inode(inode);
    commit(transaction);
  }
}

// Whoever is freed leaves its list, so that every turn makes one shorter.
std::uint64_t free_unlinked(Journal& journal, AgNumber ag) {
  for (std::uint64_t freed = 0;; ++freed) {
    std::optional<InodeNumber> ino;
    {
      Transaction transaction(journal);
      ino = first_unlinked(transaction, ag);
      if (!ino) return freed;
      const InodeEdit inode(transaction, *ino);
      inode.require_allocated();
      if (inode.core().nlink != 0) {
        throw CorruptionError(Errc::kBadStructure,
                              fmt::format("{}: inode {} is on the list of unlinked inodes, but has {} links",
                                          journal.device().name(), ino->value(), inode.core().nlink.get()));
      }
    }
    inactivate(journal, *ino);
  }
}

}  // namespace xdax

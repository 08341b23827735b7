#include "libfs/inode/inode_edit.h"

#include <fmt/format.h>

#include "libfs/base/error.h"
#include "libfs/base/math.h"

namespace xdax {

BlockPlace inode_cluster_place(const Geometry& geometry, InodeNumber ino) {
  const std::uint32_t bytes = geometry.inode_cluster_bytes();
  const std::uint32_t blocks = bytes >> geometry.block_log;
  const AgBlock block = geometry.ag_block_of(geometry.ag_inode_of(ino));
  if (blocks > 1 && geometry.inode_align_blocks % blocks != 0) {
    throw RefusalError(
        Errc::kNotSupported,
        fmt::format("inode chunks aligned to {} blocks cannot be written, only read", geometry.inode_align_blocks));
  }
  return {.byte = geometry.byte_of(geometry.ag_of(ino), AgBlock(round_down(block.value(), blocks))),
          .length_bytes = bytes};
}

InodeEdit::InodeEdit(Transaction& transaction, InodeNumber ino)
    : transaction_(transaction), ino_(ino), offset_bytes_(0) {
  if (!geometry().valid_inode(ino)) {
    throw RefusalError(Errc::kOutOfRange,
                       fmt::format("{}: there can be no inode {}", transaction.journal().device().name(), ino.value()));
  }
  place_ = inode_cluster_place(geometry(), ino);
  offset_bytes_ = static_cast<std::uint32_t>(geometry().byte_of(ino) - place_.byte);
}

ByteSpan InodeEdit::bytes() const {
  return transaction_.read(place_, kInodeCluster).subspan(offset_bytes_, geometry().inode_bytes);
}

MutableByteSpan InodeEdit::change() const {
  return transaction_.change(place_, kInodeCluster).subspan(offset_bytes_, geometry().inode_bytes);
}

MutableByteSpan InodeEdit::change_fork(Fork fork) const {
  const ForkArea area = fork_area(core(), geometry().inode_bytes, fork);
  return change().subspan(area.offset_bytes, area.size_bytes);
}

void InodeEdit::require_allocated() const {
  if (core().allocated()) return;
  throw CorruptionError(Errc::kBadStructure, fmt::format("{}: inode {} is not in use, though something names it",
                                                         transaction_.journal().device().name(), ino_.value()));
}

void stamp_times(const InodeEdit& inode, const Timestamp& now, NewTimes which) {
  InodeCore& core = inode.change_core();
  const std::uint64_t stored = encode_timestamp(now, core.bigtime());
  if (which.access) core.atime = stored;
  if (which.modification) core.mtime = stored;
  if (which.change) core.ctime = stored;
}

void note_change(const InodeEdit& inode, const Timestamp& now) {
  stamp_times(inode, now, {.change = true});
  inode.change_core().changecount += 1;
}

}  // namespace xdax

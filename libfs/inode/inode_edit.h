// An inode inside a transaction: its record in its cluster, to look at and to change.
//
// Not thread-safe. Source: XFS Algorithms & Data Structures, "On-disk Inode".
#pragma once

#include <cstdint>

#include "libfs/format/inode.h"
#include "libfs/format/inode_fork.h"
#include "libfs/format/timestamp.h"
#include "libfs/journal/transaction.h"

namespace xdax {

/// The cluster that holds an inode: what is read, written and logged together. Throws CorruptionError when no chunk
/// holds it and alignment does not tell.
[[nodiscard]] BlockPlace inode_cluster_place(const Geometry& geometry, InodeNumber ino);
inline constexpr MetadataIdentity kInodeCluster{.kind = MetadataKind::kInodes, .owner = {}, .file_block = {}};

class InodeEdit {
 public:
  /// Throws RefusalError (kOutOfRange) for a number that cannot exist.
  InodeEdit(Transaction& transaction, InodeNumber ino);

  [[nodiscard]] Transaction& transaction() const { return transaction_; }
  [[nodiscard]] const Geometry& geometry() const { return transaction_.geometry(); }
  [[nodiscard]] InodeNumber ino() const { return ino_; }

  /// The whole record. Throw CorruptionError, IoError.
  [[nodiscard]] ByteSpan bytes() const;
  [[nodiscard]] MutableByteSpan change() const;
  [[nodiscard]] const InodeCore& core() const { return view<InodeCore>(bytes()); }
  [[nodiscard]] InodeCore& change_core() const { return mutable_view<InodeCore>(change()); }

  [[nodiscard]] ByteSpan fork(Fork fork) const { return fork_bytes(bytes(), fork); }
  [[nodiscard]] MutableByteSpan change_fork(Fork fork) const;
  [[nodiscard]] FileType type() const { return core().type(); }

  /// Throws CorruptionError unless the inode is in use.
  void require_allocated() const;

 private:
  Transaction& transaction_;
  InodeNumber ino_;
  BlockPlace place_;
  std::uint32_t offset_bytes_;
};

/// Stores times where the inode keeps them, in its form.
struct NewTimes {
  bool access = false, modification = false, change = false;
};
void stamp_times(const InodeEdit& inode, const Timestamp& now, NewTimes which);
/// Stores the change counter and the change time that every change of an inode leaves.
void note_change(const InodeEdit& inode, const Timestamp& now);

}  // namespace xdax

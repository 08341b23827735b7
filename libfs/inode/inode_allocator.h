// Inodes come and go: chunks of 64, the two trees that know which are free, and the group headers' counts.
//
// Not thread-safe: it works inside one transaction. Source: XFS Algorithms & Data Structures, "AG Inode Management",
// "Sparse Inodes".
#pragma once

#include <cstdint>
#include <optional>

#include "libfs/format/btree_records.h"
#include "libfs/format/inode.h"
#include "libfs/format/timestamp.h"
#include "libfs/journal/transaction.h"
#include "libfs/space/group.h"

namespace xdax {

struct NewInode {
  /// The directory it will be in: inodes of files lie near it, those of directories spread over the groups.
  InodeNumber parent;
  std::uint16_t mode = 0;  ///< type and permissions
  std::uint32_t uid = 0, gid = 0, projid = 0;
  std::uint32_t rdev = 0;  ///< of device files, as the format stores it
  Timestamp now;
  std::uint32_t generation = 0;
};

class InodeAllocator {
 public:
  explicit InodeAllocator(Transaction& transaction) : transaction_(transaction) {}

  /// An inode in use, of the type asked for, empty and with no link. Throws RefusalError (kNoSpace) when there is no
  /// room for another chunk or the share of space for inodes is used up; CorruptionError, IoError.
  [[nodiscard]] InodeNumber allocate(const NewInode& request);
  /// Makes an inode free whose forks are empty, and its chunk's space when all of it is.
  void free(InodeNumber ino);

 private:
  [[nodiscard]] std::optional<InodeNumber> take_free(AgNumber ag, std::optional<AgInode> near);
  [[nodiscard]] bool add_chunk(AgNumber ag, std::uint32_t generation);
  [[nodiscard]] bool may_add() const;
  void insert_chunk(Group& group, AgBlock start, std::uint32_t inodes, std::uint16_t holemask);
  void remove_chunk(Group& group, const InodeChunk& chunk);
  void fill(InodeNumber ino, const NewInode& request);
  [[nodiscard]] InodeChunk chunk_at(Group& group, AgInode inode);
  void store(Group& group, const InodeChunk& chunk, std::uint32_t freecount_before);
  [[noreturn]] void corrupt(AgNumber ag, AgInode inode, const char* what) const;

  Transaction& transaction_;
};

}  // namespace xdax

// Where a tree's root lives and where its blocks come from: what the algorithm asks of whoever owns the tree.
//
// Two forms of root exist. The root of a group's tree is a block like any other, named by a header of the group. The
// root of an extent map lies in the inode and is always a node. Not thread-safe: it works inside one transaction.
#pragma once

#include <cstdint>

#include "libfs/base/bytes.h"
#include "libfs/format/metadata_block.h"
#include "libfs/journal/transaction.h"

namespace xdax {

class BtreeStore {
 public:
  BtreeStore() = default;
  virtual ~BtreeStore() = default;
  BtreeStore(const BtreeStore&) = delete;
  BtreeStore& operator=(const BtreeStore&) = delete;

  /// Levels of the tree, leaves and root included; at least 1.
  [[nodiscard]] virtual std::uint32_t levels() = 0;
  /// Of a root that is a block: its address.
  [[nodiscard]] virtual std::uint64_t root() = 0;
  virtual void set_root(std::uint64_t pointer, std::uint32_t levels) = 0;
  /// Of a root that lies in an inode: the fork's bytes, to look at and to change; empty for every other.
  [[nodiscard]] virtual ByteSpan embedded() { return {}; }
  [[nodiscard]] virtual MutableByteSpan change_embedded() { return {}; }

  [[nodiscard]] virtual BlockPlace place(std::uint64_t pointer) = 0;
  [[nodiscard]] virtual MetadataIdentity identity() = 0;
  /// Who a block says it belongs to: a group's number or an inode's.
  [[nodiscard]] virtual std::uint64_t owner() = 0;
  /// A block for the tree. Throws RefusalError (kNoSpace).
  [[nodiscard]] virtual std::uint64_t allocate(std::uint64_t near) = 0;
  /// Takes a block back; it is given up already.
  virtual void release(std::uint64_t pointer) = 0;
};

}  // namespace xdax

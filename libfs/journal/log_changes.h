// What a checkpoint says of a block that changed: log items, made from the two versions of the block.
//
// A buffer item names the 128-byte pieces that differ. Of an inode cluster each inode that differs becomes an inode
// item with its whole forks, and the unlinked pointers that differ a buffer item of their own. Pure.
#pragma once

#include <vector>

#include "libfs/cache/cache.h"
#include "libfs/format/geometry.h"
#include "libfs/format/log_items.h"
#include "libfs/journal/log_walk.h"

namespace xdax {

struct BlockChange {
  BlockPlace place;
  MetadataKind kind{};
  ByteSpan before;  ///< empty for a new block: all of it is logged
  ByteSpan after;
};

/// Appends the items that turn `before` into `after`; none when they are the same.
void append_change(std::vector<LogItem>& items, const Geometry& geometry, const BlockChange& change);
/// Appends the item that says that earlier changes of the block must not be replayed.
void append_given_up(std::vector<LogItem>& items, const BlockPlace& place);

/// Bytes at most that a change of one block takes in the log, operation headers left out, and its regions.
[[nodiscard]] std::uint64_t change_bytes(std::uint32_t block_bytes);
[[nodiscard]] std::uint64_t change_regions(std::uint32_t block_bytes);

/// A copy of `after` as it goes home: what differs from `before` carries `lsn`, and checksums are right.
[[nodiscard]] std::vector<std::byte> stamped(const Geometry& geometry, const BlockChange& change, Lsn lsn);
/// Makes the checksums of what differs right.
void seal_changes(const Geometry& geometry, MetadataKind kind, ByteSpan before, MutableByteSpan after);
/// What verify_metadata() says of a block whose version before was sound: of an inode cluster only the inodes that
/// differ are looked at.
[[nodiscard]] Flaws verify_changes(const Geometry& geometry, std::uint64_t byte, const MetadataIdentity& identity,
                                   ByteSpan before, ByteSpan after);

/// The inodes of a new chunk as a replay of its item makes them, `count` of them from inode `first` of the group on.
struct NewInodes {
  AgNumber ag;
  AgInode first;
  std::uint32_t count = 0;
  std::uint32_t generation = 0;
};
void fill_new_inodes(const Geometry& geometry, const NewInodes& inodes, MutableByteSpan target);
/// The item. `inodes.first` is the first of a block.
[[nodiscard]] LogItem new_inodes_item(const Geometry& geometry, const NewInodes& inodes);

}  // namespace xdax

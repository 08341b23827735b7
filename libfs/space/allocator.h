// The zeroing allocator: extents of the whole filesystem.
//
// A request names how much is wanted, where, and whether the blocks must read as zeros. Zeroing happens here, on each
// physical extent as it is allocated, before anybody can join it with a neighbour that holds data; the device's barrier
// before the checkpoint makes the zeros durable before the blocks can be found. Not thread-safe: it works inside one
// transaction.
#pragma once

#include <cstdint>
#include <optional>

#include "libfs/journal/transaction.h"
#include "libfs/space/free_space.h"

namespace xdax {

struct Extent64 {
  FsBlock start;
  std::uint32_t length_blocks = 0;
  bool operator==(const Extent64&) const = default;
};

struct SpaceRequest {
  std::uint32_t least = 1;  ///< blocks
  std::uint32_t most = 1;   ///< blocks
  /// In blocks. Kept where any group can; `must_align` refuses everything else.
  std::uint32_t alignment = 1;
  bool must_align = false;
  std::optional<FsBlock> near;
  ExtentOwner owner;
  /// The blocks read as zeros once the transaction's checkpoint is durable.
  bool zero = false;
  /// May use what is held back for the trees of groups.
  bool reserved = false;
  /// May use the pool that is kept for conversions of unwritten extents.
  bool from_pool = false;
};

class Allocator {
 public:
  explicit Allocator(Transaction& transaction) : transaction_(transaction) {}

  /// An extent. Throws RefusalError (kNoSpace) when no group has one, CorruptionError, IoError.
  [[nodiscard]] Extent64 allocate(const SpaceRequest& wanted);
  /// Gives an extent back that lies in one group. `owner` as for FreeSpace::free().
  void free(const Extent64& extent, const ExtentOwner& owner);
  /// One owner less of blocks of a file: frees those that have none left. `owner` leaves the reverse map.
  void release(const Extent64& extent, const ExtentOwner& owner);
  /// One owner more.
  void share(const Extent64& extent, const ExtentOwner& owner);

 private:
  [[nodiscard]] std::optional<Extent64> in_group(AgNumber ag, const SpaceRequest& request, std::uint32_t least,
                                                 std::uint32_t alignment);

  Transaction& transaction_;
};

}  // namespace xdax

#include "libfs/recovery/finish_exchange.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "libfs/base/error.h"
#include "libfs/inode/fork_writer.h"
#include "libfs/inode/inode_edit.h"
#include "libfs/inode/mapping.h"

namespace xdax {
namespace {

constexpr unsigned kExtentsAtATime = 16;

// What a fork maps from some block on: one extent, cut to the range, or a hole.
struct Piece {
  std::uint64_t length_blocks = 0;
  std::optional<FsBlock> start;  ///< absent for a hole
  bool unwritten = false;
};

Piece piece_at(ForkWriter& fork, std::uint64_t block, std::uint64_t most_blocks) {
  const auto extent = fork.next(FileBlock(block));
  if (!extent) return {.length_blocks = most_blocks};
  const std::uint64_t begin = extent->file_block.value();
  if (begin > block) return {.length_blocks = std::min(most_blocks, begin - block)};
  return {.length_blocks = std::min(most_blocks, begin + extent->length_blocks - block),
          .start = extent->start + (block - begin),
          .unwritten = extent->unwritten};
}

void take(ForkWriter& fork, std::uint64_t block, const Piece& piece) {
  if (piece.start) remove_mappings(fork, FileBlock(block), piece.length_blocks);
}
void give(ForkWriter& fork, std::uint64_t block, const Piece& piece) {
  if (!piece.start) return;
  add_mapping(fork, {.file_block = FileBlock(block),
                     .start = *piece.start,
                     .length_blocks = static_cast<std::uint32_t>(piece.length_blocks),
                     .unwritten = piece.unwritten});
}

class Exchange {
 public:
  Exchange(Transaction& transaction, XmiLogFormat& left)
      : left_(left), one_(transaction, InodeNumber(left.inode1)), other_(transaction, InodeNumber(left.inode2)) {
    require(transaction.geometry().features.exchange(), "this filesystem knows none");
    require_legal(one_, left.igen1, left.isize1);
    require_legal(other_, left.igen2, left.isize2);
    require(fork() == Fork::kAttr || one_.type() == other_.type(), "the inodes are of two kinds");
    const std::uint64_t apart =
        std::max(left.startoff1, left.startoff2).get() - std::min(left.startoff1, left.startoff2).get();
    require(left.inode1 != left.inode2 || apart >= left.blockcount, "the ranges overlap");
  }

  // Whether something is left.
  bool some() {
    ForkWriter one(one_, fork());
    ForkWriter other(other_, fork());
    share_mark();
    for (unsigned done = 0; left_.blockcount != 0;) {
      if (done == kExtentsAtATime) return true;
      if (step(one, other)) ++done;
    }
    finish();
    return false;
  }

 private:
  [[nodiscard]] bool has(std::uint64_t flag) const { return (left_.flags & flag) != 0; }
  [[nodiscard]] Fork fork() const { return has(exchange_flags::kAttrFork) ? Fork::kAttr : Fork::kData; }

  void require_legal(const InodeEdit& inode, std::uint32_t generation, std::uint64_t size) const {
    inode.require_allocated();
    require(inode.core().gen == generation, "an inode is not the one it was announced for");
    require(fork() == Fork::kData || inode.core().forkoff != 0, "an inode has no attributes");
    require(!has(exchange_flags::kSetSizes) || size <= limits::kMaxFileBytes, "a size that no file can have");
  }
  void require(bool holds, const char* otherwise) const {
    if (holds) return;
    throw CorruptionError(
        Errc::kBadStructure,
        fmt::format("{}: the log announces an exchange between inodes {} and {} that cannot be: {}",
                    one_.transaction().journal().device().name(), one_.ino().value(), other_.ino().value(), otherwise));
  }

  // Either file may get shared blocks. That one keeps none in the end the flags may say, but a mount leaves the marks
  // too.
  void share_mark() {
    if (fork() == Fork::kAttr || one_.core().reflink() == other_.core().reflink()) return;
    const InodeEdit& unmarked = one_.core().reflink() ? other_ : one_;
    unmarked.change_core().flags2 = unmarked.core().flags2 | inode_flags2::kReflink;
  }

  // The next pair of extents or holes. Whether they changed places.
  bool step(ForkWriter& one, ForkWriter& other) {
    const std::uint64_t at = left_.startoff1;
    const std::uint64_t other_at = left_.startoff2;
    Piece piece = piece_at(one, at, left_.blockcount);
    if (has(exchange_flags::kInode1Written) && (!piece.start || piece.unwritten)) {
      advance(piece.length_blocks);
      return false;
    }
    Piece other_piece = piece_at(other, other_at, piece.length_blocks);
    piece.length_blocks = other_piece.length_blocks;
    advance(piece.length_blocks);
    if (piece.start == other_piece.start) return false;
    take(one, at, piece);
    take(other, other_at, other_piece);
    give(one, at, other_piece);
    give(other, other_at, piece);
    return true;
  }
  void advance(std::uint64_t blocks) {
    left_.startoff1 = left_.startoff1 + blocks;
    left_.startoff2 = left_.startoff2 + blocks;
    left_.blockcount = left_.blockcount - blocks;
  }

  void finish() {
    if (has(exchange_flags::kSetSizes)) {
      one_.change_core().size = left_.isize1.get();
      other_.change_core().size = left_.isize2.get();
    }
  }

  XmiLogFormat& left_;
  InodeEdit one_, other_;
};

}  // namespace

bool exchange_some(Transaction& transaction, XmiLogFormat& left) { return Exchange(transaction, left).some(); }

}  // namespace xdax

// FileWriter: what two ranges have to do with each other, in one file or in two.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "libfs/base/error.h"
#include "libfs/base/math.h"
#include "libfs/file/file_writer.h"
#include "libfs/inode/mapping.h"
#include "libfs/space/refcount.h"

namespace xdax {
namespace {

// Of an extent that is shared or was: its blocks may have many counts, and each is a change of its own.
constexpr std::uint64_t kSharedAtATime = 256;
constexpr unsigned kStepsAtATime = 16;

std::uint64_t end_of(const Extent& extent) { return extent.file_block.value() + extent.length_blocks; }

bool overlap(std::uint64_t a, std::uint64_t b, std::uint64_t length) { return a < b + length && b < a + length; }

void mark_shared(const InodeEdit& inode) {
  if (inode.core().reflink()) return;
  InodeCore& core = inode.change_core();
  core.flags2 = core.flags2 | inode_flags2::kReflink;
}

// A part of an extent, of at most `blocks` from a file block inside it on.
Extent part_of(const Extent& extent, std::uint64_t block, std::uint64_t blocks) {
  const std::uint64_t cut = block - extent.file_block.value();
  return {.file_block = FileBlock(block),
          .start = extent.start + cut,
          .length_blocks = static_cast<std::uint32_t>(std::min(blocks, extent.length_blocks - cut)),
          .unwritten = extent.unwritten};
}

}  // namespace

// One step: a run of source and destination that is of one kind on each side. Returns its blocks.
std::uint64_t FileWriter::share_some(ForkWriter& source, std::uint64_t from, ForkWriter& fork, std::uint64_t block,
                                     std::uint64_t blocks) {
  const auto there = source.next(FileBlock(from));
  const auto old = fork.next(FileBlock(block));
  const bool mapped = there && there->file_block.value() <= from;
  const bool replaces = old && old->file_block.value() <= block;
  std::uint64_t length = blocks;
  const auto cut = [&](const std::optional<Extent>& extent, bool inside, std::uint64_t at) {
    if (extent) length = std::min(length, (inside ? end_of(*extent) : extent->file_block.value()) - at);
  };
  cut(there, mapped, from);
  cut(old, replaces, block);
  const bool shares = mapped && !there->unwritten;
  if (shares || replaces) length = std::min(length, kSharedAtATime);
  if (shares && replaces) {
    const FsBlock fresh = part_of(*there, from, length).start;
    if (fresh == part_of(*old, block, length).start && !old->unwritten) return length;
  }
  Extent moved;
  if (shares) {
    moved = part_of(*there, from, length);
    moved.file_block = FileBlock(block);
    Allocator(fork.inode().transaction())
        .share({.start = moved.start, .length_blocks = moved.length_blocks}, fork.owner_of(moved));
  }
  if (replaces) fork.free(FileBlock(block), length);
  if (shares) fork.add(moved);
  return length;
}

void FileWriter::share(InodeNumber source_ino, std::uint64_t source_offset_bytes, std::uint64_t offset_bytes,
                       std::uint64_t length_bytes, Grow grow) {
  if (!journal_.geometry().features.reflink()) {
    throw RefusalError(Errc::kNotSupported,
                       fmt::format("{}: was made without shared blocks", journal_.device().name()));
  }
  if (length_bytes == 0) return;
  check_range(offset_bytes, length_bytes);
  check_range(source_offset_bytes, length_bytes);
  std::uint64_t source_size = 0, size = 0;
  {
    Transaction transaction(journal_);
    source_size = InodeEdit(transaction, source_ino).core().size;
    size = InodeEdit(transaction, ino_).core().size;
  }
  const std::uint64_t source_end = source_offset_bytes + length_bytes;
  const std::uint64_t end = offset_bytes + length_bytes;
  const std::uint64_t blocks = div_ceil(length_bytes, block_bytes());
  const bool whole = length_bytes % block_bytes() == 0;
  if (source_offset_bytes % block_bytes() != 0 || offset_bytes % block_bytes() != 0 || source_end > source_size ||
      (!whole && (source_end != source_size || end < size))) {
    throw RefusalError(Errc::kBadArgument, "what is shared is whole blocks inside their file, or ends with both files");
  }
  if (grow == Grow::kNo && end > size) throw RefusalError(Errc::kBadArgument, "the range ends behind its file");
  const std::uint64_t from = source_offset_bytes >> block_log();
  const std::uint64_t to = offset_bytes >> block_log();
  if (source_ino == ino_ && overlap(from, to, blocks)) {
    throw RefusalError(Errc::kBadArgument, "a range cannot share blocks with itself");
  }
  zero_to_new_end(offset_bytes);
  std::uint64_t reached = 0;
  in_transactions(reached, [&](const InodeEdit& inode, std::uint64_t& done) {
    const InodeEdit source(inode.transaction(), source_ino);
    ForkWriter source_fork(source, Fork::kData);
    ForkWriter fork(inode, Fork::kData);
    mark_shared(source);
    mark_shared(inode);
    for (unsigned i = 0; i < kStepsAtATime && done < blocks; ++i) {
      done += share_some(source_fork, from + done, fork, to + done, blocks - done);
    }
    if (grow == Grow::kYes) {
      InodeCore& core = inode.change_core();
      core.size = std::max<std::uint64_t>(core.size, std::min(end, (to + done) << block_log()));
      stamp_times(inode, now_, {.modification = true, .change = true});
    }
    inode.change_core().changecount += 1;
    return done < blocks;
  });
}

// All of it in one transaction: both maps without the ranges first, then each with what the other had.
void FileWriter::exchange_blocks(const InodeEdit& inode, std::uint64_t block, const InodeEdit& other,
                                 std::uint64_t other_block, std::uint64_t blocks) {
  ForkWriter fork(inode, Fork::kData);
  ForkWriter other_fork(other, Fork::kData);
  const auto put = [](ForkWriter& into, std::uint64_t start, const std::vector<Extent>& extents, std::uint64_t from) {
    for (Extent extent : extents) {
      extent.file_block = FileBlock(start + (extent.file_block.value() - from));
      add_mapping(into, extent);
    }
  };
  const std::vector<Extent> mine = remove_mappings(fork, FileBlock(block), blocks);
  const std::vector<Extent> others = remove_mappings(other_fork, FileBlock(other_block), blocks);
  put(fork, block, others, other_block);
  put(other_fork, other_block, mine, block);
  if (inode.core().reflink() || other.core().reflink()) {
    mark_shared(inode);
    mark_shared(other);
  }
  for (const InodeEdit* each : {&inode, &other}) {
    stamp_times(*each, now_, {.modification = true, .change = true});
    each->change_core().changecount += 1;
  }
}

void FileWriter::exchange(InodeNumber other_ino, std::uint64_t other_offset_bytes, std::uint64_t offset_bytes,
                          std::uint64_t length_bytes) {
  check_range(offset_bytes, length_bytes);
  check_range(other_offset_bytes, length_bytes);
  if (length_bytes == 0) return;
  in_transaction([&](const InodeEdit& inode) {
    const InodeEdit other(inode.transaction(), other_ino);
    if ((offset_bytes | other_offset_bytes | length_bytes) % block_bytes() != 0 ||
        offset_bytes + length_bytes > inode.core().size || other_offset_bytes + length_bytes > other.core().size) {
      throw RefusalError(Errc::kBadArgument, "ranges that change places are whole blocks inside their files");
    }
    const std::uint64_t block = offset_bytes >> block_log();
    const std::uint64_t other_block = other_offset_bytes >> block_log();
    const std::uint64_t blocks = length_bytes >> block_log();
    if (other_ino == ino_ && overlap(block, other_block, blocks)) {
      throw RefusalError(Errc::kBadArgument, "ranges that change places must not overlap");
    }
    exchange_blocks(inode, block, other, other_block, blocks);
  });
}

void FileWriter::exchange_rest(InodeNumber other_ino, std::uint64_t other_offset_bytes, std::uint64_t offset_bytes) {
  if (other_ino == ino_) throw RefusalError(Errc::kBadArgument, "a file cannot change its end with itself");
  in_transaction([&](const InodeEdit& inode) {
    const InodeEdit other(inode.transaction(), other_ino);
    const std::uint64_t size = inode.core().size, other_size = other.core().size;
    if ((offset_bytes | other_offset_bytes) % block_bytes() != 0 || offset_bytes > size ||
        other_offset_bytes > other_size) {
      throw RefusalError(Errc::kBadArgument, "ranges that change places begin with a block inside their files");
    }
    check_range(offset_bytes, other_size - other_offset_bytes);
    check_range(other_offset_bytes, size - offset_bytes);
    const std::uint64_t block = offset_bytes >> block_log();
    const std::uint64_t other_block = other_offset_bytes >> block_log();
    // What is allocated behind the end goes with it, as far as the other file can reach.
    const std::uint64_t blocks = limits::kMaxFileBlock - std::max(block, other_block);
    for (const auto& [edit, at] : {std::pair{&inode, block}, std::pair{&other, other_block}}) {
      const auto last = ForkWriter(*edit, Fork::kData).last();
      if (last && end_of(*last) > at + blocks) {
        throw RefusalError(Errc::kTooBig, "blocks behind the end of a file reach past the end of the largest file");
      }
    }
    exchange_blocks(inode, block, other, other_block, blocks);
    inode.change_core().size = offset_bytes + (other_size - other_offset_bytes);
    other.change_core().size = other_offset_bytes + (size - offset_bytes);
  });
}

}  // namespace xdax

#include "libfs/file/file_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "libfs/base/error.h"
#include "libfs/base/math.h"
#include "libfs/format/remote_block.h"
#include "libfs/inode/inactivate.h"
#include "libfs/inode/mapping.h"
#include "libfs/space/refcount.h"

namespace xdax {
namespace {

// What one transaction fills at most.
constexpr std::uint64_t kBytesAtATime = 16u << 20;
constexpr unsigned kExtentsAtATime = 16;

std::uint64_t end_of(const Extent& extent) { return extent.file_block.value() + extent.length_blocks; }

// What a user asked for to be allocated at least, in blocks; 1 when nothing was.
std::uint64_t extent_hint(const InodeCore& core) {
  return (core.flags & inode_flags::kExtsize) != 0 ? std::max<std::uint64_t>(core.extsize, 1) : 1;
}
std::uint64_t copy_hint(const InodeCore& core) {
  return (core.flags2 & inode_flags2::kCowExtsize) != 0 ? std::max<std::uint64_t>(core.cowextsize, 1) : 1;
}

// Where a new extent of a file would best lie: behind the one before it, or near the inode.
FsBlock goal(ForkWriter& fork, std::uint64_t block) {
  const Geometry& geometry = fork.inode().geometry();
  if (block > 0) {
    if (const auto before = fork.find(FileBlock(block - 1))) {
      const FsBlock behind = before->start + before->length_blocks;
      return geometry.valid_fs_block(behind) ? behind : before->start;
    }
  }
  const InodeNumber ino = fork.inode().ino();
  return geometry.fs_block(geometry.ag_of(ino), geometry.ag_block_of(geometry.ag_inode_of(ino)));
}

}  // namespace

void FileWriter::check_range(std::uint64_t offset_bytes, std::uint64_t length_bytes) const {
  if (!range_fits(offset_bytes, length_bytes, limits::kMaxFileBytes)) {
    throw RefusalError(Errc::kTooBig, fmt::format("{} bytes at {} reach past the end of the largest file", length_bytes,
                                                  offset_bytes));
  }
}

// Writes the blocks of an extent whole: `bytes` where they belong, zeros around them.
void FileWriter::fill_blocks(FsBlock start, std::uint64_t first_block, std::uint64_t blocks, std::uint64_t offset_bytes,
                             ByteSpan bytes) {
  const Geometry& geometry = journal_.geometry();
  const std::uint64_t begin = first_block << block_log();
  const std::uint64_t end = begin + (blocks << block_log());
  const std::uint64_t from = std::max(begin, offset_bytes);
  const std::uint64_t to = std::min(end, offset_bytes + bytes.size());
  const std::uint64_t at = geometry.byte_of(start);
  XDAX_ASSERT(from < to);
  // Whole blocks need no copy.
  const std::uint64_t whole_from = round_up(from, block_bytes());
  const std::uint64_t whole_to = round_down(to, block_bytes());
  const auto edge = [&](std::uint64_t block_begin) {
    std::vector<std::byte> block(block_bytes());
    const std::uint64_t cut_from = std::max(block_begin, from);
    const std::uint64_t cut_to = std::min(block_begin + block_bytes(), to);
    std::memcpy(block.data() + (cut_from - block_begin), bytes.data() + (cut_from - offset_bytes), cut_to - cut_from);
    journal_.device().write(at + (block_begin - begin), block);
  };
  if (round_down(from, block_bytes()) < whole_from) edge(round_down(from, block_bytes()));
  if (whole_from < whole_to) {
    journal_.device().write(at + (whole_from - begin), bytes.subspan(whole_from - offset_bytes, whole_to - whole_from));
  }
  if (whole_to < to && whole_to >= whole_from) edge(whole_to);
  journal_.note_data();
}

// How many blocks from `block` on, inside `extent`, are shared or are not.
std::uint64_t FileWriter::shared_run(ForkWriter& fork, const Extent& extent, std::uint64_t block, bool& shared) {
  const std::uint64_t left = end_of(extent) - block;
  shared = false;
  if (!fork.inode().core().reflink() || extent.unwritten) return left;
  const Geometry& geometry = journal_.geometry();
  const FsBlock start = extent.start + (block - extent.file_block.value());
  Group group(fork.inode().transaction(), geometry.ag_of(start));
  const auto run = Refcounts(group).run_at(
      {.start = geometry.ag_block_of(start), .length_blocks = static_cast<std::uint32_t>(left)});
  shared = run.owners > 1;
  return run.length_blocks;
}

// Gives [block, block + blocks) of a shared extent blocks of their own: what they held, with `bytes` over it.
void FileWriter::copy_shared(ForkWriter& fork, const Extent& extent, std::uint64_t block, std::uint64_t blocks,
                             std::uint64_t offset_bytes, ByteSpan bytes) {
  const Geometry& geometry = journal_.geometry();
  Transaction& transaction = fork.inode().transaction();
  std::uint64_t done = 0;
  while (done < blocks) {
    Extent fresh{.file_block = FileBlock(block + done),
                 .start = {},
                 .length_blocks = static_cast<std::uint32_t>(blocks - done),
                 .unwritten = false};
    const FsBlock old = extent.start + (block + done - extent.file_block.value());
    const Extent64 found = Allocator(transaction)
                               .allocate({.least = 1,
                                          .most = fresh.length_blocks,
                                          .alignment = static_cast<std::uint32_t>(copy_hint(fork.inode().core())),
                                          .near = goal(fork, block + done),
                                          .owner = fork.owner_of(fresh)});
    fresh.start = found.start;
    fresh.length_blocks = found.length_blocks;
    std::vector<std::byte> content(std::size_t{fresh.length_blocks} << block_log());
    journal_.device().read(geometry.byte_of(old), content);
    const std::uint64_t begin = (block + done) << block_log();
    const std::uint64_t from = std::max(begin, offset_bytes);
    const std::uint64_t to = std::min(begin + content.size(), offset_bytes + bytes.size());
    if (from < to) std::memcpy(content.data() + (from - begin), bytes.data() + (from - offset_bytes), to - from);
    journal_.device().write(geometry.byte_of(fresh.start), content);
    journal_.note_data();
    fork.free(fresh.file_block, fresh.length_blocks);
    fork.add(fresh);
    done += fresh.length_blocks;
  }
}

// Gives a hole as much as the hint asks for, as far as the hole goes: what is not written yet reads as zeros.
void FileWriter::allocate_by_hint(ForkWriter& fork, std::uint64_t block, std::uint64_t end, std::uint64_t hole_end) {
  const std::uint64_t hint = extent_hint(fork.inode().core());
  const auto before = fork.before(FileBlock(block));
  const std::uint64_t from = std::max(round_down(block, hint), before ? end_of(*before) : 0);
  const std::uint64_t to = std::min({round_up(end, hint), hole_end, limits::kMaxFileBlock + 1});
  // In pieces where space is; where it is in crumbs, what lies before the block stays a hole.
  std::uint64_t at = from;
  for (unsigned i = 0; at <= block; ++i) {
    if (i == kExtentsAtATime) at = block;
    Extent fresh{
        .file_block = FileBlock(at),
        .start = {},
        .length_blocks = static_cast<std::uint32_t>(std::min<std::uint64_t>(to - at, limits::kMaxExtentBlocks)),
        .unwritten = true};
    const Extent64 found = Allocator(fork.inode().transaction())
                               .allocate({.least = 1,
                                          .most = fresh.length_blocks,
                                          .alignment = static_cast<std::uint32_t>(hint),
                                          .near = goal(fork, at),
                                          .owner = fork.owner_of(fresh)});
    fresh.start = found.start;
    fresh.length_blocks = found.length_blocks;
    fork.add(fresh);
    at = end_of(fresh);
  }
}

std::uint64_t FileWriter::write_hole(ForkWriter& fork, std::uint64_t hole_end, std::uint64_t offset_bytes,
                                     ByteSpan bytes) {
  const std::uint64_t block = offset_bytes >> block_log();
  const std::uint64_t wanted = std::min(hole_end, div_ceil(offset_bytes + bytes.size(), block_bytes())) - block;
  if (extent_hint(fork.inode().core()) > 1) {
    allocate_by_hint(fork, block, block + wanted, hole_end);
    return 0;  // the next step finds it
  }
  Extent fresh{.file_block = FileBlock(block),
               .start = {},
               .length_blocks = static_cast<std::uint32_t>(
                   std::min<std::uint64_t>(wanted, std::max<std::uint64_t>(kBytesAtATime >> block_log(), 1))),
               .unwritten = false};
  const Extent64 found =
      Allocator(fork.inode().transaction())
          .allocate(
              {.least = 1, .most = fresh.length_blocks, .near = goal(fork, block), .owner = fork.owner_of(fresh)});
  fresh.start = found.start;
  fresh.length_blocks = found.length_blocks;
  fill_blocks(fresh.start, block, fresh.length_blocks, offset_bytes, bytes);
  fork.add(fresh);
  return std::min<std::uint64_t>(bytes.size(), (end_of(fresh) << block_log()) - offset_bytes);
}

// Space that is there already: only its state changes, which may need a block for the map from the pool.
std::uint64_t FileWriter::write_unwritten(ForkWriter& fork, const Extent& extent, std::uint64_t offset_bytes,
                                          ByteSpan bytes) {
  const std::uint64_t block = offset_bytes >> block_log();
  const std::uint64_t end = std::min({end_of(extent), div_ceil(offset_bytes + bytes.size(), block_bytes()),
                                      block + std::max<std::uint64_t>(kBytesAtATime >> block_log(), 1)});
  fill_blocks(extent.start + (block - extent.file_block.value()), block, end - block, offset_bytes, bytes);
  fork.use_pool(true);
  fork.set_unwritten(FileBlock(block), end - block, false);
  fork.use_pool(false);
  return std::min<std::uint64_t>(bytes.size(), (end << block_log()) - offset_bytes);
}

// A copy of shared blocks takes as much as the hint asks for, where all of that is shared.
void FileWriter::widen_copy(ForkWriter& fork, const Extent& extent, std::uint64_t& from, std::uint64_t& to) {
  const std::uint64_t hint = copy_hint(fork.inode().core());
  if (hint == 1 || hint > kBytesAtATime >> block_log()) return;
  const std::uint64_t wide_from = std::max(round_down(from, hint), extent.file_block.value());
  const std::uint64_t wide_to = std::min(round_up(to, hint), end_of(extent));
  bool shared = false;
  const std::uint64_t run = shared_run(fork, extent, wide_from, shared);
  if (!shared || wide_from + run < to) return;
  from = wide_from;
  to = std::min(wide_to, wide_from + run);
}

std::uint64_t FileWriter::write_into(ForkWriter& fork, const Extent& extent, std::uint64_t offset_bytes,
                                     ByteSpan bytes) {
  if (extent.unwritten) return write_unwritten(fork, extent, offset_bytes, bytes);
  const std::uint64_t block = offset_bytes >> block_log();
  bool shared = false;
  const std::uint64_t run = shared_run(fork, extent, block, shared);
  const std::uint64_t run_end = block + run;
  const std::uint64_t end =
      std::min({(run_end << block_log()), offset_bytes + bytes.size(), offset_bytes + kBytesAtATime});
  const ByteSpan part = bytes.first(end - offset_bytes);
  if (shared) {
    std::uint64_t from = block, to = div_ceil(end, block_bytes());
    widen_copy(fork, extent, from, to);
    copy_shared(fork, extent, from, to - from, offset_bytes, part);
  } else {
    const std::uint64_t into = offset_bytes - (extent.file_block.value() << block_log());
    journal_.device().write(journal_.geometry().byte_of(extent.start) + into, part);
    journal_.note_data();
  }
  return part.size();
}

// At most so many extents in one transaction. Returns how many bytes that was; `done_steps` is how many were done
// before one failed.
std::uint64_t FileWriter::write_steps(std::uint64_t offset_bytes, ByteSpan bytes, unsigned steps,
                                      unsigned& done_steps) {
  std::uint64_t written = 0;
  in_transactions(written, [&](const InodeEdit& inode, std::uint64_t& done) {
    ForkWriter fork(inode, Fork::kData);
    for (done_steps = 0; done_steps < steps && done < bytes.size() && done < kBytesAtATime; ++done_steps) {
      const std::uint64_t at = offset_bytes + done;
      const FileBlock block(at >> block_log());
      const auto extent = fork.next(block);
      if (extent && extent->file_block <= block) {
        done += write_into(fork, *extent, at, bytes.subspan(done));
      } else {
        const std::uint64_t hole_end = extent ? extent->file_block.value() : limits::kMaxFileBlock;
        done += write_hole(fork, hole_end, at, bytes.subspan(done));
      }
    }
    InodeCore& core = inode.change_core();
    // Nothing is written yet when only space was allocated by a hint.
    if (done > 0) core.size = std::max<std::uint64_t>(core.size, offset_bytes + done);
    stamp_times(inode, now_, {.modification = true, .change = true});
    core.changecount += 1;
    return false;
  });
  return written;
}

// One transaction's worth. A step that finds no space may have allocated before it failed, so that its transaction is
// dropped; what comes before it is done again without it.
std::uint64_t FileWriter::write_some(std::uint64_t offset_bytes, ByteSpan bytes) {
  unsigned done_steps = 0;
  try {
    return write_steps(offset_bytes, bytes, kExtentsAtATime, done_steps);
  } catch (const RefusalError& refusal) {
    if (refusal.cause() != Errc::kNoSpace || done_steps == 0) throw;
  }
  const unsigned fitting = done_steps;
  return write_steps(offset_bytes, bytes, fitting, done_steps);
}

void FileWriter::write(std::uint64_t offset_bytes, ByteSpan bytes) {
  if (bytes.empty()) return;
  check_range(offset_bytes, bytes.size());
  zero_to_new_end(offset_bytes);
  for (std::uint64_t done = 0; done < bytes.size();) {
    done += write_some(offset_bytes + done, bytes.subspan(done));
  }
}

// Makes bytes that have blocks zero; holes and unwritten extents are zero already.
void FileWriter::zero_bytes(std::uint64_t begin, std::uint64_t end) {
  if (begin >= end) return;
  in_transactions(begin, [&](const InodeEdit& inode, std::uint64_t& at) {
    ForkWriter fork(inode, Fork::kData);
    for (unsigned i = 0; i < kExtentsAtATime && at < end; ++i) {
      const auto extent = fork.next(FileBlock(at >> block_log()));
      if (!extent || (extent->file_block.value() << block_log()) >= end) return false;
      at = std::max(at, extent->file_block.value() << block_log());
      const std::uint64_t to = std::min(end, end_of(*extent) << block_log());
      if (extent->unwritten) {
        at = to;
        continue;
      }
      bool shared = false;
      const std::uint64_t run = shared_run(fork, *extent, at >> block_log(), shared);
      const std::uint64_t run_end = std::min({to, ((at >> block_log()) + run) << block_log(), at + kBytesAtATime});
      if (shared) {
        const std::vector<std::byte> zeros(run_end - at);
        copy_shared(fork, *extent, at >> block_log(), div_ceil(run_end, block_bytes()) - (at >> block_log()), at,
                    zeros);
      } else {
        const std::uint64_t into = at - (extent->file_block.value() << block_log());
        journal_.device().zero(journal_.geometry().byte_of(extent->start) + into, run_end - at, ZeroMode::kAllocated);
        journal_.note_data();
      }
      at = run_end;
    }
    return at < end;
  });
}

// What lies between the old end and where a file goes on was never part of it, and must not show.
void FileWriter::zero_to_new_end(std::uint64_t end) {
  std::uint64_t size = 0;
  {
    Transaction transaction(journal_);
    size = InodeEdit(transaction, ino_).core().size;
  }
  if (size >= end) return;
  zero_bytes(size, std::max(end, round_up(size, block_bytes())));
}

void FileWriter::set_size(std::uint64_t size_bytes) {
  in_transaction([&](const InodeEdit& inode) {
    inode.change_core().size = size_bytes;
    stamp_times(inode, now_, {.modification = true, .change = true});
    inode.change_core().changecount += 1;
  });
}

void FileWriter::truncate(std::uint64_t size_bytes) {
  check_range(size_bytes, 0);
  zero_to_new_end(size_bytes);
  set_size(size_bytes);
  free_behind(size_bytes);
}

void FileWriter::free_behind(std::uint64_t size_bytes) {
  bool nothing = false;
  in_transactions(nothing, [&](const InodeEdit& inode, bool& /*progress*/) {
    ForkWriter fork(inode, Fork::kData);
    return free_some_blocks(fork, FileBlock(div_ceil(size_bytes, block_bytes())));
  });
}

void FileWriter::allocate(std::uint64_t offset_bytes, std::uint64_t length_bytes, Grow grow) {
  if (length_bytes == 0) throw RefusalError(Errc::kBadArgument, "an empty range cannot be allocated");
  check_range(offset_bytes, length_bytes);
  std::uint64_t begin = offset_bytes >> block_log();
  std::uint64_t end = div_ceil(offset_bytes + length_bytes, block_bytes());
  if (grow == Grow::kYes) zero_to_new_end(offset_bytes + length_bytes);
  {
    Transaction transaction(journal_);
    const std::uint64_t hint = extent_hint(InodeEdit(transaction, ino_).core());
    begin = round_down(begin, hint);
    end = std::min(round_up(end, hint), limits::kMaxFileBlock + 1);
  }
  in_transactions(begin, [&](const InodeEdit& inode, std::uint64_t& block) {
    ForkWriter fork(inode, Fork::kData);
    for (unsigned i = 0; i < kExtentsAtATime && block < end; ++i) {
      const auto extent = fork.next(FileBlock(block));
      if (extent && extent->file_block.value() <= block) {
        block = end_of(*extent);
        continue;
      }
      const std::uint64_t hole_end = std::min(end, extent ? extent->file_block.value() : end);
      Extent fresh{.file_block = FileBlock(block),
                   .start = {},
                   .length_blocks =
                       static_cast<std::uint32_t>(std::min<std::uint64_t>(hole_end - block, limits::kMaxExtentBlocks)),
                   .unwritten = true};
      const Extent64 found =
          Allocator(inode.transaction())
              .allocate(
                  {.least = 1, .most = fresh.length_blocks, .near = goal(fork, block), .owner = fork.owner_of(fresh)});
      fresh.start = found.start;
      fresh.length_blocks = found.length_blocks;
      fork.add(fresh);
      block = end_of(fresh);
    }
    InodeCore& core = inode.change_core();
    core.flags = static_cast<std::uint16_t>(core.flags | inode_flags::kPrealloc);
    if (grow == Grow::kYes) {
      core.size = std::max<std::uint64_t>(core.size, std::min(offset_bytes + length_bytes, block << block_log()));
    }
    stamp_times(inode, now_, {.modification = grow == Grow::kYes, .change = true});
    core.changecount += 1;
    return block < end;
  });
}

void FileWriter::punch(std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  check_range(offset_bytes, length_bytes);
  const std::uint64_t end_bytes = offset_bytes + length_bytes;
  const std::uint64_t begin = div_ceil(offset_bytes, block_bytes());
  const std::uint64_t end = end_bytes >> block_log();
  if (begin >= end) {
    zero_bytes(offset_bytes, end_bytes);
  } else {
    zero_bytes(offset_bytes, begin << block_log());
    zero_bytes(end << block_log(), end_bytes);
    std::uint64_t reached = begin;
    in_transactions(reached, [&](const InodeEdit& inode, std::uint64_t& at) {
      ForkWriter fork(inode, Fork::kData);
      std::uint64_t blocks_left = inode.core().reflink() ? 256 : ~0ull;
      bool more = false;
      for (unsigned i = 0; i < kExtentsAtATime; ++i) {
        const auto extent = fork.next(FileBlock(at));
        more = extent && extent->file_block.value() < end;
        if (!more) break;
        at = std::max(at, extent->file_block.value());
        const std::uint64_t length = std::min(std::min(end_of(*extent), end) - at, blocks_left);
        if (length == 0) break;
        fork.free(FileBlock(at), length);
        at += length;
        blocks_left -= length;
      }
      return more;
    });
  }
  in_transaction([&](const InodeEdit& inode) {
    stamp_times(inode, now_, {.modification = true, .change = true});
    inode.change_core().changecount += 1;
  });
}

void FileWriter::zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, Grow grow) {
  check_range(offset_bytes, length_bytes);
  punch(offset_bytes, length_bytes);
  allocate(offset_bytes, length_bytes, grow);
}

// Moves every extent from a file block on: to the front the first one first, to the back the last one.
void FileWriter::shift(std::uint64_t from_block, std::int64_t by_blocks) {
  const bool to_front = by_blocks < 0;
  // To the front: where the next one is looked for. To the back: all from here on were moved.
  std::uint64_t reached = to_front ? from_block : limits::kMaxFileBlock;
  in_transactions(reached, [&](const InodeEdit& inode, std::uint64_t& border) {
    ForkWriter fork(inode, Fork::kData);
    for (unsigned i = 0; i < kExtentsAtATime / 2; ++i) {
      const auto extent = to_front ? fork.next(FileBlock(border)) : fork.before(FileBlock(border));
      if (!extent || end_of(*extent) <= from_block) return false;
      Extent part = *extent;
      if (part.file_block.value() < from_block) {
        const std::uint64_t cut = from_block - part.file_block.value();
        part.file_block = FileBlock(from_block);
        part.start = part.start + cut;
        part.length_blocks -= static_cast<std::uint32_t>(cut);
      }
      border = to_front ? end_of(part) : part.file_block.value();
      move_extent(fork, part, FileBlock(part.file_block.value() + static_cast<std::uint64_t>(by_blocks)));
    }
    return true;
  });
}

// The blocks stay; where in the file they are changes.
void FileWriter::move_extent(ForkWriter& fork, const Extent& extent, FileBlock to) {
  Extent moved = extent;
  moved.file_block = to;
  remove_mappings(fork, extent.file_block, extent.length_blocks);
  add_mapping(fork, moved);
}

void FileWriter::collapse(std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  std::uint64_t size = 0;
  {
    Transaction transaction(journal_);
    size = InodeEdit(transaction, ino_).core().size;
  }
  check_range(offset_bytes, length_bytes);
  if (length_bytes == 0 || offset_bytes % block_bytes() != 0 || length_bytes % block_bytes() != 0 ||
      offset_bytes + length_bytes >= size) {
    throw RefusalError(Errc::kBadArgument, "a range that is taken out is whole blocks inside the file");
  }
  punch(offset_bytes, length_bytes);
  shift((offset_bytes + length_bytes) >> block_log(), -static_cast<std::int64_t>(length_bytes >> block_log()));
  set_size(size - length_bytes);
}

void FileWriter::insert(std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  std::uint64_t size = 0;
  {
    Transaction transaction(journal_);
    size = InodeEdit(transaction, ino_).core().size;
  }
  check_range(size, length_bytes);
  if (length_bytes == 0 || offset_bytes % block_bytes() != 0 || length_bytes % block_bytes() != 0 ||
      offset_bytes >= size) {
    throw RefusalError(Errc::kBadArgument, "a hole is opened in whole blocks inside the file");
  }
  // Nothing behind the end may be pushed past the largest file.
  free_behind(size);
  set_size(size + length_bytes);
  shift(offset_bytes >> block_log(), static_cast<std::int64_t>(length_bytes >> block_log()));
}

void FileWriter::unshare(std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  check_range(offset_bytes, length_bytes);
  std::uint64_t begin = offset_bytes >> block_log();
  const std::uint64_t end = div_ceil(offset_bytes + length_bytes, block_bytes());
  in_transactions(begin, [&](const InodeEdit& inode, std::uint64_t& block) {
    ForkWriter fork(inode, Fork::kData);
    for (unsigned i = 0; i < kExtentsAtATime && block < end; ++i) {
      const auto extent = fork.next(FileBlock(block));
      if (!extent || extent->file_block.value() >= end) return false;
      block = std::max(block, extent->file_block.value());
      bool shared = false;
      const std::uint64_t run = std::min({shared_run(fork, *extent, block, shared), end - block,
                                          std::max<std::uint64_t>(kBytesAtATime >> block_log(), 1)});
      if (shared) copy_shared(fork, *extent, block, run, 0, {});
      block += run;
    }
    return block < end;
  });
}

void write_symlink(const InodeEdit& inode, std::string_view target) {
  if (target.empty() || target.size() > limits::kMaxSymlinkBytes || target.find('\0') != std::string_view::npos) {
    throw RefusalError(Errc::kBadArgument, "the target of a symbolic link has 1 to 1024 bytes, none of them zero");
  }
  InodeCore& core = inode.change_core();
  core.size = target.size();
  const ForkArea area = fork_area(core, inode.geometry().inode_bytes, Fork::kData);
  if (target.size() <= area.size_bytes) {
    core.format = static_cast<std::uint8_t>(ForkFormat::kLocal);
    const MutableByteSpan fork = inode.change_fork(Fork::kData);
    std::memcpy(fork.data(), target.data(), target.size());
    return;
  }
  const Geometry& geometry = inode.geometry();
  ForkWriter fork(inode, Fork::kData);
  std::size_t done = 0;
  for (std::uint64_t at = 0; done < target.size();) {
    const auto most = static_cast<std::uint32_t>(
        div_ceil(target.size() - done + sizeof(RemoteHeader), std::size_t{geometry.block_bytes}));
    const Extent extent = fork.allocate(FileBlock(at), 1, most);
    const BlockPlace where{.byte = geometry.byte_of(extent.start),
                           .length_bytes = extent.length_blocks << geometry.block_log};
    const MutableByteSpan block =
        inode.transaction().create(where, {.kind = MetadataKind::kSymlink, .owner = inode.ino()});
    const std::size_t bytes =
        std::min<std::size_t>(target.size() - done, remote_capacity_bytes(static_cast<std::uint32_t>(block.size())));
    auto& header = mutable_view<RemoteHeader>(block);
    header.magic = RemoteHeader::kSymlinkMagic;
    header.offset = static_cast<std::uint32_t>(done);
    header.bytes = static_cast<std::uint32_t>(bytes);
    header.uuid = geometry.uuid;
    header.owner = inode.ino().value();
    header.blkno = where.byte >> kBasicBlockLog;
    std::memcpy(block.data() + sizeof(RemoteHeader), target.data() + done, bytes);
    done += bytes;
    at += extent.length_blocks;
  }
}

}  // namespace xdax

// The bytes of a regular file, to be changed.
//
// Large operations take many transactions; each leaves the file sound, and a crash between two leaves it as after the
// first. Fresh blocks are filled, with data or with zeros, before the transaction that maps them can be durable, so
// that nothing that lay there before is ever read. Bytes that are shared with another file are copied before they
// change. Nothing is durable before Journal::sync().
//
// The caller keeps two writers of one file apart. Errors: RefusalError (kNoSpace, kTooBig, kBadArgument),
// CorruptionError, IoError; what earlier transactions of the operation did stays. Source: behaviour of a kernel for the
// same calls (tests/oracle/filesystem_kernel_test.cc).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "libfs/base/error.h"
#include "libfs/format/timestamp.h"
#include "libfs/inode/fork_writer.h"
#include "libfs/inode/inode_edit.h"
#include "libfs/journal/journal.h"

namespace xdax {

class FileWriter {
 public:
  /// `commit` commits a transaction; whoever keeps readers apart does it there.
  using CommitFunction = std::function<void(Transaction&)>;

  FileWriter(Journal& journal, InodeNumber ino, Timestamp now, CommitFunction commit)
      : journal_(journal), ino_(ino), now_(now), commit_(std::move(commit)) {}

  /// Writes all of `bytes`; the file grows when it must.
  void write(std::uint64_t offset_bytes, ByteSpan bytes);
  /// Sets the size; what is behind it is freed, what comes new is a hole.
  void truncate(std::uint64_t size_bytes);

  enum class Grow : std::uint8_t { kYes, kNo };
  /// Gives every hole of the range blocks that read as zeros; with kYes the file reaches at least its end.
  void allocate(std::uint64_t offset_bytes, std::uint64_t length_bytes, Grow grow);
  /// Makes the range read as zeros and gives whole blocks of it back.
  void punch(std::uint64_t offset_bytes, std::uint64_t length_bytes);
  /// Makes the range read as zeros and has blocks for it.
  void zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, Grow grow);
  /// Takes the range out and moves what is behind it to the front, or opens a hole and moves what is behind it back. In
  /// whole blocks, inside the file.
  void collapse(std::uint64_t offset_bytes, std::uint64_t length_bytes);
  void insert(std::uint64_t offset_bytes, std::uint64_t length_bytes);
  /// Gives the file blocks of its own wherever it shares them.
  void unshare(std::uint64_t offset_bytes, std::uint64_t length_bytes);

  /// Gives the range the blocks of another file's range, or of another range of this file, which stay shared until one
  /// of the two is written; holes and what was never written become holes. Offsets are whole blocks; so is the length,
  /// but for a source range that ends with its file, where this file must not go on behind it. With kYes the file grows
  /// to the end of the range, and times change. kNotSupported where the filesystem cannot share.
  void share(InodeNumber source, std::uint64_t source_offset_bytes, std::uint64_t offset_bytes,
             std::uint64_t length_bytes, Grow grow);
  /// Two ranges of whole blocks inside their files change places, all of it or nothing of it; kNoSpace when the log
  /// cannot take it at once.
  void exchange(InodeNumber other, std::uint64_t other_offset_bytes, std::uint64_t offset_bytes,
                std::uint64_t length_bytes);
  /// The same of all that lies behind the offsets, with the ends of the files.
  void exchange_rest(InodeNumber other, std::uint64_t other_offset_bytes, std::uint64_t offset_bytes);

 private:
  /// Calls `change(inode, progress)` in one transaction after another until it says that there is no more to do. What
  /// it makes of `progress` counts once its transaction is committed.
  template <class Progress, class Change>
  void in_transactions(Progress& progress, const Change& change);
  /// The same, of what is done in one.
  template <class Change>
  void in_transaction(const Change& change);

  [[nodiscard]] std::uint32_t block_log() const { return journal_.geometry().block_log; }
  [[nodiscard]] std::uint64_t block_bytes() const { return journal_.geometry().block_bytes; }
  void check_range(std::uint64_t offset_bytes, std::uint64_t length_bytes) const;
  [[nodiscard]] std::uint64_t write_some(std::uint64_t offset_bytes, ByteSpan bytes);
  [[nodiscard]] std::uint64_t write_steps(std::uint64_t offset_bytes, ByteSpan bytes, unsigned steps,
                                          unsigned& done_steps);
  [[nodiscard]] std::uint64_t write_into(ForkWriter& fork, const Extent& extent, std::uint64_t offset_bytes,
                                         ByteSpan bytes);
  [[nodiscard]] std::uint64_t write_hole(ForkWriter& fork, std::uint64_t hole_end, std::uint64_t offset_bytes,
                                         ByteSpan bytes);
  [[nodiscard]] std::uint64_t write_unwritten(ForkWriter& fork, const Extent& extent, std::uint64_t offset_bytes,
                                              ByteSpan bytes);
  void allocate_by_hint(ForkWriter& fork, std::uint64_t block, std::uint64_t end, std::uint64_t hole_end);
  void widen_copy(ForkWriter& fork, const Extent& extent, std::uint64_t& from, std::uint64_t& to);
  [[nodiscard]] std::uint64_t shared_run(ForkWriter& fork, const Extent& extent, std::uint64_t block, bool& shared);
  void copy_shared(ForkWriter& fork, const Extent& extent, std::uint64_t block, std::uint64_t blocks,
                   std::uint64_t offset_bytes, ByteSpan bytes);
  void fill_blocks(FsBlock start, std::uint64_t first_block, std::uint64_t blocks, std::uint64_t offset_bytes,
                   ByteSpan bytes);
  void zero_bytes(std::uint64_t begin, std::uint64_t end);
  void zero_to_new_end(std::uint64_t end);
  void set_size(std::uint64_t size_bytes);
  void free_behind(std::uint64_t size_bytes);
  void shift(std::uint64_t from_block, std::int64_t by_blocks);
  void move_extent(ForkWriter& fork, const Extent& extent, FileBlock to);
  [[nodiscard]] std::uint64_t share_some(ForkWriter& source, std::uint64_t from, ForkWriter& fork, std::uint64_t block,
                                         std::uint64_t blocks);
  void exchange_blocks(const InodeEdit& inode, std::uint64_t block, const InodeEdit& other, std::uint64_t other_block,
                       std::uint64_t blocks);

  Journal& journal_;
  InodeNumber ino_;
  Timestamp now_;
  CommitFunction commit_;
};

// A failure for want of space may only mean that what was freed is not durable yet: then once more, from where the
// transaction that failed began.
template <class Progress, class Change>
void FileWriter::in_transactions(Progress& progress, const Change& change) {
  bool synced = false;
  for (bool more = true; more;) {
    bool try_again = false;
    {
      Transaction transaction(journal_);
      const InodeEdit inode(transaction, ino_);
      Progress reached = progress;
      try {
        more = change(inode, reached);
        commit_(transaction);
        progress = reached;
      } catch (const RefusalError& refusal) {
        if (refusal.cause() != Errc::kNoSpace || synced || !journal_.has_busy()) throw;
        try_again = true;
      }
    }
    if (!try_again) continue;
    journal_.sync();
    synced = true;
    more = true;
  }
}

template <class Change>
void FileWriter::in_transaction(const Change& change) {
  bool nothing = false;
  in_transactions(nothing, [&](const InodeEdit& inode, bool& /*progress*/) {
    change(inode);
    return false;
  });
}

/// Stores the target of a new symbolic link, 1 to 1024 bytes: in the inode when it fits, in blocks otherwise.
void write_symlink(const InodeEdit& inode, std::string_view target);

}  // namespace xdax

// The journal of a filesystem that is being changed: what was committed and is not yet in the log, what is in the log
// and not yet home, and the order in which one becomes the other.
//
//   commit      publishes a transaction's blocks to the cache; they belong to the open checkpoint
//   checkpoint  barrier; the open checkpoint goes to the log as one transaction; barrier. Its blocks are now durable
//   write home  blocks of durable checkpoints go where they belong, stamped with their checkpoint's LSN; the tail of
//               the log moves past them at the next barrier
//
// Space that a transaction frees is busy until its checkpoint is durable. A failure to write leaves everything as it
// was: the same may be tried again. One transaction runs at a time; whoever only reads goes through view() and waits
// for nobody. Thread-safe. JOURNAL.md draws it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "libfs/cache/cache.h"
#include "libfs/device/device.h"
#include "libfs/format/geometry.h"
#include "libfs/journal/log_changes.h"
#include "libfs/journal/log_reader.h"
#include "libfs/journal/log_writer.h"

namespace xdax {

/// What the superblock counts and only memory keeps up to date.
struct SummaryCounters {
  std::uint64_t inodes = 0;
  std::uint64_t free_inodes = 0;
  std::uint64_t free_blocks = 0;  ///< with those on free lists and in free-space trees
};

/// A change of the counters.
struct CounterChange {
  std::int64_t inodes = 0;
  std::int64_t free_inodes = 0;
  std::int64_t free_blocks = 0;
};

/// What one commit brings.
struct Commit {
  struct Block {
    BlockPlace place;
    MetadataIdentity identity;
    Version before;  ///< what the transaction started from; null for a new block
    Version after;   ///< null: given up
  };
  std::vector<Block> blocks;
  std::vector<NewInodes> new_inodes;
  std::vector<std::pair<FsBlock, std::uint32_t>> freed;  ///< extents, start and length in blocks
  CounterChange counters;
  std::vector<LogItem> notes;  ///< items that change no block: intents, and that they are done
};

class Journal {
 public:
  /// Of a filesystem whose log is clean, as `summary` says; `counters` are its superblock's. Both must outlive it.
  Journal(Device& device, const Geometry& geometry, const LogSummary& summary, const SummaryCounters& counters);

  /// Of a filesystem whose log was replayed, as `walk` found it, and is not to be ended before what it announces is
  /// done: it is gone on with where it ends. What was replayed is durable by the first commit. Nothing is written here.
  Journal(Device& device, const Geometry& geometry, const LogSummary& summary, const LogWalkResult& walk,
          const SummaryCounters& counters);
  /// Writes the open checkpoint before it takes more than so many log blocks (512 bytes), where it would not be written
  /// sooner: more checkpoints, each smaller.
  void limit_checkpoint(std::uint64_t log_blocks) { checkpoint_limit_ = log_blocks; }
  /// Nothing that such a log held before is needed any more, once what was committed is in it.
  void release_log();

  [[nodiscard]] Device& device() { return device_; }
  [[nodiscard]] Cache& cache() { return cache_; }
  [[nodiscard]] const Geometry& geometry() const { return geometry_; }

  /// Everything committed before the call is durable when it returns. Throws IoError: it is then as it was before.
  void sync();
  /// sync(), and every block is written home and durable there; the log is empty then, but for its last record. Throws
  /// IoError.
  void write_back();
  /// Brings the superblock's counters up to date, writes everything back, and ends the log with an unmount record.
  /// Nothing may be committed afterwards. Throws IoError; may be called again then.
  void close();
  [[nodiscard]] bool closed() const { return closed_; }

  // For a transaction, between begin() and end(), which one thread at a time may stand.
  /// Waits for its turn and makes room in the log for a transaction. Throws IoError, and the turn is over then.
  void begin();
  void end();
  /// Makes all of it visible at once. Throws RefusalError (kNoSpace) when the log cannot hold it; nothing is changed.
  void commit(Commit commit);
  /// The first part of [start, start + length) that is not busy; nothing when all of it is.
  [[nodiscard]] std::vector<std::pair<FsBlock, std::uint32_t>> not_busy(FsBlock start, std::uint32_t length) const;
  /// Whether anything is busy, so that a checkpoint may give space.
  [[nodiscard]] bool has_busy() const { return !busy_.empty(); }
  /// Bytes of files were written that a commit to come refers to.
  void note_data() { data_pending_ = true; }
  [[nodiscard]] const SummaryCounters& counters() const { return counters_; }

  /// Space that ordinary allocations may use now: what was usable when `usable_blocks` was told, and what changed
  /// since, without the pool that only conversions of unwritten extents may use. No limit until it is told.
  void set_usable(std::uint64_t usable_blocks, std::uint64_t pool_blocks);
  [[nodiscard]] std::optional<std::uint64_t> usable_blocks(const SummaryCounters& now) const;

 private:
  std::uint64_t checkpoint_limit_ = ~0ull;  ///< log blocks

  /// A block that is not home as it is now.
  struct Block {
    BlockPlace place;
    MetadataIdentity identity;
    Version logged;            ///< as of the last checkpoint; null when it is new since
    Version current;           ///< as committed last
    bool open = false;         ///< current is of the open checkpoint
    std::optional<Lsn> since;  ///< oldest checkpoint that is not home; `logged` is what goes home then
  };

  /// Of what is logged.
  struct Amount {
    std::uint64_t regions = 0;
    std::uint64_t bytes = 0;
  };

  void checkpoint();
  void write_home();
  void barrier();
  [[nodiscard]] Lsn tail() const;
  [[nodiscard]] std::vector<LogItem> open_items() const;
  [[nodiscard]] Amount amount_of(const Commit& commit) const;
  void make_durable(Lsn lsn);

  Device& device_;
  const Geometry& geometry_;
  Cache cache_;
  std::mutex turn_;  ///< guards everything below
  LogWriter log_;
  SummaryCounters counters_;
  std::map<std::uint64_t, Block> blocks_;
  std::set<BlockPlace> given_up_;                ///< in the open checkpoint
  std::vector<Lsn> held_;                        ///< since when blocks given up in the open checkpoint were in the log
  std::vector<NewInodes> new_inodes_;            ///< of the open checkpoint
  std::vector<LogItem> notes_;                   ///< of the open checkpoint
  std::map<std::uint64_t, std::uint32_t> busy_;  ///< freed in the open checkpoint: packed block, length
  std::vector<Lsn> on_the_way_;                  ///< of blocks written home since the last barrier
  Amount open_;                                  ///< of the open checkpoint, at most
  /// Usable blocks less free ones, and the pool; absent until told.
  std::optional<std::int64_t> usable_less_free_;
  std::uint64_t pool_blocks_ = 0;
  std::optional<Lsn> kept_tail_;  ///< of a log that was gone on with
  bool clear_ahead_ = false;      ///< before the first record
  bool data_pending_ = false;
  bool closed_ = false;
};

/// The journal of a filesystem with a clean log, to change it. Throws RefusalError (kNotSupported) when the log is not
/// clean, CorruptionError for a damaged superblock, IoError.
[[nodiscard]] std::unique_ptr<Journal> open_journal(Device& device, const Geometry& geometry);

}  // namespace xdax

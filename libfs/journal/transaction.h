// One atomic change of the filesystem.
//
// A transaction changes private copies of metadata blocks. commit() verifies them and makes all of them visible at
// once; without it, by an exception or on purpose, nothing has happened. Transactions of one journal run one at a time:
// the constructor waits. Blocks that were handed out stay where they are until the transaction ends.
//
// Not thread-safe: it belongs to the thread that made it, which must not make a second one meanwhile.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "libfs/device/device.h"
#include "libfs/format/metadata_block.h"
#include "libfs/journal/journal.h"

namespace xdax {

class Transaction {
 public:
  /// Waits for its turn. Throws IoError when room in the log cannot be made.
  explicit Transaction(Journal& journal);
  /// Drops what was not committed.
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  [[nodiscard]] const Geometry& geometry() const { return journal_.geometry(); }
  [[nodiscard]] Journal& journal() { return journal_; }
  /// The filesystem as this transaction sees it, its own changes included, read-only.
  [[nodiscard]] Device& view();

  /// A block to look at: as it is now, this transaction's changes included. Throws as Cache::read() does.
  [[nodiscard]] ByteSpan read(const BlockPlace& place, const MetadataIdentity& identity);
  /// The same, to be changed.
  [[nodiscard]] MutableByteSpan change(const BlockPlace& place, const MetadataIdentity& identity);
  /// A block of zeros where there was none.
  [[nodiscard]] MutableByteSpan create(const BlockPlace& place, const MetadataIdentity& identity);
  /// A block that was changed or created here is of another kind now.
  void retype(const BlockPlace& place, const MetadataIdentity& identity);
  /// The block is metadata no longer.
  void give_up(const BlockPlace& place);
  /// Makes the inodes of a chunk, or of a part of one. Their cluster blocks may be changed afterwards.
  void create_inodes(const NewInodes& inodes);

  /// Puts an item into the log that changes no block: an intent, or that one is done.
  void note(LogItem item) { notes_.push_back(std::move(item)); }

  /// Notes that an extent was freed: it is not handed out before that is durable.
  void freed(FsBlock start, std::uint32_t length_blocks) { freed_.emplace_back(start, length_blocks); }
  /// Parts of an extent of free space that may be handed out.
  [[nodiscard]] std::vector<std::pair<FsBlock, std::uint32_t>> available(FsBlock start, std::uint32_t length) const;
  /// The counters of the superblock as this transaction leaves them.
  [[nodiscard]] SummaryCounters counters() const;
  [[nodiscard]] CounterChange& counter_change() { return counters_; }

  /// Verifies every block that changed and makes all visible. Throws CorruptionError when one would be written damaged,
  /// RefusalError (kNoSpace) when the log is too small; nothing is changed then.
  void commit();

 private:
  struct Block {
    BlockPlace place;
    MetadataIdentity identity;
    std::shared_ptr<std::vector<std::byte>> bytes;  ///< null: given up
    Version before;                                 ///< null: new
  };
  class View;

  [[nodiscard]] static ByteSpan bytes_before(const Block& block) {
    return block.before == nullptr ? ByteSpan() : ByteSpan(*block.before);
  }
  /// Makes the checksums of what changed right. The block is not given up.
  void seal(Block& block) const;

  Journal& journal_;
  bool open_ = true;
  std::map<std::uint64_t, Block> blocks_;
  std::vector<Version> seen_;  ///< keeps what was only read alive
  struct Seen {
    MetadataIdentity identity;
    Version version;
  };
  std::map<std::uint64_t, Seen> read_;
  std::vector<NewInodes> new_inodes_;
  std::vector<LogItem> notes_;
  std::vector<std::pair<FsBlock, std::uint32_t>> freed_;
  CounterChange counters_;
  std::unique_ptr<View> view_;
};

}  // namespace xdax

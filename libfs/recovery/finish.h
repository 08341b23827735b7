// Finishes what a replayed log leaves to be done, as a mount would: intents that were announced and not done, blocks
// that were staged for copy on write by files that nobody has open any more, and inodes without a name.
//
// All of it goes through a journal that goes on with the dirty log, and the last transaction of an intent also says in
// the log that it is done. So a crash at any moment leaves a log that, replayed and finished again, leads to the same
// end. An intent is finished in one transaction, but for reference counts of blocks that are shared in many ways and
// for exchanges of many extents: those take a part at a time, and what is left of the intent is announced anew. Source:
// XFS Algorithms & Data Structures, "Extent Freeing Intents" and those behind it; what a mount makes of them was learnt
// from tests/oracle/recovery_finish_kernel_test.cc and recovery_intents_kernel_test.cc.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "libfs/journal/journal.h"
#include "libfs/journal/log_walk.h"
#include "libfs/journal/transaction.h"

namespace xdax {

struct FinishCounts {
  std::vector<LogItem> intents;      ///< that were finished, in order
  std::uint64_t inodes = 0;          ///< without a name, freed
  std::uint64_t staged_extents = 0;  ///< freed
};

class Finisher {
 public:
  /// `intents` as Replay::unfinished() gives them.
  Finisher(Journal& journal, std::vector<LogItem> intents);

  /// Whether there is anything to be done. Throw CorruptionError, IoError.
  [[nodiscard]] bool needed() const;
  /// Does it; not durable before the journal is closed. Throws CorruptionError for an intent that cannot be,
  /// RefusalError (kNoSpace), IoError.
  FinishCounts run();

 private:
  void intent(const LogItem& item);
  void free_extents(const LogItem& item);
  void change_reverse_map(const LogItem& item);
  void change_refcounts(const LogItem& item);
  void change_extent_maps(const LogItem& item);
  void change_attribute(const LogItem& item);
  void exchange(const LogItem& item);
  void free_staged(AgNumber ag);
  [[nodiscard]] std::uint64_t new_id();

  Journal& journal_;
  std::vector<LogItem> intents_;
  std::set<std::uint64_t> ids_;  ///< of intents in the log
  FinishCounts counts_;
};

}  // namespace xdax

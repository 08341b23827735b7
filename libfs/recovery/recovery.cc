#include "libfs/recovery/recovery.h"

#include <fmt/format.h>

#include "libfs/base/crc32c.h"
#include "libfs/base/error.h"
#include "libfs/format/agf.h"
#include "libfs/format/agi.h"
#include "libfs/format/superblock.h"
#include "libfs/journal/log_end.h"
#include "libfs/recovery/owner_change.h"
#include "libfs/recovery/resized.h"

namespace xdax {
namespace {

class Recovery {
 public:
  Recovery(Device& device, const Geometry& geometry) : device_(device), geometry_(geometry) {}

  RecoveryReport run() {
    const LogPlace place = LogPlace::of(geometry_);
    report_.log = read_log_summary(device_, place);
    if (report_.log.state == LogState::kClean) return std::move(report_);
    if (report_.log.state != LogState::kDirty && !(report_.log.tail && report_.log.head)) {
      throw RefusalError(Errc::kNotSupported,
                         fmt::format("{}: the log cannot be replayed: it is {}: {}", device_.name(),
                                     to_string(report_.log.state), report_.log.detail));
    }
    // What is logged before a shrink, or behind a growth, may lie in the larger of the two only.
    const Geometry old = geometry_;
    report_.resized = geometry_behind_log(device_, geometry_, report_.log);
    if (report_.resized && report_.resized->data_blocks > old.data_blocks) geometry_ = *report_.resized;
    Replay replay(device_, geometry_);
    report_.walk = walk_log(device_, place, report_.log,
                            [&](const LogTransaction& transaction) { replay.look_ahead(transaction); });
    report_.walk =
        walk_log(device_, place, report_.log, [&](const LogTransaction& transaction) { replay.apply(transaction); });
    report_.counts = replay.counts();
    for (const std::uint64_t ino : replay.inodes()) report_.inodes.emplace_back(ino);
    report_.unfinished = replay.unfinished();
    for (const auto& [ino, fork] : replay.owner_changes()) own_map_blocks(device_, geometry_, InodeNumber(ino), fork);
    if (report_.resized) geometry_ = *report_.resized;
    groups();
    counters();
    if (report_.resized) write_superblock_copies(device_, geometry_);
    return std::move(report_);
  }

 private:
  template <class Header>
  [[nodiscard]] Header header(AgNumber ag, std::uint32_t index, const char* name,
                              Flaws (*verify)(ByteSpan, const Geometry&, AgNumber)) const {
    std::vector<std::byte> sector(geometry_.sector_bytes);
    device_.read(geometry_.header_byte(ag, index), sector);
    if (const Flaws flaws = verify(sector, geometry_, ag); !flaws.empty()) {
      throw CorruptionError(Errc::kBadStructure, fmt::format("{}: {} {}: {} ought to be {}", device_.name(), name,
                                                             ag.value(), flaws[0].field, flaws[0].rule));
    }
    return view<Header>(sector);
  }

  void groups() {
    for (std::uint32_t i = 0; i < geometry_.ag_count; ++i) {
      const AgNumber ag(i);
      const auto agf = header<Agf>(ag, 1, "agf", verify_agf);
      const auto agi = header<Agi>(ag, 2, "agi", verify_agi);
      report_.counters.free_blocks += std::uint64_t{agf.freeblks} + agf.flcount + agf.btreeblks;
      report_.counters.inodes += agi.count;
      report_.counters.free_inodes += agi.freecount;
      for (const be32& head : agi.unlinked) {
        if (head != kNullAgInode.value()) ++report_.unlinked_lists;
      }
    }
  }

  // They are only kept up to date in memory.
  void counters() {
    std::vector<std::byte> sector(geometry_.sector_bytes);
    device_.read(0, sector);
    auto& superblock = mutable_view<Superblock>(sector);
    superblock.icount = report_.counters.inodes;
    superblock.ifree = report_.counters.free_inodes;
    superblock.fdblocks = report_.counters.free_blocks;
    seal(sector, offsetof(Superblock, crc));
    device_.write(0, sector);
  }

  Device& device_;
  Geometry geometry_;
  RecoveryReport report_;
};

}  // namespace

RecoveryReport replay_log(Device& device, const Geometry& geometry) { return Recovery(device, geometry).run(); }

void finish_log(Device& device, const Geometry& geometry, RecoveryReport& report, const RecoveryOptions& options) {
  if (report.log.state != LogState::kDirty || report.walk.damage) return;
  const Geometry& now = report.resized ? *report.resized : geometry;
  Journal journal(device, now, report.log, report.walk, report.counters);
  if (options.checkpoint_log_blocks != 0) journal.limit_checkpoint(options.checkpoint_log_blocks);
  Finisher finisher(journal, report.unfinished);
  if (!finisher.needed()) return end_log(device, now, report.log);
  report.finished = finisher.run();
  journal.close();
  report.unfinished.clear();
  report.unlinked_lists = 0;
}

RecoveryReport recover(Device& device, const Geometry& geometry, const RecoveryOptions& options) {
  RecoveryReport report = replay_log(device, geometry);
  if (report.log.state == LogState::kDirty) device.persist();
  finish_log(device, geometry, report, options);
  return report;
}

}  // namespace xdax

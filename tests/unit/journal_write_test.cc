// Commits, checkpoints and what is on the device after each: every state must replay to what was synced.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>

#include "libfs/base/error.h"
#include "libfs/device/fault_device.h"
#include "libfs/device/memory_device.h"
#include "libfs/device/overlay_device.h"
#include "libfs/device/recording_device.h"
#include "libfs/format/inode.h"
#include "libfs/format/remote_block.h"
#include "libfs/journal/transaction.h"
#include "libfs/recovery/recovery.h"
#include "mkfs/format.h"
#include "mkfs/plan.h"

namespace xdax::test {
namespace {

class JournalWrite : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  JournalWrite() {
    mkfs::FormatRequest request;
    request.allow_tiny = true;
    request.log_stripe_bytes = GetParam() == 0 ? std::optional<std::uint64_t>() : GetParam();
    const mkfs::Plan plan = mkfs::make_plan(request, mkfs::DeviceFacts::of(device_));
    mkfs::format_device(device_, plan, {});
    geometry_ = plan.geometry;
  }

  [[nodiscard]] BlockPlace cluster() const {
    return {.byte = geometry_.byte_of(geometry_.root_inode), .length_bytes = geometry_.inode_cluster_bytes()};
  }
  static constexpr MetadataIdentity kCluster{.kind = MetadataKind::kInodes, .owner = {}, .file_block = {}};

  [[nodiscard]] std::unique_ptr<Journal> open(Device& device) const { return open_journal(device, geometry_); }
  // Stores a number in the root inode where a number does no harm.
  void store(Journal& journal, std::uint32_t number) const {
    Transaction transaction(journal);
    mutable_view<InodeCore>(transaction.change(cluster(), kCluster)).uid = number;
    transaction.commit();
  }
  [[nodiscard]] std::uint32_t stored(Device& device) const {
    std::vector<std::byte> bytes(geometry_.inode_bytes);
    device.read(cluster().byte, bytes);
    EXPECT_TRUE(verify_inode(bytes, geometry_, {.ino = geometry_.root_inode}).empty());
    return view<InodeCore>(bytes).uid;
  }
  // After a crash now: what replay makes of the device.
  [[nodiscard]] std::uint32_t recovered(Device& device) const {
    OverlayDevice copy(device);
    const RecoveryReport report = recover(copy, geometry_);
    EXPECT_TRUE(report.complete()) << report.walk.damage.value_or(LogDamage{}).what;
    EXPECT_EQ(read_log_summary(copy, LogPlace::of(geometry_)).state, LogState::kClean);
    return stored(copy);
  }

  MemoryDevice device_{{.size_bytes = GetParam() > 65536 ? 512u << 20 : 64u << 20}};
  Geometry geometry_;
};

TEST_P(JournalWrite, WhatIsSyncedSurvivesAndWhatIsNotLeavesNoTrace) {
  const auto journal = open(device_);
  const std::uint32_t before = stored(device_);
  store(*journal, 77);
  EXPECT_EQ(stored(journal->cache().view()), 77u);
  EXPECT_EQ(stored(device_), before);
  EXPECT_EQ(recovered(device_), before);
  journal->sync();
  EXPECT_EQ(stored(device_), before) << "nothing goes home before it must";
  EXPECT_EQ(recovered(device_), 77u);
  {
    Transaction dropped(*journal);
    mutable_view<InodeCore>(dropped.change(cluster(), kCluster)).uid = 99;
    EXPECT_EQ(stored(dropped.view()), 99u);
  }
  EXPECT_EQ(stored(journal->cache().view()), 77u);
  journal->sync();
  EXPECT_EQ(recovered(device_), 77u);
  journal->close();
  EXPECT_EQ(stored(device_), 77u);
  EXPECT_EQ(read_log_summary(device_, LogPlace::of(geometry_)).state, LogState::kClean);
}

// Three times around the log, with closing and opening in between.
TEST_P(JournalWrite, TheLogGoesAroundManyTimes) {
  const std::uint64_t log_bytes = std::uint64_t{geometry_.log_blocks} << geometry_.block_log;
  const std::uint64_t rounds = 3 * log_bytes / std::max<std::uint32_t>(5 * 1024, GetParam()) + 10;
  auto journal = open(device_);
  std::uint32_t number = 0;
  for (std::uint64_t i = 0; i < rounds; ++i) {
    store(*journal, ++number);
    journal->sync();
    if (i % 97 == 0) {
      ASSERT_EQ(recovered(device_), number);
    }
    if (i % 501 == 500) {
      journal->close();
      ASSERT_EQ(stored(device_), number);
      journal = open(device_);
    }
  }
  EXPECT_GE(read_log_summary(device_, LogPlace::of(geometry_)).head->cycle, 3u);
  EXPECT_EQ(recovered(device_), number);
}

// Only what differs from the last checkpoint is logged, however often it changed since.
TEST_P(JournalWrite, ABlockThatChangesOftenTakesRoomInTheLogOnce) {
  RecordingDevice recorder(device_);
  const auto journal = open(recorder);
  for (std::uint32_t number = 1; number <= 5000; ++number) store(*journal, number);
  EXPECT_EQ(recorder.event_count(), 0u);
  journal->sync();
  EXPECT_EQ(recovered(device_), 5000u);
}

// Blocks come, change and go, and nobody syncs: room in the log is always made in time.
TEST_P(JournalWrite, RoomIsMadeBeforeTheLogIsFull) {
  RecordingDevice recorder(device_);
  auto journal = open(recorder);
  const MetadataIdentity piece{.kind = MetadataKind::kSymlink, .owner = geometry_.root_inode, .file_block = {}};
  const auto place = [&](std::uint32_t index) {
    return BlockPlace{.byte = geometry_.byte_of(AgNumber(1), AgBlock(geometry_.ag_header_blocks() + 100 + index)),
                      .length_bytes = geometry_.block_bytes};
  };
  constexpr std::size_t kTextBytes = 1000;
  std::mt19937 engine(1);
  std::vector<std::string> texts(512);  // empty: the block is none of ours
  for (std::uint32_t turn = 0; turn < 20000; ++turn) {
    const auto index = static_cast<std::uint32_t>(engine() % texts.size());
    Transaction transaction(*journal);
    if (!texts[index].empty() && engine() % 4 == 0) {
      transaction.give_up(place(index));
      texts[index].clear();
    } else {
      const MutableByteSpan block =
          texts[index].empty() ? transaction.create(place(index), piece) : transaction.change(place(index), piece);
      texts[index] = std::string(kTextBytes, static_cast<char>('a' + engine() % 26));
      auto& header = mutable_view<RemoteHeader>(block);
      header.magic = RemoteHeader::kSymlinkMagic;
      header.bytes = static_cast<std::uint32_t>(kTextBytes);
      header.uuid = geometry_.uuid;
      header.owner = piece.owner.value();
      header.blkno = place(index).byte >> kBasicBlockLog;
      std::memcpy(block.data() + sizeof(RemoteHeader), texts[index].data(), kTextBytes);
    }
    transaction.commit();
  }
  EXPECT_GT(recorder.trace().barriers().size(), 4u);
  journal->sync();
  OverlayDevice copy(device_);
  EXPECT_TRUE(recover(copy, geometry_).complete());
  for (std::uint32_t i = 0; i < texts.size(); ++i) {
    if (texts[i].empty()) continue;
    std::string found(kTextBytes, '\0');
    copy.read(place(i).byte + sizeof(RemoteHeader), std::as_writable_bytes(std::span(found)));
    ASSERT_EQ(found, texts[i]) << i;
  }
}

TEST_P(JournalWrite, RefusesToWriteDamage) {
  const auto journal = open(device_);
  {
    Transaction transaction(*journal);
    mutable_view<InodeCore>(transaction.change(cluster(), kCluster)).format = 9;
    EXPECT_THROW(transaction.commit(), CorruptionError);
  }
  {
    Transaction transaction(*journal);  // any inode of a cluster, not only its first
    const MutableByteSpan bytes = transaction.change(cluster(), kCluster);
    mutable_view<InodeCore>(bytes, bytes.size() - geometry_.inode_bytes).magic = std::uint16_t{1};
    EXPECT_THROW(transaction.commit(), CorruptionError);
  }
  store(*journal, 5);
  journal->close();
  EXPECT_EQ(stored(device_), 5u);
}

// Power is cut at each write and at each barrier, with what was under way lost, kept and torn.
TEST_P(JournalWrite, EveryCrashStateReplaysToSomethingSyncedOrNewer) {
  const auto before = MemoryDevice::copy_of(device_.bytes());
  RecordingDevice recorder(device_);
  const auto journal = open(recorder);
  std::vector<std::size_t> synced{0};  // events by which number i was durable
  for (std::uint32_t number = 1; number <= 12; ++number) {
    store(*journal, 1000 + number);
    if (number % 4 == 0) {
      journal->write_back();
    } else {
      journal->sync();
    }
    synced.push_back(recorder.event_count());
  }
  journal->close();
  const Trace trace = recorder.take_trace();
  std::uint64_t states = 0;
  for (std::size_t cut = 0; cut <= trace.events().size(); ++cut) {
    std::uint32_t least = 0;
    while (least + 1 < synced.size() && synced[least + 1] <= cut) ++least;
    std::vector<CrashState> outcomes = trace.subsets(cut, 8);
    for (CrashState& torn : trace.torn(cut, 4)) outcomes.push_back(std::move(torn));
    for (std::uint64_t seed = 0; seed < 4; ++seed) outcomes.push_back(trace.random_state(cut, seed));
    for (const CrashState& state : outcomes) {
      OverlayDevice image(*before);
      trace.build(state, image);
      const std::uint32_t number = recovered(image);
      ASSERT_TRUE(least == 0 ? number == 0 || number > 1000 : number >= 1000 + least)
          << "cut " << cut << ": " << state.describe() << ": " << number << ", synced " << 1000 + least;
      ++states;
    }
  }
  EXPECT_GT(states, 300u);
}

TEST_P(JournalWrite, AFailureToWriteLeavesEverythingAsItWas) {
  FaultDevice faulty(device_, 1);
  const auto journal = open(faulty);
  store(*journal, 1);
  journal->sync();
  store(*journal, 2);
  faulty.add_rule({.operation = FaultOperation::kWrite, .count = 1});
  EXPECT_THROW(journal->sync(), IoError);
  EXPECT_EQ(stored(journal->cache().view()), 2u);
  EXPECT_EQ(recovered(device_), 1u);
  journal->sync();
  EXPECT_EQ(recovered(device_), 2u);
  store(*journal, 3);
  journal->close();
  EXPECT_EQ(stored(device_), 3u);
}

// A long attempt fails behind its second record, and the next one is shorter: what is left ahead is of this turn.
TEST_P(JournalWrite, AnAttemptThatFailedLeavesNothingAheadOfTheNext) {
  FaultDevice faulty(device_, 1);
  LogWriter log(faulty, geometry_, *read_log_summary(device_, LogPlace::of(geometry_)).head);
  const auto item = [](std::size_t bytes) {
    BufLogFormat format{};
    format.type = static_cast<std::uint16_t>(LogItemType::kBuffer);
    format.size = std::uint16_t{2};
    const auto first = std::as_bytes(std::span(&format, 1));
    return LogItem{.type = LogItemType::kBuffer, .regions = {{first.begin(), first.end()}, LogRegion(bytes)}};
  };
  const Lsn start = log.head();
  for (const bool unmount : {false, true}) {
    SCOPED_TRACE(unmount);
    const std::vector<LogItem> large{item(1'000'000)};
    faulty.add_rule({.operation = FaultOperation::kWrite, .skip = 2, .count = 1});
    EXPECT_THROW(log.write_transaction(large, start), IoError);
    faulty.clear_rules();
    if (unmount) {
      log.write_unmount(false);
    } else {
      const std::vector<LogItem> small{item(1000)};
      log.write_transaction(small, start);
    }
    const LogSummary summary = read_log_summary(device_, LogPlace::of(geometry_));
    EXPECT_EQ(summary.state, unmount ? LogState::kClean : LogState::kDirty) << summary.detail;
    EXPECT_EQ(summary.head, log.head());
  }
}

TEST_P(JournalWrite, WhatWasVerifiedAsOneThingIsNotGivenAsAnother) {
  const auto journal = open(device_);
  Transaction transaction(*journal);
  (void)transaction.read(cluster(), kCluster);
  MetadataIdentity other = kCluster;
  other.kind = MetadataKind::kBno;
  EXPECT_THROW((void)transaction.read(cluster(), other), CorruptionError);
}

INSTANTIATE_TEST_SUITE_P(Stripes, JournalWrite, ::testing::Values(0, 32768, 262144));

}  // namespace
}  // namespace xdax::test

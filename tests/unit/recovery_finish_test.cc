// Logs that announce work and stop there: each kind of intent, finished; and cut short at any moment, finished by the
// next recovery.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <iostream>
#include <map>

#include "libfs/base/error.h"
#include "libfs/device/memory_device.h"
#include "libfs/device/overlay_device.h"
#include "libfs/device/recording_device.h"
#include "libfs/format/dir_shortform.h"
#include "libfs/inode/extent_map.h"
#include "libfs/inode/fork_writer.h"
#include "libfs/inode/inode_allocator.h"
#include "libfs/inode/inode_reader.h"
#include "libfs/inode/unlinked.h"
#include "libfs/recovery/recovery.h"
#include "libfs/space/refcount.h"
#include "tests/support/written_volume.h"

namespace xdax::test {
namespace {

using namespace intent_flags;

LogItem intent_of(LogItemType type, const auto& extent) {
  static std::uint64_t id = 0xffff'8880'0000'0000;
  ExtentsLogFormat format{};
  format.type = static_cast<std::uint16_t>(type);
  format.size = std::uint16_t{1};
  format.nextents = 1u;
  format.id = id += 64;
  LogRegion region(sizeof format + sizeof extent);
  std::memcpy(region.data(), &format, sizeof format);
  std::memcpy(region.data() + sizeof format, &extent, sizeof extent);
  return {.type = type, .regions = {region}};
}

LogItem efi(const Extent& extent) {
  LoggedExtent logged{};
  logged.start = extent.start.value();
  logged.len = extent.length_blocks;
  return intent_of(LogItemType::kEfi, logged);
}

LogItem mapping(LogItemType type, std::uint64_t owner, const Extent& extent, std::uint32_t flags) {
  LoggedMapping logged{};
  logged.owner = owner;
  logged.startblock = extent.start.value();
  logged.startoff = extent.file_block.value();
  logged.len = extent.length_blocks;
  const std::uint32_t unwritten = type == LogItemType::kRui ? kRmapUnwritten : kBmapUnwritten;
  logged.flags = flags | (extent.unwritten ? unwritten : 0);
  return intent_of(type, logged);
}

LogItem cui(const Extent& extent, std::uint32_t operation) {
  LoggedRefcount logged{};
  logged.startblock = extent.start.value();
  logged.len = extent.length_blocks;
  logged.flags = operation;
  return intent_of(LogItemType::kCui, logged);
}

// Two files: "a" has extents of its own, the first of them in "b" too, and of a long one every second block.
class RecoveryFinish : public ::testing::TestWithParam<VolumeCase> {
 protected:
  RecoveryFinish() : volume_(GetParam()) {
    a_ = create("a", true);
    b_ = create("b", true);
    const auto allocated = [&](std::uint64_t at, std::uint32_t length) {
      Transaction transaction(volume_.journal());
      const InodeEdit inode(transaction, a_);
      const Extent extent = ForkWriter(inode, Fork::kData).allocate(FileBlock(at), length, length);
      transaction.commit();
      return extent;
    };
    const Extent shared = allocated(0, 10);
    allocated(20, 10);
    allocated(40, 10);
    const Extent comb = allocated(100, kLong);
    if (!GetParam().reflink) return;
    share({shared});
    std::vector<Extent> every_second;
    for (std::uint32_t at = 0; at < kLong; at += 2) {
      every_second.push_back(
          {.file_block = comb.file_block + at, .start = comb.start + at, .length_blocks = 1, .unwritten = false});
    }
    share(every_second);
  }

  // More runs of blocks with one count than ten transactions change.
  static constexpr std::uint32_t kLong = 1600;

  void share(const std::vector<Extent>& extents) {
    Transaction transaction(volume_.journal());
    const InodeEdit inode(transaction, b_);
    ForkWriter fork(inode, Fork::kData);
    for (const Extent& extent : extents) {
      fork.add(extent);
      Allocator(transaction)
          .share({.start = extent.start, .length_blocks = extent.length_blocks}, fork.owner_of(extent));
    }
    transaction.commit();
  }

  InodeNumber create(const std::string& name, bool named) {
    Transaction transaction(volume_.journal());
    const InodeNumber ino = InodeAllocator(transaction)
                                .allocate({.parent = volume_.geometry().root_inode,
                                           .mode = 0100644,
                                           .now = {.seconds = 1'700'000'000, .nanoseconds = 5},
                                           .generation = static_cast<std::uint32_t>(++created_)});
    InodeCore& core = InodeEdit(transaction, ino).change_core();
    core.size = std::uint64_t{300 + kLong} << volume_.geometry().block_log;
    if (GetParam().reflink) core.flags2 = core.flags2 | inode_flags2::kReflink;
    if (named) {
      core.nlink = 1u;
      give_name(transaction, name[0], ino);
    } else {
      add_unlinked(transaction, ino);
    }
    transaction.commit();
    return ino;
  }

  // An entry of the root directory, which lies in its inode.
  void give_name(Transaction& transaction, char name, InodeNumber ino) const {
    const InodeEdit root(transaction, volume_.geometry().root_inode);
    const MutableByteSpan fork = root.change_fork(Fork::kData);
    const std::uint64_t end = root.core().size;
    const std::uint8_t before = view<DirShortformHeader>(fork).count;
    mutable_view<DirShortformHeader>(fork).count = before + 1;
    auto& entry = mutable_view<DirShortformEntry>(fork, end);
    entry.namelen = 1;
    entry.offset = static_cast<std::uint16_t>(0x60 + 16 * before);
    fork[end + 3] = static_cast<std::byte>(name);
    fork[end + 4] = std::byte{1};  // a regular file
    mutable_view<be32>(fork, end + 5) = static_cast<std::uint32_t>(ino.value());
    root.change_core().size = end + 9;
  }

  // Does something in a file and leaves a part of it to intents, in the log only.
  using Work = std::function<void(ForkWriter& fork, Transaction& transaction)>;
  void announce(InodeNumber ino, const Work& work) {
    Transaction transaction(volume_.journal());
    const InodeEdit inode(transaction, ino);
    ForkWriter fork(inode, Fork::kData);
    work(fork, transaction);
    transaction.commit();
    volume_.journal().sync();
  }

  void forget(Transaction& transaction, const Extent& extent, const ExtentOwner& owner) const {
    Group group(transaction, volume_.geometry().ag_of(extent.start));
    ReverseMap(group).remove(blocks(extent), owner);
  }
  void remember(Transaction& transaction, const Extent& extent, const ExtentOwner& owner) const {
    Group group(transaction, volume_.geometry().ag_of(extent.start));
    ReverseMap(group).add(blocks(extent), owner);
  }
  [[nodiscard]] GroupExtent blocks(const Extent& extent) const {
    return {.start = volume_.geometry().ag_block_of(extent.start), .length_blocks = extent.length_blocks};
  }
  static constexpr ExtentOwner kCow{.owner = rmap::kOwnerCow, .offset = 0};
  // Blocks for copy on write, in the reverse map.
  [[nodiscard]] static Extent for_copy(Transaction& transaction) {
    const Extent64 found = Allocator(transaction).allocate({.least = 7, .most = 7, .owner = kCow});
    return {.file_block = {}, .start = found.start, .length_blocks = found.length_blocks, .unwritten = false};
  }

  // What both files map.
  [[nodiscard]] std::string maps(Device& device) const {
    std::string text;
    for (const InodeNumber ino : {a_, b_}) {
      const MetadataReader reader(device, volume_.geometry());
      const Inode inode = InodeReader(reader).read(ino);
      ExtentMap map(reader, inode, Fork::kData);
      for (auto each = map.next(FileBlock(0)); each; each = map.next(each->file_block + each->length_blocks)) {
        text += fmt::format("{}:{}+{}@{}{} ", ino.value(), each->file_block.value(), each->length_blocks,
                            each->start.value(), each->unwritten ? "u" : "");
      }
    }
    return text;
  }
  // What the journal sees, which is what recovery must lead to, maps apart that an intent changes.
  [[nodiscard]] std::string maps_now() { return maps(volume_.journal().cache().view()); }

  // After a crash now.
  RecoveryReport recovered() {
    const auto crashed = MemoryDevice::copy_of(volume_.device().bytes());
    EXPECT_EQ(read_log_summary(*crashed, LogPlace::of(volume_.geometry())).state, LogState::kDirty);
    RecoveryReport report = recover(*crashed, volume_.geometry());
    EXPECT_TRUE(report.complete());
    EXPECT_TRUE(report.finished.has_value());
    EXPECT_EQ(read_log_summary(*crashed, LogPlace::of(volume_.geometry())).state, LogState::kClean);
    EXPECT_EQ(WrittenVolume::problems_of(*crashed), "");
    maps_ = maps(*crashed);
    return report;
  }

  void announce_a_bit_of_all();

  WrittenVolume volume_;
  InodeNumber a_, b_;
  std::uint64_t created_ = 0;
  std::string maps_;
};

TEST_P(RecoveryFinish, TheVolumeItselfIsSound) { EXPECT_EQ(volume_.problems(), ""); }

TEST_P(RecoveryFinish, ExtentsAreFreed) {
  for (const bool mapped : {false, true}) {
    announce(a_, [&](ForkWriter& fork, Transaction& transaction) {
      for (const Extent& extent : fork.remove(FileBlock(mapped ? 40 : 20), 10)) {
        if (!mapped) forget(transaction, extent, fork.owner_of(extent));
        transaction.note(efi(extent));
      }
    });
    const std::string before = maps_now();
    EXPECT_EQ(recovered().finished->intents.size(), mapped ? 2u : 1u);
    EXPECT_EQ(maps_, before);
  }
}

class RecoveryFinishShared : public RecoveryFinish {};

TEST_P(RecoveryFinish, ReverseMappingsAreMadeAndUndone) {
  announce(a_, [&](ForkWriter& fork, Transaction& transaction) {
    const Extent extent = fork.allocate(FileBlock(60), 8, 8);
    forget(transaction, extent, fork.owner_of(extent));
    transaction.note(mapping(LogItemType::kRui, a_.value(), extent, kRmapMap));
  });
  recovered();
  announce(a_, [&](ForkWriter& fork, Transaction& transaction) {
    for (const Extent& extent : fork.remove(FileBlock(42), 5)) {
      transaction.note(mapping(LogItemType::kRui, a_.value(), extent, kRmapUnmap));
      transaction.note(efi(extent));
    }
  });
  recovered();
  announce(a_, [&](ForkWriter& fork, Transaction& transaction) {
    fork.set_unwritten(FileBlock(21), 3, true);
    const Extent after = *fork.find(FileBlock(21));
    Extent before = after;
    before.unwritten = false;
    forget(transaction, after, fork.owner_of(after));
    remember(transaction, before, fork.owner_of(before));
    transaction.note(mapping(LogItemType::kRui, a_.value(), after, kRmapConvert));
  });
  const std::string before = maps_now();
  recovered();
  EXPECT_EQ(maps_, before);
}

TEST_P(RecoveryFinishShared, ReferencesAreCounted) {
  announce(b_, [&](ForkWriter& fork, Transaction& transaction) {
    const InodeEdit other(transaction, a_);
    const Extent extent = *ForkWriter(other, Fork::kData).find(FileBlock(20));
    fork.add(extent);
    transaction.note(mapping(LogItemType::kRui, b_.value(), extent, kRmapMapShared));
    transaction.note(cui(extent, kRefcountIncrease));
  });
  recovered();
  // One that is left with an owner, and one that is not.
  for (const InodeNumber ino : {b_, a_}) {
    announce(ino, [&](ForkWriter& fork, Transaction& transaction) {
      for (const Extent& extent : fork.remove(FileBlock(0), 10)) {
        forget(transaction, extent, fork.owner_of(extent));
        transaction.note(cui(extent, kRefcountDecrease));
      }
    });
    recovered();
  }
}

// More counts than one transaction changes: what is left is announced again.
TEST_P(RecoveryFinishShared, ManyReferencesAreCountedInParts) {
  announce(a_, [&](ForkWriter& fork, Transaction& transaction) {
    for (const Extent& extent : fork.remove(FileBlock(100), kLong)) {
      forget(transaction, extent, fork.owner_of(extent));
      transaction.note(cui(extent, kRefcountDecrease));
    }
  });
  const auto crashed = MemoryDevice::copy_of(volume_.device().bytes());
  const LogPlace place = LogPlace::of(volume_.geometry());
  EXPECT_EQ(recover(*crashed, volume_.geometry()).finished->intents.size(), 1u);
  EXPECT_EQ(WrittenVolume::problems_of(*crashed), "");
  // Each part is done, and each but the last announces what is left.
  LogSummary all = read_log_summary(*crashed, place);
  all.tail = read_log_summary(volume_.device(), place).tail;
  std::map<LogItemType, unsigned> items;
  static_cast<void>(walk_log(*crashed, place, all, [&](const LogTransaction& transaction) {
    for (const LogItem& item : transaction.items) ++items[item.type];
  }));
  EXPECT_GT(items[LogItemType::kCui], 10u);
  EXPECT_EQ(items[LogItemType::kCui], items[LogItemType::kCud]);
}

TEST_P(RecoveryFinishShared, StagedExtentsAreFreed) {
  announce(a_, [&](ForkWriter& /*fork*/, Transaction& transaction) {
    const Extent extent = for_copy(transaction);
    forget(transaction, extent, kCow);
    transaction.note(cui(extent, kRefcountAllocCow));
    transaction.note(mapping(LogItemType::kRui, rmap::kOwnerCow, extent, kRmapAlloc));
  });
  EXPECT_EQ(recovered().finished->staged_extents, 1u);
  announce(a_, [&](ForkWriter& /*fork*/, Transaction& transaction) {
    const Extent extent = for_copy(transaction);
    Group group(transaction, volume_.geometry().ag_of(extent.start));
    Refcounts(group).stage(blocks(extent));
    transaction.note(cui(extent, kRefcountFreeCow));
    transaction.note(mapping(LogItemType::kRui, rmap::kOwnerCow, extent, kRmapFree));
    transaction.note(efi(extent));
  });
  EXPECT_EQ(recovered().finished->staged_extents, 1u) << "that of the first";
}

TEST_P(RecoveryFinish, ExtentMapsAreChanged) {
  announce(a_, [&](ForkWriter& fork, Transaction& transaction) {
    const Extent extent = fork.allocate(FileBlock(60), 8, 8);
    EXPECT_EQ(fork.remove(FileBlock(60), 8).size(), 1u);
    forget(transaction, extent, fork.owner_of(extent));
    transaction.note(mapping(LogItemType::kBui, a_.value(), extent, kBmapMap));
  });
  recovered();
  EXPECT_NE(maps_.find(":60+8@"), std::string::npos) << maps_;
  announce(a_, [&](ForkWriter& fork, Transaction& transaction) {
    const Extent extent = *fork.find(FileBlock(20));
    transaction.note(mapping(LogItemType::kBui, a_.value(), extent, kBmapUnmap));
    transaction.note(efi(extent));
  });
  recovered();
  EXPECT_EQ(maps_.find(":20+10@"), std::string::npos) << maps_;
}

// Some of everything, more than one checkpoint takes when it is finished.
void RecoveryFinish::announce_a_bit_of_all() {
  const InodeNumber unlinked = create("", false);
  for (std::uint64_t at = 0; at < 150; ++at) {
    Transaction transaction(volume_.journal());
    const InodeEdit inode(transaction, unlinked);
    static_cast<void>(ForkWriter(inode, Fork::kData).allocate(FileBlock(2 * at), 1, 1));
    transaction.commit();
  }
  for (std::uint64_t at = 40; at < 50; at += 2) {
    announce(a_, [&](ForkWriter& fork, Transaction& transaction) {
      for (const Extent& extent : fork.remove(FileBlock(at), 2)) {
        transaction.note(mapping(LogItemType::kRui, a_.value(), extent, kRmapUnmap));
        transaction.note(efi(extent));
      }
    });
  }
  announce(a_, [&](ForkWriter& fork, Transaction& transaction) {
    static_cast<void>(fork.allocate(FileBlock(110 + kLong), 160, 160));
    for (std::uint64_t at = 0; at < 160; at += 2) {
      for (const Extent& extent : fork.remove(FileBlock(110 + kLong + at), 1)) {
        transaction.note(mapping(LogItemType::kRui, a_.value(), extent, kRmapUnmap));
        transaction.note(efi(extent));
      }
    }
  });
  announce(a_, [&](ForkWriter& fork, Transaction& transaction) {
    const Extent extent = fork.allocate(FileBlock(60), 8, 8);
    EXPECT_EQ(fork.remove(FileBlock(60), 8).size(), 1u);
    forget(transaction, extent, fork.owner_of(extent));
    transaction.note(mapping(LogItemType::kBui, a_.value(), extent, kBmapMap));
  });
  if (!GetParam().reflink) return;
  announce(b_, [&](ForkWriter& fork, Transaction& transaction) {
    const Extent staged = for_copy(transaction);
    forget(transaction, staged, kCow);
    transaction.note(cui(staged, kRefcountAllocCow));
    transaction.note(mapping(LogItemType::kRui, rmap::kOwnerCow, staged, kRmapAlloc));
    for (const Extent& extent : fork.remove(FileBlock(0), 10)) {
      forget(transaction, extent, fork.owner_of(extent));
      transaction.note(cui(extent, kRefcountDecrease));
    }
  });
  announce(a_, [&](ForkWriter& fork, Transaction& transaction) {
    for (const Extent& extent : fork.remove(FileBlock(100), kLong)) {
      forget(transaction, extent, fork.owner_of(extent));
      transaction.note(cui(extent, kRefcountDecrease));
    }
  });
}

// Power is cut at each write and each barrier of a recovery, and again in the recovery of that.
TEST_P(RecoveryFinish, CutShortAtAnyMomentTheNextRecoveryComesToTheSameEnd) {
  announce_a_bit_of_all();
  const RecoveryReport whole = recovered();
  EXPECT_EQ(whole.finished->inodes, 1u);
  EXPECT_EQ(whole.finished->staged_extents, GetParam().reflink ? 1u : 0u);
  const std::string expected = maps_;

  const auto before = MemoryDevice::copy_of(volume_.device().bytes());
  const auto recorded = [&](Device& device) {
    RecordingDevice recorder(device);
    EXPECT_TRUE(recover(recorder, volume_.geometry(), {.checkpoint_log_blocks = 100}).complete());
    return recorder.take_trace();
  };
  std::uint64_t states = 0;
  const auto expect_the_end = [&](Device& crashed, const std::string& state) {
    SCOPED_TRACE(state.substr(0, 300));
    ASSERT_NO_THROW(EXPECT_TRUE(recover(crashed, volume_.geometry()).complete()));
    EXPECT_EQ(maps(crashed), expected);
    EXPECT_EQ(WrittenVolume::problems_of(crashed), "");
    ++states;
  };
  OverlayDevice first(static_cast<Device&>(*before));
  const Trace trace = recorded(first);
  const std::size_t events = trace.events().size();
  ASSERT_GT(events, 20u);
  for (std::size_t cut = 0; cut <= events && !HasFailure(); cut += 1 + events / 150) {
    std::vector<CrashState> outcomes = trace.subsets(cut, 3);
    for (CrashState& torn : trace.torn(cut, 1)) outcomes.push_back(std::move(torn));
    outcomes.resize(std::min<std::size_t>(outcomes.size(), 2));
    for (std::uint64_t seed = 0; seed < 1; ++seed) outcomes.push_back(trace.random_state(cut, seed));
    for (const CrashState& state : outcomes) {
      OverlayDevice image(static_cast<Device&>(*before));
      trace.build(state, image);
      OverlayDevice again(static_cast<Device&>(image));
      expect_the_end(again, state.describe());
    }
    OverlayDevice once(static_cast<Device&>(*before));
    trace.build(cut % 2 == 0 ? trace.prefix(cut) : outcomes.back(), once);
    OverlayDevice work(static_cast<Device&>(once));
    const Trace second = recorded(work);
    for (const std::size_t third : {1u, 2u}) {
      const std::size_t second_cut = third * second.events().size() / 3;
      OverlayDevice twice(static_cast<Device&>(once));
      second.build(cut % 2 == 0 ? second.prefix(second_cut) : second.random_state(second_cut, cut), twice);
      expect_the_end(twice, fmt::format("cut at {} and at {}", cut, second_cut));
    }
  }
  std::cout << events << " events, " << states << " states\n";
  EXPECT_GT(states, 150u);
}

INSTANTIATE_TEST_SUITE_P(Volumes, RecoveryFinishShared,
                         ::testing::Values(VolumeCase{.name = "b4k", .size_bytes = 64u << 20},
                                           VolumeCase{.name = "b1k", .block_bytes = 1024, .size_bytes = 64u << 20},
                                           VolumeCase{.name = "no_rmapbt", .rmapbt = false, .size_bytes = 64u << 20}),
                         [](const auto& instance) { return instance.param.name; });
INSTANTIATE_TEST_SUITE_P(Volumes, RecoveryFinish,
                         ::testing::Values(VolumeCase{.name = "b4k", .size_bytes = 64u << 20},
                                           VolumeCase{.name = "b1k", .block_bytes = 1024, .size_bytes = 64u << 20},
                                           VolumeCase{.name = "no_rmapbt", .rmapbt = false, .size_bytes = 64u << 20},
                                           VolumeCase{.name = "no_reflink", .reflink = false, .size_bytes = 64u << 20}),
                         [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace xdax::test

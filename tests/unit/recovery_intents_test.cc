// Logs that announce changes of attributes and exchanges of ranges: finished, whatever of it was done before; and cut
// short at any moment, finished by the next recovery.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <map>

#include "libfs/base/crc32c.h"
#include "libfs/device/overlay_device.h"
#include "libfs/device/recording_device.h"
#include "libfs/dir/directory_writer.h"
#include "tests/support/intents_fixture.h"

namespace xdax::test {
namespace {

using namespace attr_intent_ops;
using namespace exchange_flags;

// Where blocks can be shared.
class RecoveryIntentsShared : public RecoveryIntents {};
// Where no parent pointers change files too.
class RecoveryIntentsAlone : public RecoveryIntents {};

TEST_P(RecoveryIntents, AttributesAreSetReplacedAndRemoved) {
  const std::string large(60'000, 'L');
  const std::string medium(1'500, 'M');
  const std::string longest(255, 'n');
  struct Step {
    MadeAttri made;
    std::string expected;
  };
  const std::string kept = " trusted.new= user.old=";
  for (const Step& step : std::vector<Step>{
           {{.op = kSet, .name = "old", .value = "again"}, " user.old=again"},
           {{.op = kSet, .name = "new", .filter = attr_flags::kRoot}, " trusted.new= user.old=again"},
           {{.op = kReplace, .name = "old", .value = large}, kept + short_text(large)},
           {{.op = kReplace, .name = "old", .value = large}, kept + short_text(large)},
           {{.op = kReplace, .name = "old", .value = medium}, kept + short_text(medium)},
           {{.op = kSet, .name = longest, .value = "v"},
            " " + short_text("user." + longest) + "=v" + kept + short_text(medium)},
           {{.op = kRemove, .name = longest}, kept + short_text(medium)},
           {{.op = kRemove, .name = longest}, kept + short_text(medium)},
           {{.op = kRemove, .name = "new"}, kept + short_text(medium)},
           {{.op = kRemove, .name = "new", .filter = attr_flags::kRoot}, " user.old=" + short_text(medium)},
           {{.op = kReplace, .name = "missing", .value = "now"}, " user.missing=now user.old=" + short_text(medium)},
           {{.op = kRemove, .name = "old"}, " user.missing=now"},
           {{.op = kRemove, .name = "missing"}, ""},
       }) {
    SCOPED_TRACE(fmt::format("operation {} of \"{}\"", step.made.op, step.made.name));
    MadeAttri made = step.made;
    made.ino = named_;
    finish({attri(made)});
    std::vector<std::string> found;
    for (const Attribute& each : volume().attributes(named_).list()) {
      const auto value = *volume().attributes(named_).get(each.space, each.name);
      found.push_back(fmt::format(" {}={}", short_text(each.full_name()),
                                  short_text({reinterpret_cast<const char*>(value.data()), value.size()})));
    }
    std::sort(found.begin(), found.end());
    EXPECT_EQ(fmt::format("{}", fmt::join(found, "")), step.expected);
  }
}

// What a change that was interrupted left of the same attribute goes with it, and no other.
TEST_P(RecoveryIntents, UnfinishedAttributesGo) {
  const std::string large(20'000, 'L');
  for (const bool forgotten : {false, true}) {
    for (const std::uint32_t op : {kSet, kReplace, kRemove}) {
      SCOPED_TRACE(fmt::format("operation {}, {}", op, forgotten ? "value forgotten" : "value there"));
      edit([&](Filesystem& filesystem) {
        for (const char* const name : {"old", "other"})
          filesystem.set_attribute(named_, AttrNamespace::kUser, name, bytes_of(large));
      });
      const std::uint64_t blocks = volume().inode(named_).core().nblocks;
      finish(
          {attri({.op = op, .ino = named_, .name = "old", .value = op == kRemove ? "" : "short"})},
          [&](Transaction& transaction) {
            make_unfinished(transaction, named_, "old", forgotten);
            if (!forgotten) make_unfinished(transaction, named_, "other", false);
          },
          forgotten ? "attr.stray" : "attr.incomplete");
      EXPECT_EQ(state(named_).find("user.old=short") != std::string::npos, op != kRemove);
      EXPECT_EQ(state(named_).find("user.other=") != std::string::npos, forgotten);
      EXPECT_EQ(volume().inode(named_).core().nblocks < blocks, !forgotten) << "what nobody names is not found";
      // The last one takes everything with it.
      finish({attri({.op = kRemove, .ino = named_, .name = "old"})}, {}, forgotten ? "attr.stray" : "attr.incomplete");
      finish({attri({.op = kRemove, .ino = named_, .name = "other"})});
      EXPECT_EQ(volume().inode(named_).core().nblocks, 0u);
      EXPECT_EQ(volume().attributes(named_).list().size(), 0u);
    }
  }
}

class RecoveryIntentsParents : public RecoveryIntents {};

// The directory was changed, and the parent pointer is still to be.
TEST_P(RecoveryIntentsParents, ParentPointersFollowNames) {
  const std::string longest(255, 'n');
  const auto links = [](Transaction& transaction, InodeNumber ino, int by) {
    const InodeEdit inode(transaction, ino);
    inode.change_core().nlink = inode.core().nlink + static_cast<std::uint32_t>(by);
  };
  for (const std::string& name : {std::string("second"), longest}) {
    finish({attri(parent_change(kParentSet, named_, name))}, [&](Transaction& transaction) {
      DirectoryWriter(transaction, directory_).add({.name = name, .ino = named_, .type = DirFileType::kRegular});
      links(transaction, named_, 1);
    });
  }
  EXPECT_EQ(volume().attributes(named_).parents().size(), 3u);
  finish({attri(parent_change(kParentRemove, named_, "second"))}, [&](Transaction& transaction) {
    DirectoryWriter(transaction, directory_).remove("second");
    links(transaction, named_, -1);
  });
  MadeAttri moved = parent_change(kParentReplace, named_, longest);
  moved.new_name = "moved";
  moved.new_value = pointer_to(geometry_.root_inode, generation(geometry_.root_inode));
  finish({attri(moved)}, [&](Transaction& transaction) {
    DirectoryWriter(transaction, directory_).remove(longest);
    DirectoryWriter(transaction, geometry_.root_inode)
        .add({.name = "moved", .ino = named_, .type = DirFileType::kRegular});
  });
  const std::string before = state(named_);
  // What was done before the crash is not done twice.
  finish({attri(moved), attri(parent_change(kParentRemove, named_, "second")),
          attri(parent_change(kParentSet, named_, "named"))});
  EXPECT_EQ(state(named_), before);
  EXPECT_EQ(volume().attributes(named_).parents().size(), 2u);
}

// A directory that leaves its attributes next to no room, as a mount lets them grow, and is given a longer name.
TEST_P(RecoveryIntentsParents, ADirectoryMakesRoomForALongerName) {
  InodeNumber full;
  edit([&](Filesystem& filesystem) { full = filesystem.make_directory(filesystem.root(), "f", {}); });
  {
    const auto journal = open_journal(device_, geometry_);
    {
      Transaction transaction(*journal);
      const InodeEdit inode(transaction, full);
      const ByteSpan attributes = inode.fork(Fork::kAttr).first(24);
      const std::vector<std::byte> moved(attributes.begin(), attributes.end());
      inode.change_core().forkoff = static_cast<std::uint8_t>((inode.bytes().size() - sizeof(InodeCore) - 24) / 8);
      std::copy(moved.begin(), moved.end(), inode.change_fork(Fork::kAttr).begin());
      transaction.commit();
    }
    journal->close();
  }
  edit([&](Filesystem& filesystem) {
    const auto size = [&] {
      return filesystem.read([&](const Volume& now) { return now.inode(full).core().size.get(); });
    };
    for (char name = 'a'; size() < 300; ++name) {
      static_cast<void>(filesystem.create(full, fmt::format("entry {}", name), {}));
    }
  });
  EXPECT_EQ(volume().directory(full).form(), DirForm::kShort);
  const std::string longest(200, 'f');
  MadeAttri moved = parent_change(kParentReplace, full, "f");
  moved.value = moved.new_value = pointer_to(geometry_.root_inode, generation(geometry_.root_inode));
  moved.new_name = longest;
  finish({attri(moved)}, [&](Transaction& transaction) {
    DirectoryWriter root(transaction, geometry_.root_inode);
    root.remove("f");
    root.add({.name = longest, .ino = full, .type = DirFileType::kDirectory});
  });
  EXPECT_EQ(volume().attributes(full).parents().front().name, longest);
}

// A range of whole blocks of a file's bytes, zeros behind its end.
std::string range_of(const std::string& content, std::uint64_t at, std::uint64_t bytes) {
  std::string range = at < content.size() ? content.substr(at, bytes) : "";
  range.resize(bytes);
  return range;
}
void put_range(std::string& content, std::uint64_t at, const std::string& range) {
  const std::size_t size = content.size();
  content.resize(std::max(size, at + range.size()));
  content.replace(at, range.size(), range);
  content.resize(size);
}

TEST_P(RecoveryIntents, RangesAreExchanged) {
  struct Case {
    InodeNumber one, other;
    std::uint64_t at, other_at, blocks;
  };
  for (const Case& each : std::vector<Case>{{comb_, solid_, 0, 0, 350},
                                            {comb_, solid_, 3, 195, 100},
                                            {solid_, comb_, 299, kComb - 20, 60},
                                            {small_, comb_, 0, 10, 3},
                                            {small_, small_, 0, 2, 1},
                                            {comb_, comb_, 0, 400, 400}}) {
    SCOPED_TRACE(fmt::format("{}+{} and {} of {} and {}", each.at, each.blocks, each.other_at, each.one.value(),
                             each.other.value()));
    const std::string ranges[] = {range_of(content(each.one), each.at * block_, each.blocks * block_),
                                  range_of(content(each.other), each.other_at * block_, each.blocks * block_)};
    std::string expected = content(each.one);
    put_range(expected, each.at * block_, ranges[1]);
    std::string expected_other = each.one == each.other ? expected : content(each.other);
    put_range(expected_other, each.other_at * block_, ranges[0]);
    if (each.one == each.other) expected = expected_other;
    MadeXmi made = between(each.one, each.other);
    made.at = each.at;
    made.other_at = each.other_at;
    made.blocks = each.blocks;
    finish({xmi(made)});
    EXPECT_TRUE(content(each.one) == expected);
    EXPECT_TRUE(content(each.other) == expected_other);
  }
}

TEST_P(RecoveryIntents, SizesGoWithTheLastExtents) {
  const std::string one = content(comb_);
  const std::string other = content(solid_);
  MadeXmi made = between(comb_, solid_);
  made.blocks = kComb + 40;
  made.flags = kSetSizes;
  made.size = other.size() - 7;
  made.other_size = one.size();
  finish({xmi(made)});
  EXPECT_TRUE(content(comb_) == other.substr(0, other.size() - 7));
  EXPECT_TRUE(content(solid_) == one);
}

// Where the first file has no data, nothing moves.
TEST_P(RecoveryIntents, OnlyWhatIsWrittenMoves) {
  std::string one = content(comb_);
  std::string other = content(solid_);
  MadeXmi made = between(comb_, solid_);
  made.blocks = 350;
  made.flags = kInode1Written;
  finish({xmi(made)});
  for (std::uint64_t at = 0; at < made.blocks; at += 2) {
    const std::string moved = range_of(one, at * block_, block_);
    put_range(one, at * block_, range_of(other, at * block_, block_));
    put_range(other, at * block_, moved);
  }
  EXPECT_TRUE(content(comb_) == one);
  EXPECT_TRUE(content(solid_) == other);
}

TEST_P(RecoveryIntentsShared, SharedBlocksAreExchangedAndMarked) {
  const std::string shared = content(comb_).substr(0, block_);
  MadeXmi made = between(comb_, small_);
  made.flags = kSetSizes | kClearReflink1;
  made.blocks = kComb + 40;
  made.size = content(small_).size();
  made.other_size = content(comb_).size();
  finish({xmi(made)}, [&](Transaction& transaction) {
    const InodeEdit from(transaction, comb_);
    const InodeEdit to(transaction, solid_);
    ForkWriter fork(to, Fork::kData);
    Extent extent = *ForkWriter(from, Fork::kData).find(FileBlock(0));
    extent.file_block = FileBlock(250);
    fork.add(extent);
    Allocator(transaction).share({.start = extent.start, .length_blocks = 1}, fork.owner_of(extent));
    for (const InodeEdit* const inode : {&from, &to}) {
      inode->change_core().flags2 = inode->core().flags2 | inode_flags2::kReflink;
    }
  });
  EXPECT_TRUE(volume().inode(small_).core().reflink());
  EXPECT_TRUE(content(small_).starts_with(shared));
  edit([&](Filesystem& filesystem) {
    filesystem.unlink(filesystem.root(), "small");
    filesystem.unlink(filesystem.root(), "solid");
  });
  EXPECT_EQ(WrittenVolume::problems_of(device_), "");
}

// One block of attributes each, which names the inode that is to have it.
TEST_P(RecoveryIntentsAlone, AttributeForksAreExchanged) {
  const std::string value(200, 'v');
  const auto owned_by = [&](InodeNumber ino, InodeNumber owner) {
    const auto extent = volume().extents(ino, Fork::kAttr).next(FileBlock(0));
    std::vector<std::byte> block(block_);
    device_.read(geometry_.byte_of(extent->start), block);
    mutable_view<DaBlockInfo>(block).owner = owner.value();
    seal(block, offsetof(DaBlockInfo, crc));
    device_.write(geometry_.byte_of(extent->start), block);
  };
  edit([&](Filesystem& filesystem) {
    for (const InodeNumber ino : {comb_, small_}) {
      for (unsigned i = 0; i < 3; ++i) {
        filesystem.set_attribute(ino, AttrNamespace::kUser, fmt::format("{} of {}", i, ino.value()), bytes_of(value));
      }
    }
  });
  const auto names = [&](InodeNumber ino) { return volume().attributes(ino).list().front().name.substr(1); };
  const std::string before = names(comb_);
  owned_by(comb_, small_);
  owned_by(small_, comb_);
  MadeXmi made = between(comb_, small_);
  made.flags = kAttrFork;
  finish({xmi(made)});
  EXPECT_EQ(names(small_), before);
  EXPECT_NE(names(comb_), before);
}

// More extents than one transaction exchanges: each part is done, and each but the last announces what is left.
TEST_P(RecoveryIntents, ManyExtentsAreExchangedInParts) {
  MadeXmi made = between(comb_, solid_);
  made.blocks = kComb;
  announce(device_, geometry_, {xmi(made)});
  const LogPlace place = LogPlace::of(geometry_);
  const LogSummary before = read_log_summary(device_, place);
  EXPECT_TRUE(recover(device_, geometry_).complete());
  LogSummary all = read_log_summary(device_, place);
  all.tail = before.tail;
  std::map<LogItemType, unsigned> items;
  static_cast<void>(walk_log(device_, place, all, [&](const LogTransaction& transaction) {
    for (const LogItem& item : transaction.items) ++items[item.type];
  }));
  EXPECT_GT(items[LogItemType::kXmi], 10u);
  EXPECT_EQ(items[LogItemType::kXmi], items[LogItemType::kXmd]);
}

// Power is cut at each write and each barrier of a recovery, and again in the recovery of that.
TEST_P(RecoveryIntents, CutShortAtAnyMomentTheNextRecoveryComesToTheSameEnd) {
  const std::string large(60'000, 'L');
  edit([&](Filesystem& filesystem) {
    filesystem.set_attribute(named_, AttrNamespace::kUser, "large", bytes_of(std::string(50'000, 'l')));
  });
  MadeXmi sizes = between(comb_, solid_);
  sizes.blocks = kComb + 40;
  sizes.flags = kSetSizes;
  sizes.size = content(solid_).size();
  sizes.other_size = content(comb_).size();
  MadeXmi inside = between(small_, small_);
  inside.other_at = 2;
  std::vector<LogItem> intents = {
      attri({.op = kReplace, .ino = named_, .name = "large", .value = large}),
      xmi(sizes),
      attri({.op = kSet, .ino = named_, .name = "new", .value = large}),
      xmi(inside),
      attri({.op = kRemove, .ino = named_, .name = "old"}),
  };
  announce(device_, geometry_, intents);
  const auto recorded = [&](Device& device) {
    RecordingDevice recorder(device);
    EXPECT_TRUE(recover(recorder, geometry_, {.checkpoint_log_blocks = 100}).complete());
    return recorder.take_trace();
  };
  OverlayDevice first(static_cast<Device&>(device_));
  const Trace trace = recorded(first);
  const std::string expected = states_of(first);
  EXPECT_NE(expected.find("user.new=60000:"), std::string::npos);
  EXPECT_EQ(WrittenVolume::problems_of(first), "");
  const std::size_t events = trace.events().size();
  std::uint64_t states = 0;
  const auto expect_the_end = [&](Device& crashed, const std::string& state) {
    SCOPED_TRACE(state.substr(0, 300));
    ASSERT_NO_THROW(EXPECT_TRUE(recover(crashed, geometry_).complete()));
    EXPECT_EQ(states_of(crashed), expected);
    EXPECT_EQ(WrittenVolume::problems_of(crashed), "");
    ++states;
  };
  for (std::size_t cut = 0; cut <= events && !HasFailure(); cut += 1 + events / 60) {
    const CrashState outcomes[] = {trace.prefix(cut), trace.random_state(cut, cut)};
    for (const CrashState& state : outcomes) {
      OverlayDevice once(static_cast<Device&>(device_));
      trace.build(state, once);
      OverlayDevice work(static_cast<Device&>(once));
      const Trace second = recorded(work);
      const std::size_t second_cut = second.events().size() / 2;
      OverlayDevice twice(static_cast<Device&>(once));
      second.build(second.random_state(second_cut, cut), twice);
      expect_the_end(work, state.describe());
      expect_the_end(twice, fmt::format("cut at {} and at {}", cut, second_cut));
    }
  }
  std::cout << events << " events, " << states << " states\n";
  EXPECT_GT(states, 60u);
}

const VolumeCase kB4k{.name = "b4k", .size_bytes = 64u << 20, .exchange = true};
const VolumeCase kB1k{.name = "b1k", .block_bytes = 1024, .size_bytes = 64u << 20, .exchange = true};
const VolumeCase kParent{.name = "parent", .parent = true, .size_bytes = 64u << 20, .exchange = true};
const VolumeCase kPlain{.name = "plain", .rmapbt = false, .reflink = false, .size_bytes = 64u << 20, .exchange = true};
std::string name_of(const ::testing::TestParamInfo<VolumeCase>& each) { return each.param.name; }

INSTANTIATE_TEST_SUITE_P(Volumes, RecoveryIntents, ::testing::Values(kB4k, kB1k, kParent, kPlain), name_of);
INSTANTIATE_TEST_SUITE_P(Volumes, RecoveryIntentsShared, ::testing::Values(kB4k, kB1k, kParent), name_of);
INSTANTIATE_TEST_SUITE_P(Volumes, RecoveryIntentsAlone, ::testing::Values(kB4k, kB1k, kPlain), name_of);
INSTANTIATE_TEST_SUITE_P(
    Volumes, RecoveryIntentsParents,
    ::testing::Values(
        VolumeCase{.name = "b4k", .parent = true, .size_bytes = 64u << 20, .exchange = true},
        VolumeCase{.name = "b1k", .block_bytes = 1024, .parent = true, .size_bytes = 64u << 20, .exchange = true}),
    [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace xdax::test

// Recorded traces, and the images that a power cut could have left.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "libfs/device/fault_device.h"
#include "libfs/device/memory_device.h"
#include "libfs/device/overlay_device.h"
#include "libfs/device/random.h"
#include "libfs/device/recording_device.h"

namespace xdax {
namespace {

using Kind = TraceEvent::Kind;

constexpr std::size_t kSectors = 16;
constexpr std::size_t kSize = kSectors * 512;

std::vector<std::byte> filled(std::size_t count, int value) {
  return std::vector<std::byte>(count, static_cast<std::byte>(value));
}

/// The first byte of each sector of the image that `state` leaves on a device full of dots, as text.
std::string image_of(const Trace& trace, const CrashState& state, std::byte discard_fill = std::byte{'0'}) {
  const std::unique_ptr<MemoryDevice> base = MemoryDevice::copy_of(filled(kSize, '.'));
  OverlayDevice image(*base);
  trace.build(state, image, discard_fill);
  std::string text;
  for (std::size_t sector = 0; sector < kSectors; ++sector) {
    std::vector<std::byte> bytes(512);
    image.read(sector * 512, bytes);
    // A sector changes as a whole or not at all in these tests.
    EXPECT_EQ(bytes, filled(512, static_cast<int>(bytes[0])));
    text += bytes[0] == std::byte{0} ? 'z' : static_cast<char>(bytes[0]);
  }
  return text;
}

class Recording : public testing::Test {
 protected:
  Recording() : base_(MemoryDevice::copy_of(filled(kSize, '.'))), recording_(*base_) {}

  void write(std::size_t sector, std::size_t sectors, char value) {
    recording_.write(sector * 512, filled(sectors * 512, value));
  }

  std::set<std::string> images(const std::vector<CrashState>& states) {
    const Trace trace = recording_.trace();
    std::set<std::string> found;
    for (const CrashState& state : states) found.insert(image_of(trace, state));
    return found;
  }

  std::unique_ptr<MemoryDevice> base_;
  RecordingDevice recording_;
};

TEST_F(Recording, NotesEverythingThatChangesInOrder) {
  write(1, 2, 'a');
  recording_.persist();
  recording_.zero(3 * 512, 1024, ZeroMode::kFastest);
  EXPECT_TRUE(recording_.discard(0, 512));
  std::vector<std::byte> ignored(10);
  recording_.read(0, ignored);
  EXPECT_THROW(recording_.write(kSize, ignored), RefusalError);
  EXPECT_THROW(recording_.zero(kSize, 1, ZeroMode::kFastest), RefusalError);
  EXPECT_EQ(recording_.event_count(), 4u);

  const Trace trace = recording_.take_trace();
  EXPECT_EQ(recording_.event_count(), 0u);
  const std::vector<TraceEvent>& events = trace.events();
  ASSERT_EQ(events.size(), 4u);
  EXPECT_EQ(events[0].kind, Kind::kWrite);
  EXPECT_EQ(events[0].offset_bytes, 512u);
  EXPECT_EQ(events[0].data, filled(1024, 'a'));
  EXPECT_EQ(events[1].kind, Kind::kBarrier);
  EXPECT_EQ(events[2].kind, Kind::kZero);
  EXPECT_EQ(events[2].offset_bytes, 3u * 512);
  EXPECT_EQ(events[2].length_bytes, 1024u);
  EXPECT_EQ(events[3].kind, Kind::kDiscard);
  EXPECT_EQ(trace.barriers(), std::vector<std::size_t>{1});
  EXPECT_EQ(trace.memory_use_bytes(), 1024u);
  EXPECT_EQ(trace.sector_bytes(), 512u);
}

TEST_F(Recording, PrefixesReplayTheHistory) {
  write(0, 2, 'a');
  write(1, 2, 'b');
  recording_.persist();
  recording_.zero(2 * 512, 512, ZeroMode::kFastest);
  write(5, 1, 'c');
  static_cast<void>(recording_.discard(0, 512));
  const Trace trace = recording_.trace();
  const char* const expected[] = {"................", "aa..............", "abb.............", "abb.............",
                                  "abz.............", "abz..c..........", "0bz..c.........."};
  for (std::size_t count = 0; count <= 6; ++count) EXPECT_EQ(image_of(trace, trace.prefix(count)), expected[count]);
  EXPECT_EQ(trace.durable_events(2), 0u);
  EXPECT_EQ(trace.durable_events(3), 3u);
  EXPECT_EQ(trace.durable_events(6), 3u);
  EXPECT_EQ(image_of(trace, trace.prefix(6), std::byte{0}), "zbz..c..........");
}

TEST_F(Recording, SubsetsLoseWholeEventsButNothingDurable) {
  write(0, 1, 'a');
  recording_.persist();
  write(1, 1, 'b');
  write(1, 2, 'c');
  write(3, 1, 'd');
  const Trace trace = recording_.trace();
  const std::vector<CrashState> states = trace.subsets(5, 100);
  EXPECT_EQ(states.size(), 8u);
  EXPECT_EQ(images(states), (std::set<std::string>{"a...............", "ab..............", "acc.............",
                                                   "a..d............", "ab.d............", "accd............"}));
  EXPECT_EQ(images(trace.subsets(2, 100)), std::set<std::string>{"a..............."});
  EXPECT_EQ(images(trace.subsets(1, 100)), (std::set<std::string>{"................", "a..............."}));
  // Too many for all of them: the telling ones, and no more than asked for.
  EXPECT_EQ(images(trace.subsets(5, 2)), (std::set<std::string>{"a...............", "accd............"}));
  EXPECT_EQ(trace.subsets(5, 7).size(), 7u);
}

TEST_F(Recording, ManyEventsGiveTheTellingSubsets) {
  for (std::size_t i = 0; i < kSectors; ++i) write(i, 1, static_cast<char>('a' + i));
  const std::set<std::string> found = images(recording_.trace().subsets(kSectors, 1000));
  const std::string all = "abcdefghijklmnop", none(kSectors, '.');
  EXPECT_TRUE(found.contains(all));
  EXPECT_TRUE(found.contains(none));
  for (std::size_t i = 0; i < kSectors; ++i) {
    std::string one = none, without = all;
    one[i] = all[i];
    without[i] = '.';
    EXPECT_TRUE(found.contains(one)) << one;
    EXPECT_TRUE(found.contains(without)) << without;
    EXPECT_TRUE(found.contains(all.substr(0, i) + none.substr(i))) << "prefix of " << i;
  }
}

TEST_F(Recording, TornEventsBreakAtSectors) {
  write(0, 1, 'a');
  recording_.write(2 * 512, filled(3 * 512, 'b'));
  const std::set<std::string> found = images(recording_.trace().torn(2, 100));
  EXPECT_EQ(found,
            (std::set<std::string>{"a.b.............", "a.bb............", "a...b...........", "a..bb..........."}));
  EXPECT_EQ(recording_.trace().torn(2, 1).size(), 2u);
  EXPECT_TRUE(recording_.trace().torn(1, 100).empty()) << "one sector does not tear";
}

TEST_F(Recording, UnalignedWritesTearWhereTheSectorsAre) {
  recording_.write(500, filled(600, 'u'));  // 12 bytes, 512 bytes, 76 bytes
  const Trace trace = recording_.trace();
  std::set<std::pair<std::uint64_t, std::uint64_t>> pieces;
  for (const CrashState& state : trace.torn(1, 100)) {
    ASSERT_EQ(state.pieces.size(), 1u);
    pieces.insert({state.pieces[0].offset_bytes, state.pieces[0].length_bytes});
  }
  EXPECT_EQ(pieces, (std::set<std::pair<std::uint64_t, std::uint64_t>>{{500, 12}, {512, 588}, {500, 524}, {1024, 76}}));
}

TEST_F(Recording, RandomStatesArePossibleAndRepeatable) {
  write(0, 1, 'a');
  recording_.persist();
  write(1, 4, 'b');
  write(3, 4, 'c');
  recording_.zero(6 * 512, 4 * 512, ZeroMode::kFastest);
  const Trace trace = recording_.trace();
  std::set<std::string> found;
  bool later_one_lost = false;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    const CrashState state = trace.random_state(5, seed);
    EXPECT_EQ(state, trace.random_state(5, seed));
    const std::string image = image_of(trace, state);
    found.insert(image);
    // Sector 3 is written by events 2 and 3; both arrived there, and yet it holds what event 2 carried.
    const bool both = std::ranges::count_if(state.pieces, [](const CrashPiece& piece) {
                        return piece.event <= 3 && piece.offset_bytes <= 3 * 512 &&
                               piece.offset_bytes + piece.length_bytes >= 4 * 512;
                      }) == 2;
    later_one_lost = later_one_lost || (both && image[3] == 'b');
    // Each sector holds what it held or what some event in flight carried.
    const char* const possible[kSectors] = {"a",  ".b", ".b", ".bc", ".bc", ".c", ".cz", ".z",
                                            ".z", ".z", ".",  ".",   ".",   ".",  ".",   "."};
    for (std::size_t sector = 0; sector < kSectors; ++sector) {
      ASSERT_NE(std::string(possible[sector]).find(image[sector]), std::string::npos)
          << "seed " << seed << ", " << state.describe() << ": " << image;
    }
  }
  EXPECT_GT(found.size(), 100u);
  EXPECT_TRUE(found.contains("a..............."));
  EXPECT_TRUE(found.contains("abbcccczzz......") || found.contains("abbccczzzz......"));
  EXPECT_TRUE(later_one_lost) << "no state in which the earlier of two overlapping writes arrived last";
}

TEST_F(Recording, StatesAreDescribed) {
  write(0, 1, 'a');
  recording_.persist();
  write(1, 2, 'b');
  EXPECT_EQ(recording_.trace().prefix(3).describe(), "2 durable; 2[512+1024]");
}

TEST(RecordingFailures, FailedRequestsPromiseNothing) {
  const std::unique_ptr<MemoryDevice> memory = MemoryDevice::copy_of(filled(kSize, '.'));
  FaultDevice faulty(*memory, 1);
  RecordingDevice recording(faulty);
  recording.write(0, filled(512, 'a'));
  FaultRule rule;
  rule.count = 1;
  rule.operation = FaultOperation::kPersist;
  faulty.add_rule(rule);
  EXPECT_THROW(recording.persist(), IoError);
  rule.operation = FaultOperation::kWrite;
  faulty.add_rule(rule);
  EXPECT_THROW(recording.write(512, filled(512, 'b')), IoError);
  rule.operation = FaultOperation::kZero;
  faulty.add_rule(rule);
  EXPECT_THROW(recording.zero(1024, 512, ZeroMode::kFastest), IoError);
  recording.write(1536, filled(512, 'd'));

  const Trace trace = recording.trace();
  ASSERT_EQ(trace.events().size(), 5u);
  EXPECT_TRUE(trace.barriers().empty());
  EXPECT_EQ(image_of(trace, trace.prefix(5)), "a..d............");
  const std::vector<CrashState> states = trace.subsets(5, 100);
  EXPECT_EQ(states.size(), 16u) << "a failed write may have arrived";
  recording.persist();
  EXPECT_EQ(image_of(recording.trace(), recording.trace().prefix(6)), "a..d............");
}

/// A device whose barrier takes until it is let go.
class SlowBarrier final : public Device {
 public:
  explicit SlowBarrier(Device& base) : base_(base) {}
  const std::string& name() const override { return base_.name(); }
  std::uint64_t size_bytes() const override { return base_.size_bytes(); }
  const DeviceTraits& traits() const override { return base_.traits(); }
  void read_batch(std::span<ReadRequest> requests) override { base_.read_batch(requests); }
  void write_batch(std::span<WriteRequest> requests) override { base_.write_batch(requests); }
  void zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, ZeroMode mode) override {
    base_.zero(offset_bytes, length_bytes, mode);
  }
  bool discard(std::uint64_t offset_bytes, std::uint64_t length_bytes) override {
    return base_.discard(offset_bytes, length_bytes);
  }
  void persist() override {
    if (during_barrier) during_barrier();
  }

  std::function<void()> during_barrier;

 private:
  Device& base_;
};

TEST(RecordingThreads, AWriteBesideABarrierIsNotCoveredByIt) {
  const std::unique_ptr<MemoryDevice> memory = MemoryDevice::copy_of(filled(kSize, '.'));
  SlowBarrier slow(*memory);
  RecordingDevice recording(slow);
  recording.write(0, filled(512, 'a'));
  slow.during_barrier = [&] { std::thread([&] { recording.write(512, filled(512, 'b')); }).join(); };
  recording.persist();
  const Trace trace = recording.trace();
  ASSERT_EQ(trace.events().size(), 3u);
  EXPECT_EQ(trace.durable_events(3), 2u);
  EXPECT_EQ(image_of(trace, {.durable_events = 2, .pieces = {}}), "a...............");
}

TEST(RecordingThreads, RecordsEveryWriteOfManyThreads) {
  MemoryOptions options;
  options.size_bytes = 1u << 20;
  RecordingDevice recording(std::make_unique<MemoryDevice>(options));
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < 100; ++i) {
        recording.write((t * 100 + i) * 512, filled(512, static_cast<int>(t + 1)));
        if (i % 10 == 9) recording.persist();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const Trace trace = recording.trace();
  EXPECT_EQ(trace.events().size(), 440u);
  EXPECT_EQ(trace.barriers().size(), 40u);
  MemoryDevice image(options);
  trace.build(trace.prefix(440), image);
  std::vector<std::byte> expected(options.size_bytes), back(options.size_bytes);
  recording.read(0, expected);
  image.read(0, back);
  EXPECT_EQ(back, expected);
}

}  // namespace
}  // namespace xdax

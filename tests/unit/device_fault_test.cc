// Devices that fail as told: each action on each operation, and that the same seed gives the same faults.

#include <gtest/gtest.h>

#include <bit>
#include <memory>
#include <thread>
#include <vector>

#include "libfs/device/fault_device.h"
#include "libfs/device/memory_device.h"

namespace xdax {
namespace {

constexpr std::size_t kSize = 64 * 512;

std::vector<std::byte> filled(std::size_t count, int value) {
  return std::vector<std::byte>(count, static_cast<std::byte>(value));
}

class Faults : public testing::Test {
 protected:
  Faults() : base_(MemoryDevice::copy_of(filled(kSize, '.'))), device_(*base_, 42) {}

  std::vector<std::byte> stored(std::uint64_t offset_bytes, std::size_t length_bytes) {
    const MutableByteSpan bytes = base_->bytes().subspan(offset_bytes, length_bytes);
    return {bytes.begin(), bytes.end()};
  }

  std::unique_ptr<MemoryDevice> base_;
  FaultDevice device_;
};

/// Bits in which two byte strings of one length differ.
int differing_bits(const std::vector<std::byte>& left, const std::vector<std::byte>& right) {
  int bits = 0;
  for (std::size_t i = 0; i < left.size(); ++i) bits += std::popcount(std::to_integer<unsigned>(left[i] ^ right[i]));
  return bits;
}

TEST_F(Faults, WithoutRulesItIsTransparent) {
  device_.write(100, filled(1000, 'x'));
  device_.zero(2000, 1000, ZeroMode::kFastest);
  device_.persist();
  EXPECT_EQ(stored(100, 1000), filled(1000, 'x'));
  EXPECT_EQ(stored(2000, 1000), filled(1000, 0));
  EXPECT_TRUE(device_.faults().empty());
  EXPECT_FALSE(device_.mapped(0, 512));
}

TEST_F(Faults, BadSectorsFailWhatTouchesThem) {
  FaultRule rule;
  rule.operation = FaultOperation::kRead;
  rule.offset_bytes = 1024;
  rule.length_bytes = 512;
  device_.add_rule(rule);
  const struct {
    std::uint64_t offset_bytes;
    std::size_t length_bytes;
    bool fails;
  } cases[] = {{0, 1024, false},   {0, 1025, true},  {1535, 1, true},
               {1536, 512, false}, {0, kSize, true}, {1200, 0, false}};
  std::vector<std::vector<std::byte>> buffers;
  std::vector<ReadRequest> batch;
  for (const auto& example : cases) buffers.push_back(filled(example.length_bytes, 0));
  for (std::size_t i = 0; i < std::size(cases); ++i) batch.push_back({cases[i].offset_bytes, buffers[i], {}});
  device_.read_batch(batch);
  for (std::size_t i = 0; i < std::size(cases); ++i) {
    EXPECT_EQ(batch[i].error == std::errc::io_error, cases[i].fails) << i;
    if (!cases[i].fails) {
      EXPECT_FALSE(batch[i].error);
      EXPECT_EQ(buffers[i], filled(buffers[i].size(), '.')) << i;
    }
  }
  device_.write(1024, filled(512, 'w'));  // only reading is broken
  EXPECT_EQ(stored(1024, 512), filled(512, 'w'));
  EXPECT_EQ(device_.faults().size(), 3u);
  device_.clear_rules();
  device_.read(1024, buffers[0]);
}

TEST_F(Faults, CountsAndSkips) {
  FaultRule rule;
  rule.operation = FaultOperation::kWrite;
  rule.skip = 2;
  rule.count = 3;
  rule.error = std::make_error_code(std::errc::no_space_on_device);
  EXPECT_EQ(device_.add_rule(rule), 0u);
  std::string outcome;
  for (int i = 0; i < 8; ++i) {
    const std::vector<std::byte> bytes = filled(1, 'a');
    WriteRequest request{0, bytes, {}};
    device_.write_batch({&request, 1});
    outcome += !request.error ? '.' : request.error == std::errc::no_space_on_device ? 'F' : '?';
  }
  EXPECT_EQ(outcome, "..FFF...");
}

TEST_F(Faults, ErrorsOfEveryOperation) {
  device_.add_rule({});
  std::vector<std::byte> buffer(512);
  EXPECT_THROW(device_.read(0, buffer), IoError);
  EXPECT_THROW(device_.write(0, buffer), IoError);
  EXPECT_THROW(device_.zero(0, 512, ZeroMode::kFastest), IoError);
  EXPECT_FALSE(device_.discard(0, 512));
  EXPECT_THROW(device_.persist(), IoError);
  EXPECT_EQ(stored(0, kSize), filled(kSize, '.'));
  const std::vector<FaultEvent> expected = {{0, FaultOperation::kRead, 0, 512},
                                            {0, FaultOperation::kWrite, 0, 512},
                                            {0, FaultOperation::kZero, 0, 512},
                                            {0, FaultOperation::kDiscard, 0, 512},
                                            {0, FaultOperation::kPersist, 0, 0}};
  EXPECT_EQ(device_.faults(), expected);
}

TEST_F(Faults, TornWritesStopAtASector) {
  for (const bool silent : {false, true}) {
    for (const auto& [sectors, kept_bytes] :
         {std::pair<std::uint64_t, std::size_t>{0, 0}, {1, 412}, {2, 924}, {4, 1900}, {~std::uint64_t{0}, 1900}}) {
      device_.clear_rules();
      device_.write(0, filled(kSize, '.'));
      FaultRule rule;
      rule.action = FaultAction::kTorn;
      rule.torn_sectors = sectors;
      rule.silent = silent;
      device_.add_rule(rule);
      const std::vector<std::byte> bytes = filled(1900, 'n');
      WriteRequest request{100, bytes, {}};
      device_.write_batch({&request, 1});
      EXPECT_EQ(static_cast<bool>(request.error), !silent);
      EXPECT_EQ(stored(0, 100), filled(100, '.'));
      EXPECT_EQ(stored(100, kept_bytes), filled(kept_bytes, 'n'));
      EXPECT_EQ(stored(100 + kept_bytes, kSize - 100 - kept_bytes), filled(kSize - 100 - kept_bytes, '.'));
    }
  }
}

TEST_F(Faults, TornZeroing) {
  FaultRule rule;
  rule.operation = FaultOperation::kZero;
  rule.action = FaultAction::kTorn;
  rule.torn_sectors = 2;
  device_.add_rule(rule);
  EXPECT_THROW(device_.zero(512, 5 * 512, ZeroMode::kAllocated), IoError);
  EXPECT_EQ(stored(512, 1024), filled(1024, 0));
  EXPECT_EQ(stored(1536, 512), filled(512, '.'));
}

TEST_F(Faults, LostRequestsReportSuccess) {
  FaultRule rule;
  rule.action = FaultAction::kLost;
  device_.add_rule(rule);
  device_.write(0, filled(512, 'x'));
  device_.zero(512, 512, ZeroMode::kFastest);
  EXPECT_TRUE(device_.discard(1024, 512));
  device_.persist();
  EXPECT_EQ(stored(0, kSize), filled(kSize, '.'));
  std::vector<std::byte> buffer = filled(512, 'o');
  device_.read(0, buffer);
  EXPECT_EQ(buffer, filled(512, 'o'));
}

TEST_F(Faults, MisdirectedRequestsGoElsewhere) {
  FaultRule rule;
  rule.action = FaultAction::kMisdirected;
  rule.misdirect_bytes = 2048;
  device_.add_rule(rule);
  device_.write(512, filled(512, 'm'));
  EXPECT_EQ(stored(512, 512), filled(512, '.'));
  EXPECT_EQ(stored(2560, 512), filled(512, 'm'));
  std::vector<std::byte> buffer(512);
  device_.read(512, buffer);
  EXPECT_EQ(buffer, filled(512, 'm'));
  device_.zero(kSize - 512, 512, ZeroMode::kFastest);  // wraps, and stays inside
  EXPECT_EQ(stored(kSize - 512, 512), filled(512, '.'));
  EXPECT_EQ(stored(2048 - 1, 1), filled(1, 0));
  device_.write(0, filled(kSize, 'a'));  // nowhere else to go
  EXPECT_EQ(stored(0, kSize), filled(kSize, 'a'));
}

TEST_F(Faults, CorruptionFlipsOneBitSilently) {
  FaultRule rule;
  rule.action = FaultAction::kCorrupt;
  rule.count = 1;
  rule.operation = FaultOperation::kWrite;
  device_.add_rule(rule);
  const std::vector<std::byte> bytes = filled(4096, 'c');
  device_.write(0, bytes);
  EXPECT_EQ(differing_bits(stored(0, 4096), bytes), 1);
  EXPECT_EQ(bytes, filled(4096, 'c')) << "the caller's memory was changed";
  rule.operation = FaultOperation::kRead;
  device_.add_rule(rule);
  std::vector<std::byte> first(4096), second(4096);
  device_.read(8192, first);
  device_.read(8192, second);
  EXPECT_EQ(differing_bits(first, second), 1);
  EXPECT_EQ(second, filled(4096, '.'));
  rule.operation = FaultOperation::kZero;
  device_.add_rule(rule);
  device_.zero(16384, 4096, ZeroMode::kFastest);
  EXPECT_EQ(differing_bits(stored(16384, 4096), filled(4096, 0)), 1);
}

TEST_F(Faults, TheFirstRuleThatFiresDecides) {
  FaultRule lost;
  lost.operation = FaultOperation::kWrite;
  lost.action = FaultAction::kLost;
  lost.count = 1;
  device_.add_rule(lost);
  FaultRule failing;
  failing.operation = FaultOperation::kWrite;
  device_.add_rule(failing);
  device_.write(0, filled(512, 'x'));
  EXPECT_THROW(device_.write(0, filled(512, 'x')), IoError);
  ASSERT_EQ(device_.faults().size(), 2u);
  EXPECT_EQ(device_.faults()[0].rule, 0u);
  EXPECT_EQ(device_.faults()[1].rule, 1u);
}

TEST(FaultSeeds, ChanceFollowsTheSeed) {
  const auto run = [](std::uint64_t seed) {
    MemoryOptions options;
    options.size_bytes = kSize;
    FaultDevice device(std::make_unique<MemoryDevice>(options), seed);
    FaultRule rule;
    rule.operation = FaultOperation::kWrite;
    rule.action = FaultAction::kCorrupt;
    rule.one_in = 4;
    device.add_rule(rule);
    for (std::size_t i = 0; i < 400; ++i) device.write(i % 64 * 512, filled(512, 'r'));
    std::vector<std::byte> image(kSize);
    device.read(0, image);
    return std::pair(device.faults(), image);
  };
  const auto [faults, image] = run(1);
  EXPECT_GT(faults.size(), 60u);
  EXPECT_LT(faults.size(), 140u);
  EXPECT_EQ(run(1), std::pair(faults, image));
  EXPECT_NE(run(2).first, faults);
  EXPECT_NE(run(2).second, image);
}

TEST(FaultSeeds, OtherOperationsBetweenDoNotChangeTheDraw) {
  const auto run = [](bool reads_between) {
    MemoryOptions options;
    options.size_bytes = kSize;
    FaultDevice device(std::make_unique<MemoryDevice>(options), 9);
    FaultRule rule;
    rule.operation = FaultOperation::kWrite;
    rule.one_in = 3;
    device.add_rule(rule);
    std::vector<std::byte> buffer(512);
    std::string outcome;
    for (int i = 0; i < 100; ++i) {
      if (reads_between) device.read(0, buffer);
      WriteRequest request{0, buffer, {}};
      device.write_batch({&request, 1});
      outcome += request.error ? 'F' : '.';
    }
    return outcome;
  };
  EXPECT_EQ(run(true), run(false));
}

TEST(FaultThreads, RulesMayComeAndGo) {
  MemoryOptions options;
  options.size_bytes = kSize;
  FaultDevice device(std::make_unique<MemoryDevice>(options), 9);
  std::thread toggling([&] {
    for (int i = 0; i < 200; ++i) {
      FaultRule rule;
      rule.action = FaultAction::kLost;
      device.add_rule(rule);
      device.clear_rules();
    }
  });
  std::vector<std::byte> buffer(512);
  for (int i = 0; i < 2000; ++i) device.read(0, buffer);
  toggling.join();
  EXPECT_LE(device.faults().size(), 2000u);
}

}  // namespace
}  // namespace xdax

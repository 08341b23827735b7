// Copy on write: what is kept where, what is reported as changed, what it costs, and bases that cannot be read.

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "libfs/device/fault_device.h"
#include "libfs/device/memory_device.h"
#include "libfs/device/overlay_device.h"

namespace xdax {
namespace {

constexpr std::uint64_t kMiB = 1u << 20;

std::vector<std::byte> filled(std::size_t count, int value) {
  return std::vector<std::byte>(count, static_cast<std::byte>(value));
}

std::vector<std::byte> read_back(Device& device, std::uint64_t offset_bytes, std::size_t length_bytes) {
  std::vector<std::byte> bytes(length_bytes, std::byte{0xee});
  device.read(offset_bytes, bytes);
  return bytes;
}

TEST(OverlayDevice, KeepsTheBaseAsItWas) {
  const std::unique_ptr<MemoryDevice> base = MemoryDevice::copy_of(filled(64 * 4096, 0x11));
  OverlayDevice overlay(*base);
  overlay.write(100, filled(10000, 0x22));
  overlay.zero(20000, 50000, ZeroMode::kAllocated);
  EXPECT_FALSE(overlay.discard(0, 64 * 4096));
  overlay.persist();
  EXPECT_EQ(read_back(*base, 0, 64 * 4096), filled(64 * 4096, 0x11));
  EXPECT_EQ(read_back(overlay, 0, 100), filled(100, 0x11));
  EXPECT_EQ(read_back(overlay, 100, 10000), filled(10000, 0x22));
  EXPECT_EQ(read_back(overlay, 20000, 50000), filled(50000, 0));
  EXPECT_EQ(read_back(overlay, 70000, 1000), filled(1000, 0x11));
  overlay.drop_changes();
  EXPECT_EQ(read_back(overlay, 0, 64 * 4096), filled(64 * 4096, 0x11));
  EXPECT_TRUE(overlay.changed_ranges().empty());
}

TEST(OverlayDevice, MakesAReadOnlyBaseWritable) {
  MemoryOptions options;
  options.size_bytes = 65536;
  options.read_only = true;
  OverlayDevice overlay(std::make_unique<MemoryDevice>(options));
  EXPECT_FALSE(overlay.traits().read_only);
  overlay.write(5, filled(5, 1));
  EXPECT_EQ(read_back(overlay, 5, 5), filled(5, 1));
}

TEST(OverlayDevice, AZeroedBlockStaysZeroAroundALaterWrite) {
  const std::unique_ptr<MemoryDevice> base = MemoryDevice::copy_of(filled(4 * 4096, 0x11));
  OverlayDevice overlay(*base);
  overlay.zero(4096, 2 * 4096, ZeroMode::kFastest);
  overlay.write(4096 + 10, filled(5, 0x22));
  std::vector<std::byte> expected = filled(4 * 4096, 0x11);
  std::fill_n(expected.begin() + 4096, 2 * 4096, std::byte{0});
  std::fill_n(expected.begin() + 4096 + 10, 5, std::byte{0x22});
  EXPECT_EQ(read_back(overlay, 0, 4 * 4096), expected);
  overlay.zero(4096, 4096, ZeroMode::kFastest);
  std::fill_n(expected.begin() + 4096, 4096, std::byte{0});
  EXPECT_EQ(read_back(overlay, 0, 4 * 4096), expected);
}

TEST(OverlayDevice, ReportsChangedRanges) {
  MemoryOptions options;
  options.size_bytes = 20 * 4096 + 100;
  OverlayDevice overlay(std::make_unique<MemoryDevice>(options));
  EXPECT_TRUE(overlay.changed_ranges().empty());
  overlay.write(4096 * 3 + 5, filled(1, 1));
  overlay.write(4096 * 4, filled(4096, 1));
  overlay.write(4096 * 9, filled(4096, 1));
  overlay.zero(4096 * 6, 4096 * 6, ZeroMode::kFastest);      // swallows block 9
  overlay.write(4096 * 8, filled(1, 1));                     // and back into the middle of it
  overlay.zero(4096 * 20 + 50, 50, ZeroMode::kFastest);      // part of the short last block
  overlay.zero(4096 * 15 + 4095, 4098, ZeroMode::kFastest);  // a byte, a block, a byte
  using Ranges = std::vector<ChangedRange>;
  EXPECT_EQ(overlay.changed_ranges(), (Ranges{{4096 * 3, 4096 * 2, false},
                                              {4096 * 6, 4096 * 2, true},
                                              {4096 * 8, 4096, false},
                                              {4096 * 9, 4096 * 3, true},
                                              {4096 * 15, 4096, false},
                                              {4096 * 16, 4096, true},
                                              {4096 * 17, 4096, false},
                                              {4096 * 20, 100, false}}));
  overlay.zero(0, 20 * 4096 + 100, ZeroMode::kFastest);
  EXPECT_EQ(overlay.changed_ranges(), (Ranges{{0, 20 * 4096 + 100, true}}));
}

TEST(OverlayDevice, JoinsZeroedRanges) {
  using Ranges = std::vector<ChangedRange>;
  const struct {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> zeroed;  // block, blocks
    Ranges expected;
  } cases[] = {
      {{{0, 2}, {2, 2}}, {{0, 4 * 4096, true}}},
      {{{2, 2}, {0, 2}}, {{0, 4 * 4096, true}}},
      {{{0, 1}, {2, 1}, {4, 1}, {1, 3}}, {{0, 5 * 4096, true}}},
      {{{5, 3}, {6, 1}}, {{5 * 4096, 3 * 4096, true}}},
      {{{6, 1}, {5, 3}}, {{5 * 4096, 3 * 4096, true}}},
      {{{1, 1}, {4, 1}}, {{4096, 4096, true}, {4 * 4096, 4096, true}}},
  };
  for (const auto& example : cases) {
    MemoryOptions options;
    options.size_bytes = 16 * 4096;
    OverlayDevice overlay(std::make_unique<MemoryDevice>(options));
    for (const auto& [block, blocks] : example.zeroed) overlay.zero(block * 4096, blocks * 4096, ZeroMode::kFastest);
    EXPECT_EQ(overlay.changed_ranges(), example.expected);
  }
}

TEST(OverlayDevice, CountsItsMemory) {
  MemoryOptions options;
  options.size_bytes = std::uint64_t{1} << 36;
  OverlayDevice overlay(std::make_unique<MemoryDevice>(options));
  overlay.zero(1, (std::uint64_t{1} << 36) - 2, ZeroMode::kAllocated);
  EXPECT_LT(overlay.memory_use_bytes(), 65536u) << "zeroing costs memory";
  const std::uint64_t before = overlay.memory_use_bytes();
  overlay.write(kMiB, filled(kMiB, 1));
  EXPECT_GE(overlay.memory_use_bytes(), before + kMiB);
  EXPECT_LT(overlay.memory_use_bytes(), before + kMiB + kMiB / 4);
  overlay.zero(kMiB, kMiB, ZeroMode::kFastest);
  EXPECT_LT(overlay.memory_use_bytes(), before + kMiB / 4) << "zeroed blocks are kept";
  OverlayDevice pieces(std::make_unique<MemoryDevice>(options));
  pieces.zero(0, 4096, ZeroMode::kFastest);
  const std::uint64_t one = pieces.memory_use_bytes();
  for (std::uint64_t block = 1; block < 100; ++block) pieces.zero(block * 4096, 4096, ZeroMode::kFastest);
  EXPECT_EQ(pieces.memory_use_bytes(), one) << "neighbours are not joined";
}

TEST(OverlayDevice, BlockSizeIsTheGrain) {
  for (const std::uint32_t block_bytes : {512u, 4096u, 65536u, 1u << 20}) {
    const std::unique_ptr<MemoryDevice> base = MemoryDevice::copy_of(filled(4 * kMiB, 0x11));
    OverlayDevice overlay(*base, {.block_bytes = block_bytes});
    overlay.write(2 * kMiB - 1, filled(2, 0x22));
    const std::vector<ChangedRange> expected = {{2 * kMiB - block_bytes, 2 * std::uint64_t{block_bytes}, false}};
    EXPECT_EQ(overlay.changed_ranges(), expected);
    EXPECT_EQ(read_back(overlay, 2 * kMiB - 2, 1), filled(1, 0x11));
    EXPECT_EQ(read_back(overlay, 2 * kMiB - 1, 2), filled(2, 0x22));
    EXPECT_EQ(read_back(overlay, 2 * kMiB + 1, 1), filled(1, 0x11));
  }
}

TEST(OverlayDevice, ReplacedBlocksAreReadableOverBadOnes) {
  const std::unique_ptr<MemoryDevice> memory = MemoryDevice::copy_of(filled(16 * 4096, 0x11));
  FaultDevice bad(*memory, 1);
  FaultRule rule;
  rule.operation = FaultOperation::kRead;
  rule.offset_bytes = 4 * 4096;
  rule.length_bytes = 2 * 4096;
  bad.add_rule(rule);
  OverlayDevice overlay(bad);
  std::vector<std::byte> buffer(8 * 4096);
  EXPECT_THROW(overlay.read(0, buffer), IoError);
  // Part of a block whose rest cannot be read: refused, and nothing is remembered.
  EXPECT_THROW(overlay.write(4 * 4096 + 10, filled(10, 1)), IoError);
  EXPECT_THROW(overlay.zero(4 * 4096 + 10, 10, ZeroMode::kFastest), IoError);
  EXPECT_TRUE(overlay.changed_ranges().empty());
  overlay.write(4 * 4096, filled(4096, 0x22));
  overlay.zero(5 * 4096, 4096, ZeroMode::kFastest);
  overlay.read(0, buffer);
  std::vector<std::byte> expected = filled(8 * 4096, 0x11);
  std::fill_n(expected.begin() + 4 * 4096, 4096, std::byte{0x22});
  std::fill_n(expected.begin() + 5 * 4096, 4096, std::byte{0});
  EXPECT_EQ(buffer, expected);
}

TEST(OverlayDevice, ReadersBesideWriters) {
  const std::unique_ptr<MemoryDevice> base = MemoryDevice::copy_of(filled(2 * kMiB, 0x11));
  OverlayDevice overlay(*base);
  std::thread writer([&] {
    for (std::uint64_t i = 0; i < 200; ++i) {
      overlay.write(i * 4000, filled(4000, 0x22));
      overlay.zero(kMiB + i * 4000, 4000, ZeroMode::kFastest);
    }
  });
  std::vector<std::byte> buffer(100000);
  for (int i = 0; i < 200; ++i) {
    overlay.read(2 * kMiB - 100000, buffer);
    ASSERT_EQ(buffer, filled(100000, 0x11));
    static_cast<void>(overlay.changed_ranges());
  }
  writer.join();
  EXPECT_EQ(read_back(overlay, 0, 800000), filled(800000, 0x22));
  EXPECT_EQ(read_back(overlay, kMiB, 800000), filled(800000, 0));
}

}  // namespace
}  // namespace xdax

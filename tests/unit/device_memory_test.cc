// What only the memory device does: sparse memory far larger than the machine's, and copies.

#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "libfs/device/aligned_buffer.h"
#include "libfs/device/memory_device.h"

namespace xdax {
namespace {

constexpr std::uint64_t kMiB = 1u << 20;

/// Pages of this process that are in memory, in bytes.
std::uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t total_pages = 0, resident_pages = 0;
  statm >> total_pages >> resident_pages;
  return resident_pages * 4096;
}

TEST(MemoryDevice, CostsWhatIsWritten) {
  MemoryOptions options;
  options.size_bytes = std::uint64_t{1} << 36;
  MemoryDevice device(options);
  const std::vector<std::byte> bytes(64 * kMiB, std::byte{1});
  const std::uint64_t before = resident_bytes();
  device.write((std::uint64_t{1} << 36) - bytes.size(), bytes);
  const std::uint64_t written = resident_bytes();
  EXPECT_GE(written, before + 60 * kMiB);
  device.zero((std::uint64_t{1} << 36) - 1024 * kMiB, 1024 * kMiB, ZeroMode::kFastest);
  EXPECT_LE(resident_bytes(), written - 60 * kMiB) << "zeroing gave nothing back";
  std::vector<std::byte> back(4096, std::byte{1});
  device.read((std::uint64_t{1} << 36) - 4096, back);
  EXPECT_TRUE(all_zero(back));
}

TEST(MemoryDevice, CopiesItsContent) {
  std::vector<std::byte> content(10000, std::byte{5});
  const std::unique_ptr<MemoryDevice> device = MemoryDevice::copy_of(content, 4096);
  content[0] = std::byte{6};
  EXPECT_EQ(device->size_bytes(), 10000u);
  EXPECT_EQ(device->traits().sector_bytes, 4096u);
  EXPECT_EQ(device->bytes()[0], std::byte{5});
  EXPECT_EQ(MemoryDevice::copy_of({})->size_bytes(), 0u);
}

TEST(MemoryDevice, DiscardedBytesReadAsZeros) {
  const std::vector<std::byte> content(kMiB, std::byte{5});
  const std::unique_ptr<MemoryDevice> device = MemoryDevice::copy_of(content);
  EXPECT_TRUE(device->discard(100, 500000));
  EXPECT_TRUE(all_zero(*device->mapped(100, 500000)));
  EXPECT_EQ(device->bytes()[99], std::byte{5});
  EXPECT_EQ(device->bytes()[500100], std::byte{5});
}

TEST(MemoryDevice, RefusesWritesWhenReadOnly) {
  MemoryOptions options;
  options.size_bytes = 4096;
  options.read_only = true;
  MemoryDevice device(options);
  const std::vector<std::byte> bytes(1);
  EXPECT_THROW(device.write(0, bytes), RefusalError);
  EXPECT_THROW(device.zero(0, 1, ZeroMode::kFastest), RefusalError);
  EXPECT_THROW(static_cast<void>(device.discard(0, 1)), RefusalError);
}

TEST(AlignedBuffer, IsAlignedAndZero) {
  for (const std::size_t alignment :
       {std::size_t{1}, std::size_t{512}, std::size_t{4096}, std::size_t{65536}, 4 * kMiB}) {
    for (const std::size_t size : {std::size_t{1}, std::size_t{4096}, std::size_t{100001}}) {
      const AlignedBuffer buffer(size, alignment);
      ASSERT_EQ(buffer.bytes().size(), size);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.bytes().data()) % alignment, 0u);
      EXPECT_TRUE(all_zero(buffer.bytes()));
    }
  }
  AlignedBuffer first(100);
  first.bytes()[0] = std::byte{1};
  AlignedBuffer second = std::move(first);
  EXPECT_EQ(second.bytes()[0], std::byte{1});
  EXPECT_TRUE(AlignedBuffer(0).bytes().empty());
}

}  // namespace
}  // namespace xdax

// What every device owes, whatever carries it: the same cases run over memory, mappings, rings, plain system calls,
// real block devices with sectors of 512 and 4096 bytes, and every decorator.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "libfs/device/fault_device.h"
#include "libfs/device/memory_device.h"
#include "libfs/device/overlay_device.h"
#include "libfs/device/random.h"
#include "libfs/device/recording_device.h"
#include "libfs/device/uring_device.h"
#include "tests/support/loop_device.h"
#include "tests/support/oracle.h"
#include "tests/support/temp_dir.h"

namespace xdax {
namespace {

constexpr std::uint64_t kMiB = 1u << 20;

enum class Carrier { kMemory, kFile, kLoop };
enum class Wrapper { kNone, kOverlay, kRecording, kFault };

struct Rig {
  const char* name;
  Carrier carrier = Carrier::kFile;
  IoChoice io = IoChoice::kUring;
  bool on_tmpfs = true;
  std::uint32_t sector_bytes = 512;
  bool rings = true;
  bool direct = true;
  Wrapper wrapper = Wrapper::kNone;
};

std::ostream& operator<<(std::ostream& out, const Rig& rig) { return out << rig.name; }

const Rig kRigs[] = {
    {.name = "memory", .carrier = Carrier::kMemory},
    {.name = "uring_tmpfs"},
    {.name = "uring_disk", .on_tmpfs = false},
    {.name = "system_calls_tmpfs", .rings = false},
    {.name = "system_calls_disk", .on_tmpfs = false, .rings = false},
    {.name = "dax_tmpfs", .io = IoChoice::kDax},
    {.name = "dax_disk", .io = IoChoice::kDax, .on_tmpfs = false},
    {.name = "loop_512", .carrier = Carrier::kLoop, .on_tmpfs = false},
    {.name = "loop_4096", .carrier = Carrier::kLoop, .on_tmpfs = false, .sector_bytes = 4096},
    {.name = "loop_4096_tmpfs", .carrier = Carrier::kLoop, .sector_bytes = 4096},
    {.name = "loop_4096_system_calls", .carrier = Carrier::kLoop, .sector_bytes = 4096, .rings = false},
    {.name = "loop_4096_buffered", .carrier = Carrier::kLoop, .sector_bytes = 4096, .direct = false},
    {.name = "overlay", .carrier = Carrier::kMemory, .wrapper = Wrapper::kOverlay},
    {.name = "recording", .carrier = Carrier::kMemory, .wrapper = Wrapper::kRecording},
    {.name = "fault", .carrier = Carrier::kMemory, .wrapper = Wrapper::kFault},
};

/// The seed of this run; XDAX_TEST_SEED repeats an earlier one.
std::uint64_t test_seed() {
  const char* const given = std::getenv("XDAX_TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

std::vector<std::byte> random_bytes(SeededRandom& random, std::size_t count) {
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next());
  return bytes;
}

std::vector<std::byte> filled(std::size_t count, int value) {
  return std::vector<std::byte>(count, static_cast<std::byte>(value));
}

class DeviceConformance : public testing::TestWithParam<Rig> {
 protected:
  void SetUp() override {
    const Rig& rig = GetParam();
    if (rig.carrier == Carrier::kLoop) XDAX_NEED_ROOT_AND_LOOP();
    if (rig.carrier == Carrier::kMemory) {
      MemoryOptions options;
      options.size_bytes = 8 * kMiB + 1234;
      device_ = std::make_unique<MemoryDevice>(options);
    } else {
      open_host(OpenMode::kReadWrite);
    }
    if (rig.wrapper == Wrapper::kOverlay) device_ = std::make_unique<OverlayDevice>(std::move(device_));
    if (rig.wrapper == Wrapper::kRecording) device_ = std::make_unique<RecordingDevice>(std::move(device_));
    if (rig.wrapper == Wrapper::kFault) device_ = std::make_unique<FaultDevice>(std::move(device_), 1);
  }

  void open_host(OpenMode mode) {
    const Rig& rig = GetParam();
    if (!folder_) {
      folder_ =
          std::make_unique<test::TempDir>(rig.on_tmpfs ? test::memory_temp_parent() : test::default_temp_parent());
      const bool loop = rig.carrier == Carrier::kLoop;
      path_ = folder_->sparse_file("image", 8 * kMiB + (loop ? 0 : 1234)).string();
      if (loop) {
        loop_ = std::make_unique<test::LoopDevice>(path_, test::LoopOptions{.sector_bytes = rig.sector_bytes});
        path_ = loop_->path();
      }
    }
    device_.reset();
    OpenOptions options;
    options.mode = mode;
    options.io = rig.io;
    if (rig.rings && rig.direct) {
      device_ = open_device(path_, options);
      return;
    }
    UringOptions uring;
    uring.direct = rig.direct;
    if (!rig.rings) uring.make_ring = [](const EngineOptions&) { return std::unique_ptr<IoEngine>(); };
    const int flags = mode == OpenMode::kRead ? O_RDONLY : O_RDWR;
    device_ = std::make_unique<UringDevice>(
        describe_host_file(FileDescriptor(::open(path_.c_str(), flags | O_CLOEXEC)), path_, mode), uring);
  }

  std::vector<std::byte> read_back(std::uint64_t offset_bytes, std::size_t length_bytes) {
    std::vector<std::byte> bytes(length_bytes, std::byte{0xee});
    device_->read(offset_bytes, bytes);
    return bytes;
  }

  std::unique_ptr<test::TempDir> folder_;
  std::unique_ptr<test::LoopDevice> loop_;
  std::string path_;
  std::unique_ptr<Device> device_;
};

TEST_P(DeviceConformance, TraitsDescribeTheCarrier) {
  const Rig& rig = GetParam();
  const DeviceTraits& traits = device_->traits();
  EXPECT_EQ(traits.block_device, rig.carrier == Carrier::kLoop);
  EXPECT_EQ(traits.sector_bytes, rig.sector_bytes);
  EXPECT_GE(traits.physical_sector_bytes, traits.sector_bytes);
  EXPECT_FALSE(traits.read_only);
  EXPECT_EQ(device_->size_bytes(), 8 * kMiB + (rig.carrier == Carrier::kLoop ? 0 : 1234));
  const DeviceKind kind = rig.carrier == Carrier::kMemory ? DeviceKind::kMemory
                          : rig.io == IoChoice::kDax      ? DeviceKind::kDax
                                                          : DeviceKind::kUring;
  EXPECT_EQ(traits.kind, kind);
}

TEST_P(DeviceConformance, AgreesWithAByteVectorForAnyAlignment) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("XDAX_TEST_SEED=" + std::to_string(seed));
  SeededRandom random(seed);
  const std::uint64_t size_bytes = device_->size_bytes();
  std::vector<std::byte> expected(size_bytes);
  const auto range = [&](std::uint64_t longest) {
    // Half of the ranges are aligned, to meet both ways and their seams.
    const std::uint64_t unit = random.below(2) == 0 ? 1 : 4096;
    const std::uint64_t offset = random.below(size_bytes) / unit * unit;
    const std::uint64_t length = std::min(random.below(longest) / unit * unit, size_bytes - offset);
    return std::pair(offset, length);
  };
  for (int step = 0; step < 250; ++step) {
    const std::uint64_t longest = random.below(8) == 0 ? kMiB : 9000;
    const auto [offset, length] = range(longest);
    const auto begin = expected.begin() + static_cast<std::ptrdiff_t>(offset);
    switch (random.below(6)) {
      case 0:
      case 1: {
        // One range as a batch of neighbours, which meet inside sectors.
        const std::vector<std::byte> bytes = random_bytes(random, length);
        std::vector<WriteRequest> batch;
        for (std::uint64_t done = 0; done < length;) {
          const std::uint64_t piece = std::min(length - done, 1 + random.below(longest));
          batch.push_back({offset + done, ByteSpan(bytes).subspan(done, piece), {}});
          done += piece;
        }
        device_->write_batch(batch);
        for (const WriteRequest& request : batch) ASSERT_FALSE(request.error) << request.error.message();
        std::copy(bytes.begin(), bytes.end(), begin);
        break;
      }
      case 2:
        device_->zero(offset, length, static_cast<ZeroMode>(random.below(3)));
        std::fill_n(begin, length, std::byte{0});
        break;
      case 3:
        if (step % 16 == 3) device_->persist();
        if (step % 4 == 3) {
          static_cast<void>(device_->discard(offset, length));
          const std::vector<std::byte> now = read_back(offset, length);
          std::copy(now.begin(), now.end(), begin);  // unspecified, but whatever it is stays
        }
        break;
      default: {
        std::vector<std::byte> bytes(length + 1, std::byte{0x55});
        const std::size_t skew = random.below(2);  // memory at odd addresses as well
        device_->read(offset, MutableByteSpan(bytes).subspan(skew, length));
        ASSERT_TRUE(std::equal(begin, begin + static_cast<std::ptrdiff_t>(length),
                               bytes.begin() + static_cast<std::ptrdiff_t>(skew)))
            << "step " << step << ", " << length << " bytes at " << offset;
      }
    }
  }
  EXPECT_EQ(read_back(0, size_bytes), expected);
}

TEST_P(DeviceConformance, FinishesBatchesLargerThanTheRing) {
  constexpr std::size_t kCount = 1500;
  SeededRandom random(7);
  const std::vector<std::byte> bytes = random_bytes(random, kCount * 4096);
  std::vector<WriteRequest> writes;
  for (std::size_t i = 0; i < kCount; ++i) writes.push_back({i * 4096, ByteSpan(bytes).subspan(i * 4096, 4096), {}});
  std::reverse(writes.begin(), writes.end());
  device_->write_batch(writes);
  for (const WriteRequest& request : writes) ASSERT_FALSE(request.error) << request.error.message();
  std::vector<std::byte> back(bytes.size());
  std::vector<ReadRequest> reads;
  for (std::size_t i = 0; i < kCount; ++i)
    reads.push_back({i * 4096, MutableByteSpan(back).subspan(i * 4096, 4096), {}});
  device_->read_batch(reads);
  for (const ReadRequest& request : reads) ASSERT_FALSE(request.error) << request.error.message();
  EXPECT_EQ(back, bytes);
}

TEST_P(DeviceConformance, ReportsABadRangeInItsRequestOnly) {
  const std::uint64_t size = device_->size_bytes();
  device_->write(4096, filled(512, 0x11));
  std::vector<std::byte> buffers[4] = {filled(512, 0), filled(512, 0), filled(512, 0), filled(512, 0)};
  ReadRequest reads[] = {{4096, buffers[0], {}},
                         {size - 511, buffers[1], {}},
                         {~std::uint64_t{0} - 100, buffers[2], {}},
                         {size - 512, buffers[3], {}}};
  device_->read_batch(reads);
  EXPECT_FALSE(reads[0].error);
  EXPECT_EQ(buffers[0], filled(512, 0x11));
  EXPECT_EQ(reads[1].error, Errc::kOutOfRange);
  EXPECT_EQ(reads[2].error, Errc::kOutOfRange);
  EXPECT_FALSE(reads[3].error);

  WriteRequest writes[] = {{size - 511, buffers[0], {}}, {8192, buffers[0], {}}, {~std::uint64_t{0}, buffers[0], {}}};
  device_->write_batch(writes);
  EXPECT_EQ(writes[0].error, Errc::kOutOfRange);
  EXPECT_FALSE(writes[1].error);
  EXPECT_EQ(writes[2].error, Errc::kOutOfRange);
  EXPECT_EQ(read_back(8192, 512), filled(512, 0x11));
  EXPECT_EQ(read_back(size - 511, 511), filled(511, 0));
}

TEST_P(DeviceConformance, ThrowsWithNameAndAddress) {
  const std::uint64_t size = device_->size_bytes();
  std::vector<std::byte> buffer(10);
  try {
    device_->read(size, buffer);
    ADD_FAILURE() << "a read past the end succeeded";
  } catch (const IoError& error) {
    EXPECT_EQ(error.cause(), Errc::kOutOfRange);
    const std::string text = error.what();
    EXPECT_NE(text.find(device_->name()), std::string::npos) << text;
    EXPECT_NE(text.find("at byte " + std::to_string(size)), std::string::npos) << text;
  }
  try {
    device_->write(size - 9, buffer);
    ADD_FAILURE() << "a write past the end succeeded";
  } catch (const RefusalError& error) {
    EXPECT_EQ(error.cause(), Errc::kOutOfRange);
  }
  EXPECT_THROW(device_->zero(size, 1, ZeroMode::kFastest), RefusalError);
  EXPECT_THROW(device_->zero(1, ~std::uint64_t{0}, ZeroMode::kAllocated), RefusalError);
  EXPECT_THROW(static_cast<void>(device_->discard(size - 1, 2)), RefusalError);
}

TEST_P(DeviceConformance, AcceptsEmptyRequests) {
  const std::uint64_t size = device_->size_bytes();
  device_->read(size, {});
  device_->write(size, {});
  device_->zero(size, 0, ZeroMode::kAllocated);
  EXPECT_FALSE(device_->discard(size, 0));
  device_->read_batch({});
  device_->write_batch({});
  ReadRequest mixed[] = {{0, {}, {}}, {size + 1, {}, {}}};
  device_->read_batch(mixed);
  EXPECT_FALSE(mixed[0].error);
  EXPECT_EQ(mixed[1].error, Errc::kOutOfRange);
}

TEST_P(DeviceConformance, ZeroLeavesTheNeighboursAlone) {
  for (const ZeroMode mode : {ZeroMode::kFastest, ZeroMode::kAllocated, ZeroMode::kKept}) {
    for (const auto& [offset, length] : {std::pair<std::uint64_t, std::uint64_t>{4096, 4096},
                                         {4097, 100},
                                         {511, 2},
                                         {1000, 3 * kMiB + 77},
                                         {kMiB, kMiB},
                                         {8 * kMiB - 100000, 100000}}) {
      device_->write(0, filled(8 * kMiB, 0xa7));
      device_->zero(offset, length, mode);
      std::vector<std::byte> expected = filled(8 * kMiB, 0xa7);
      std::fill_n(expected.begin() + static_cast<std::ptrdiff_t>(offset), length, std::byte{0});
      ASSERT_EQ(read_back(0, 8 * kMiB), expected) << length << " bytes at " << offset;
    }
  }
}

TEST_P(DeviceConformance, ServesManyThreads) {
  // Blocks of 700 bytes: neighbours of different threads share sectors and pages.
  constexpr std::size_t kThreads = 8, kBlocks = 600, kBytes = 700;
  const auto pattern = [](std::size_t block) { return static_cast<int>(block * 31 % 251 + 1); };
  std::vector<std::thread> threads;
  std::vector<int> bad(kThreads);
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t block = t; block < kBlocks; block += kThreads) {
        // As a batch: an exception would end the process, and with it the loop device's owner.
        const std::vector<std::byte> bytes = filled(kBytes, pattern(block));
        WriteRequest request{block * kBytes, bytes, {}};
        device_->write_batch({&request, 1});
        bad[t] += request.error ? 1 : 0;
      }
      std::vector<std::vector<std::byte>> buffers;
      std::vector<ReadRequest> batch;
      for (std::size_t block = t; block < kBlocks; block += kThreads) buffers.push_back(filled(kBytes, 0));
      for (std::size_t i = 0; i < buffers.size(); ++i) batch.push_back({(t + i * kThreads) * kBytes, buffers[i], {}});
      device_->read_batch(batch);
      for (std::size_t i = 0; i < buffers.size(); ++i) {
        bad[t] += batch[i].error || buffers[i] != filled(kBytes, pattern(t + i * kThreads)) ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(bad, std::vector<int>(kThreads));
  for (std::size_t block = 0; block < kBlocks; ++block) {
    ASSERT_EQ(read_back(block * kBytes, kBytes), filled(kBytes, pattern(block))) << "block " << block;
  }
}

TEST_P(DeviceConformance, MappedBytesFollowWrites) {
  const std::optional<ByteSpan> mapped = device_->mapped(5000, 3000);
  const Rig& rig = GetParam();
  const bool in_memory = rig.carrier == Carrier::kMemory || rig.io == IoChoice::kDax;
  EXPECT_EQ(mapped.has_value(), in_memory && rig.wrapper != Wrapper::kOverlay && rig.wrapper != Wrapper::kFault);
  if (!mapped) return;
  device_->write(5000, filled(3000, 0x3c));
  EXPECT_TRUE(std::ranges::equal(*mapped, filled(3000, 0x3c)));
}

TEST_P(DeviceConformance, PersistedBytesAreThereAfterReopening) {
  if (GetParam().carrier == Carrier::kMemory) return;
  SeededRandom random(3);
  const std::vector<std::byte> bytes = random_bytes(random, 300001);
  device_->write(12345, bytes);
  device_->persist();
  open_host(OpenMode::kRead);
  EXPECT_EQ(read_back(12345, bytes.size()), bytes);
}

TEST_P(DeviceConformance, OpenedForReadingItRefusesChangesAndLeavesTheFileAlone) {
  if (GetParam().carrier == Carrier::kMemory) return;
  device_->write(0, filled(8192, 0x42));
  device_->persist();
  device_.reset();
  struct stat before{};
  ASSERT_EQ(::stat(path_.c_str(), &before), 0);
  open_host(OpenMode::kRead);
  EXPECT_TRUE(device_->traits().read_only);
  const std::vector<std::byte> bytes = filled(4096, 1);
  WriteRequest request{0, bytes, {}};
  device_->write_batch({&request, 1});
  EXPECT_EQ(request.error, Errc::kReadOnly);
  for (int attempt = 0; attempt < 3; ++attempt) {
    try {
      if (attempt == 0) device_->write(0, bytes);
      if (attempt == 1) device_->zero(0, 4096, ZeroMode::kFastest);
      if (attempt == 2) static_cast<void>(device_->discard(0, 4096));
      ADD_FAILURE() << "a change succeeded: " << attempt;
    } catch (const RefusalError& error) {
      EXPECT_EQ(error.cause(), Errc::kReadOnly);
    }
  }
  device_->persist();
  EXPECT_EQ(read_back(0, 8192), filled(8192, 0x42));
  device_.reset();
  struct stat after{};
  ASSERT_EQ(::stat(path_.c_str(), &after), 0);
  EXPECT_EQ(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
  EXPECT_EQ(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
}

INSTANTIATE_TEST_SUITE_P(Carriers, DeviceConformance, testing::ValuesIn(kRigs),
                         [](const auto& rig) { return std::string(rig.param.name); });

}  // namespace
}  // namespace xdax

// What only the dax device does: mappings, stores past the cache, msync elsewhere, and errors instead of signals.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <thread>
#include <vector>

#include "libfs/device/dax_device.h"
#include "libfs/device/random.h"
#include "tests/support/oracle.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace xdax {
namespace {

constexpr std::uint64_t kMiB = 1u << 20;

std::vector<std::byte> filled(std::size_t count, int value) {
  return std::vector<std::byte>(count, static_cast<std::byte>(value));
}

std::unique_ptr<DaxDevice> open_dax(const std::string& path, OpenMode mode = OpenMode::kReadWrite) {
  FileDescriptor descriptor(::open(path.c_str(), (mode == OpenMode::kRead ? O_RDONLY : O_RDWR) | O_CLOEXEC));
  EXPECT_TRUE(descriptor) << path;
  return std::make_unique<DaxDevice>(describe_host_file(std::move(descriptor), path, mode));
}

std::uint64_t allocated_bytes(const std::string& path) {
  struct stat status{};
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

void allocate(const std::string& path) {
  const FileDescriptor descriptor(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::posix_fallocate(descriptor.get(), 0, static_cast<off_t>(std::filesystem::file_size(path))), 0);
}

TEST(DaxDevice, MapsTheWholeFile) {
  const test::TempDir folder(test::memory_temp_parent());
  const std::string path = folder.sparse_file("file", 3 * kMiB + 5);
  const std::unique_ptr<DaxDevice> device = open_dax(path);
  EXPECT_EQ(device->size_bytes(), 3 * kMiB + 5);
  EXPECT_FALSE(device->traits().persistent_memory);
  EXPECT_FALSE(device->stores_through_mapping());
  device->write(3 * kMiB, filled(5, 0x99));
  const std::optional<ByteSpan> all = device->mapped(0, 3 * kMiB + 5);
  ASSERT_TRUE(all);
  EXPECT_EQ(all->back(), std::byte{0x99});
}

TEST(DaxDevice, ReadsAndZeroesHolesWithoutFillingThem) {
  for (const auto& parent : {test::memory_temp_parent(), test::default_temp_parent()}) {
    const test::TempDir folder(parent);
    const std::string path = folder.sparse_file("file", 64 * kMiB);
    const std::unique_ptr<DaxDevice> device = open_dax(path);
    std::vector<std::byte> bytes(kMiB, std::byte{1});
    device->read(kMiB, bytes);
    EXPECT_EQ(bytes, filled(kMiB, 0));
    device->write(8 * kMiB, filled(4096, 7));
    device->zero(0, 64 * kMiB, ZeroMode::kFastest);
    device->persist();
    EXPECT_LE(allocated_bytes(path), 65536u) << parent;
    device->read(8 * kMiB, bytes);
    EXPECT_EQ(bytes, filled(kMiB, 0));
    device->zero(kMiB, kMiB, ZeroMode::kAllocated);
    device->persist();
    EXPECT_GE(allocated_bytes(path), kMiB) << parent;
  }
}

TEST(DaxDevice, NeverPunchesUnderTheMapping) {
  const test::TempDir folder(test::memory_temp_parent());
  const std::string path = folder.sparse_file("file", 8 * kMiB);
  const std::unique_ptr<DaxDevice> device = open_dax(path);
  device->write(0, filled(8 * kMiB, 1));
  const std::uint64_t before = allocated_bytes(path);
  device->zero(kMiB, 4 * kMiB, ZeroMode::kFastest);
  EXPECT_FALSE(device->discard(0, kMiB));
  EXPECT_EQ(allocated_bytes(path), before);
  std::vector<std::byte> back(kMiB);
  device->read(0, back);
  EXPECT_EQ(back, filled(kMiB, 1));
}

TEST(DaxDevice, ATruncatedFileIsAnErrorAndNotASignal) {
  const test::TempDir folder(test::memory_temp_parent());
  const std::string path = folder.sparse_file("file", kMiB);
  for (const OpenMode mode : {OpenMode::kReadWrite, OpenMode::kRead}) {
    ASSERT_EQ(::truncate(path.c_str(), kMiB), 0);
    const std::unique_ptr<DaxDevice> device = open_dax(path, mode);
    ASSERT_EQ(::truncate(path.c_str(), 4096), 0);
    std::vector<std::byte> kept(4096), lost(4096);
    ReadRequest reads[] = {{0, kept, {}}, {65536, lost, {}}};
    device->read_batch(reads);
    EXPECT_FALSE(reads[0].error);
    EXPECT_EQ(reads[1].error, Errc::kReadFailed);
    EXPECT_TRUE(device->mapped(0, 4096));
    EXPECT_FALSE(device->mapped(0, 4097));
  }
}

TEST(DaxDevice, AFullHostIsAnErrorAndNotASignal) {
  XDAX_NEED_ROOT_AND_LOOP();
  const test::TempDir folder;
  const std::string mount = folder.path("small").string();
  std::filesystem::create_directory(mount);
  test::run_or_throw({"mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", mount});
  struct Unmount {
    std::string path;
    ~Unmount() { static_cast<void>(test::run({"umount", path})); }
  } const unmount{mount};
  test::make_sparse_file(mount + "/file", 16 * kMiB);
  const std::unique_ptr<DaxDevice> device = open_dax(mount + "/file");
  const std::vector<std::byte> bytes = filled(2 * kMiB, 1);
  WriteRequest request{0, bytes, {}};
  device->write_batch({&request, 1});
  EXPECT_EQ(request.error, std::errc::no_space_on_device);
  EXPECT_THROW(device->zero(4 * kMiB, 2 * kMiB, ZeroMode::kAllocated), IoError);
}

TEST(DaxDevice, RefusesWhatCannotBeMapped) {
  const test::TempDir folder(test::memory_temp_parent());
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{1} << 60}) {
    for (const OpenMode mode : {OpenMode::kRead, OpenMode::kReadWrite}) {
      try {
        static_cast<void>(open_dax(folder.sparse_file("file", size), mode));
        ADD_FAILURE() << size << " bytes were mapped";
      } catch (const RefusalError& error) {
        EXPECT_EQ(error.cause(), Errc::kNotSupported);
        EXPECT_NE(std::string(error.what()).find("--io=uring"), std::string::npos) << error.what();
      }
    }
  }
}

TEST(DaxDevice, BarriersOfManyThreads) {
  const test::TempDir folder;
  const std::string path = folder.sparse_file("file", 4 * kMiB);
  const std::unique_ptr<DaxDevice> device = open_dax(path);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < 20; ++i) {
        device->write(t * kMiB + i * 4096, filled(4096, static_cast<int>(t + 1)));
        device->persist();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<std::byte> back(20 * 4096);
  for (std::size_t t = 0; t < 4; ++t) {
    device->read(t * kMiB, back);
    EXPECT_EQ(back, filled(back.size(), static_cast<int>(t + 1)));
  }
}

TEST(DaxDevicePersistent, StoresThroughTheMapping) {
  // libpmem reads this when it is loaded: in a process that was started with it, every mapping is persistent memory.
  if (std::getenv("PMEM_IS_PMEM_FORCE") == nullptr) {
    test::ProcessOptions options;
    options.environment = {{"PMEM_IS_PMEM_FORCE", "1"}};
    const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
    const test::ProcessResult result = test::run({self, "--gtest_filter=DaxDevicePersistent.*"}, options);
    EXPECT_TRUE(result.ok()) << result.describe();
    EXPECT_NE(result.out.find("[  PASSED  ] 1 test"), std::string::npos) << result.describe();
    return;
  }
  const test::TempDir folder(test::memory_temp_parent());
  const std::string sparse = folder.sparse_file("sparse", 4 * kMiB);
  EXPECT_TRUE(open_dax(sparse)->traits().persistent_memory);
  EXPECT_FALSE(open_dax(sparse)->stores_through_mapping()) << "a store into a hole may have no room";

  const std::string path = folder.sparse_file("file", 4 * kMiB + 100);
  allocate(path);
  const std::unique_ptr<DaxDevice> device = open_dax(path);
  ASSERT_TRUE(device->traits().persistent_memory);
  ASSERT_TRUE(device->stores_through_mapping());
  SeededRandom random(11);
  std::vector<std::byte> expected(4 * kMiB + 100);
  for (int step = 0; step < 200; ++step) {
    const std::uint64_t offset = random.below(expected.size());
    const std::uint64_t length = std::min<std::uint64_t>(random.below(100000), expected.size() - offset);
    const int value = static_cast<int>(random.below(256));
    if (value < 64) {
      device->zero(offset, length, value < 32 ? ZeroMode::kFastest : ZeroMode::kAllocated);
    } else {
      device->write(offset, filled(length, value));
    }
    std::fill_n(expected.begin() + static_cast<std::ptrdiff_t>(offset), length,
                value < 64 ? std::byte{0} : static_cast<std::byte>(value));
  }
  device->persist();
  std::vector<std::byte> back(expected.size());
  device->read(0, back);
  EXPECT_EQ(back, expected);
  EXPECT_TRUE(std::ranges::equal(*device->mapped(0, expected.size()), expected));

  ASSERT_EQ(::truncate(path.c_str(), 4096), 0);
  WriteRequest request{65536, ByteSpan(expected).first(10), {}};
  device->write_batch({&request, 1});
  EXPECT_EQ(request.error, Errc::kWriteFailed);
  EXPECT_THROW(device->zero(65536, 10, ZeroMode::kFastest), IoError);
}

}  // namespace
}  // namespace xdax

// What only the uring device does: rings and their absence, direct transfers, how it asks the host to zero and discard,
// and what happens when the host fails.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

#include "libfs/device/aligned_buffer.h"
#include "libfs/device/checks.h"
#include "libfs/device/random.h"
#include "libfs/device/uring_device.h"
#include "tests/support/loop_device.h"
#include "tests/support/oracle.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace xdax {
namespace {

constexpr std::uint64_t kMiB = 1u << 20;

std::vector<std::byte> filled(std::size_t count, int value) {
  return std::vector<std::byte>(count, static_cast<std::byte>(value));
}

std::unique_ptr<UringDevice> open_uring(const std::string& path, const UringOptions& options = {}) {
  FileDescriptor descriptor(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  EXPECT_TRUE(descriptor) << path;
  return std::make_unique<UringDevice>(describe_host_file(std::move(descriptor), path, OpenMode::kReadWrite), options);
}

std::uint64_t allocated_bytes(const std::string& path) {
  struct stat status{};
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

/// The range is a hole or unwritten.
bool holds_no_data(const std::string& path, std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  const FileDescriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const off_t data = ::lseek(descriptor.get(), static_cast<off_t>(offset_bytes), SEEK_DATA);
  return data < 0 ? errno == ENXIO : static_cast<std::uint64_t>(data) >= offset_bytes + length_bytes;
}

// --- one transfer ---------------------------------------------------------------------------------------------------

struct Step {
  std::int64_t result;
  bool finished;
  std::size_t done_bytes;
};

TEST(Advance, ContinuesShortAndInterruptedTransfers) {
  const TransferTarget plain{.descriptor = -1, .direction = Direction::kRead, .granule_bytes = 1};
  const TransferTarget direct{.descriptor = -1, .direction = Direction::kRead, .granule_bytes = 512};
  const auto play = [](const TransferTarget& target, std::initializer_list<Step> steps) {
    Transfer transfer;
    transfer.length_bytes = 2048;
    for (const Step& step : steps) {
      EXPECT_EQ(advance(transfer, target, step.result), step.finished) << step.result;
      EXPECT_EQ(transfer.done_bytes, step.done_bytes) << step.result;
    }
    return transfer.error;
  };
  EXPECT_FALSE(play(plain, {{2048, true, 2048}}));
  EXPECT_FALSE(play(plain, {{100, false, 100}, {-EINTR, false, 100}, {-EAGAIN, false, 100}, {1948, true, 2048}}));
  EXPECT_FALSE(play(direct, {{700, false, 512}, {1000, false, 1024}, {1024, true, 2048}}));
  EXPECT_EQ(play(plain, {{100, false, 100}, {-EIO, true, 100}}), std::errc::io_error);
  EXPECT_EQ(play(plain, {{2000, false, 2000}, {0, true, 2000}}), Errc::kReadFailed);
}

TEST(Advance, GivesUpWhenNothingMoves) {
  for (const std::int64_t result : {std::int64_t{-EAGAIN}, std::int64_t{-EINTR}, std::int64_t{100}}) {
    const TransferTarget target{.descriptor = -1, .direction = Direction::kWrite, .granule_bytes = 512};
    Transfer transfer;
    transfer.length_bytes = 2048;
    int rounds = 0;
    while (!advance(transfer, target, result) && rounds < 1000000) ++rounds;
    EXPECT_LT(rounds, 1000000);
    EXPECT_TRUE(transfer.error) << result;
  }
}

// --- engines --------------------------------------------------------------------------------------------------------

TEST(Engines, FinishEveryTransferAndBlameTheRightOne) {
  const test::TempDir folder;
  const std::string path = folder.sparse_file("file", 100 * 4096);
  const FileDescriptor descriptor(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  const std::unique_ptr<IoEngine> engines[] = {make_ring_engine({.depth = 4}), make_system_call_engine({})};
  for (const std::unique_ptr<IoEngine>& engine : engines) {
    ASSERT_TRUE(engine) << "no io_uring here: this test needs it";
    std::vector<std::byte> bytes(100 * 4096);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i / 4096 + 1);
    const auto make = [](std::byte* data) {
      std::vector<Transfer> transfers(100);
      for (std::size_t i = 0; i < 100; ++i) {
        transfers[i].offset_bytes = i * 4096;
        transfers[i].data = data + i * 4096;
        transfers[i].length_bytes = 4096;
      }
      return transfers;
    };
    std::vector<Transfer> writes = make(bytes.data());
    engine->run({.descriptor = descriptor.get(), .direction = Direction::kWrite}, writes);
    for (const Transfer& transfer : writes) ASSERT_TRUE(is_finished(transfer) && !transfer.error);

    std::vector<std::byte> back(bytes.size());
    std::vector<Transfer> reads = make(back.data());
    reads[50].offset_bytes = 100 * 4096 - 10;  // ends past the file
    reads[60].offset_bytes = 200 * 4096;       // lies past the file
    engine->run({.descriptor = descriptor.get(), .direction = Direction::kRead}, reads);
    for (std::size_t i = 0; i < 100; ++i) {
      const bool expected_bad = i == 50 || i == 60;
      EXPECT_EQ(static_cast<bool>(reads[i].error), expected_bad) << i;
      const bool same = std::equal(&back[i * 4096], &back[i * 4096] + 4096, &bytes[i * 4096]);
      EXPECT_TRUE(expected_bad || same) << i;
    }
    EXPECT_EQ(reads[50].done_bytes, 10u);
    EXPECT_EQ(reads[60].error, Errc::kReadFailed);
  }
}

TEST(Engines, ABadDescriptorFailsEachTransferButNotTheRing) {
  const std::unique_ptr<IoEngine> ring = make_ring_engine({});
  ASSERT_TRUE(ring);
  std::vector<std::byte> bytes(10);
  std::vector<Transfer> transfers(3);
  for (Transfer& transfer : transfers) {
    transfer.data = bytes.data();
    transfer.length_bytes = bytes.size();
  }
  ring->run({.descriptor = -1, .direction = Direction::kRead}, transfers);
  for (const Transfer& transfer : transfers) EXPECT_EQ(transfer.error, std::errc::bad_file_descriptor);
  EXPECT_TRUE(ring->is_ring());
}

TEST(EnginePool, SharesAFixedNumber) {
  std::atomic<int> made = 0;
  EnginePool pool({}, 2, [&](const EngineOptions& options) {
    ++made;
    return make_ring_engine(options);
  });
  std::atomic<int> out = 0, most = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        const EnginePool::Lease lease = pool.borrow();
        const int now = ++out;
        int seen = most;
        while (now > seen && !most.compare_exchange_weak(seen, now)) continue;
        std::this_thread::yield();
        --out;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most, 2);
  EXPECT_LE(made, 2);
  EXPECT_TRUE(pool.has_rings());
}

TEST(UringDevice, SaysWhetherItHasRings) {
  const test::TempDir folder;
  const std::string path = folder.sparse_file("file", kMiB);
  EXPECT_TRUE(open_uring(path)->uses_rings());
  UringOptions none;
  none.make_ring = [](const EngineOptions&) { return std::unique_ptr<IoEngine>(); };
  EXPECT_FALSE(open_uring(path, none)->uses_rings());
}

/// Makes io_uring_setup fail with `error_number` in this process from now on.
bool forbid_rings(unsigned error_number) {
  std::array<sock_filter, 4> program = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error_number),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog filter{.len = static_cast<unsigned short>(program.size()), .filter = program.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

/// In a process of its own: 0 when a device works without rings, another number for each way it does not.
int try_without_rings(const std::string& path, unsigned error_number) {
  if (!forbid_rings(error_number)) return 10;
  OpenOptions options;
  options.mode = OpenMode::kReadWrite;
  const std::unique_ptr<Device> device = open_device(path, options);
  auto* const uring = dynamic_cast<UringDevice*>(device.get());
  if (uring == nullptr || uring->uses_rings()) return 11;
  const std::vector<std::byte> bytes = filled(4096, 0x5a);
  WriteRequest writes[] = {{0, bytes, {}}, {8192, bytes, {}}};
  device->write_batch(writes);
  device->persist();
  std::vector<std::byte> first(4096), second(4096);
  ReadRequest reads[] = {{0, first, {}}, {8192, second, {}}};
  device->read_batch(reads);
  return !reads[0].error && !reads[1].error && first == bytes && second == bytes ? 0 : 12;
}

TEST(UringDevice, WorksWhereTheKernelHasNoRings) {
  const test::TempDir folder;
  const std::string path = folder.sparse_file("file", kMiB);
  for (const unsigned error_number : {unsigned{ENOSYS}, unsigned{EPERM}, unsigned{ENOMEM}}) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) ::_exit(try_without_rings(path, error_number));
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "errno " << error_number << ", status " << status;
  }
}

// --- files ----------------------------------------------------------------------------------------------------------

TEST(UringDevice, ReadsOfATruncatedFileFailAlone) {
  const test::TempDir folder;
  const std::string path = folder.sparse_file("file", kMiB);
  const std::unique_ptr<UringDevice> device = open_uring(path);
  device->write(0, filled(4096, 9));
  ASSERT_EQ(::truncate(path.c_str(), 8192), 0);
  std::vector<std::byte> kept(4096), lost(4096);
  ReadRequest reads[] = {{0, kept, {}}, {65536, lost, {}}};
  device->read_batch(reads);
  EXPECT_FALSE(reads[0].error);
  EXPECT_EQ(kept, filled(4096, 9));
  EXPECT_EQ(reads[1].error, Errc::kReadFailed);
  EXPECT_THROW(device->read(65536, lost), IoError);
}

TEST(UringDevice, ContinuesReadsThatTheCacheHoldsInPart) {
  const test::TempDir folder;  // not in memory: there the cache is all there is
  const std::string path = folder.sparse_file("file", 2 * kMiB);
  const std::unique_ptr<UringDevice> device = open_uring(path);
  SeededRandom random(13);
  std::vector<std::byte> bytes(2 * kMiB);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next());
  device->write(0, bytes);
  device->persist();
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  // Cold but for the first page of each half; without readahead, or that page would bring its neighbours.
  ASSERT_EQ(::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED), 0);
  ASSERT_EQ(::posix_fadvise(file.get(), 0, 0, POSIX_FADV_RANDOM), 0);
  for (const std::uint64_t half : {std::uint64_t{0}, kMiB}) {
    std::byte first_byte{};
    ASSERT_EQ(::pread(file.get(), &first_byte, 1, static_cast<off_t>(half)), 1);
  }
  std::vector<std::byte> back(2 * kMiB);
  ReadRequest reads[] = {{0, MutableByteSpan(back).first(kMiB), {}}, {kMiB, MutableByteSpan(back).subspan(kMiB), {}}};
  device->read_batch(reads);
  EXPECT_FALSE(reads[0].error || reads[1].error);
  EXPECT_EQ(back, bytes);
}

TEST(UringDevice, FastestZeroingGivesSpaceBackAndAllocatedKeepsIt) {
  for (const auto& parent : {test::memory_temp_parent(), test::default_temp_parent()}) {
    const test::TempDir folder(parent);
    const std::string path = folder.sparse_file("file", 8 * kMiB);
    const std::unique_ptr<UringDevice> device = open_uring(path);
    device->write(0, filled(8 * kMiB, 1));
    device->persist();
    ASSERT_GE(allocated_bytes(path), 8 * kMiB);
    device->zero(kMiB, kMiB, ZeroMode::kAllocated);
    device->persist();
    EXPECT_GE(allocated_bytes(path), 8 * kMiB) << parent;
    device->zero(4 * kMiB, 2 * kMiB, ZeroMode::kFastest);
    device->persist();
    EXPECT_LE(allocated_bytes(path), 6 * kMiB + 65536) << parent;
    EXPECT_TRUE(holds_no_data(path, 4 * kMiB, 2 * kMiB)) << parent;
    EXPECT_TRUE(device->discard(0, kMiB)) << parent;
    device->persist();
    EXPECT_LE(allocated_bytes(path), 5 * kMiB + 65536) << parent;
  }
}

TEST(UringDevice, ZeroingAHoleLeavesItAHole) {
  const test::TempDir folder;
  const std::string path = folder.sparse_file("file", std::uint64_t{1} << 40);
  const std::unique_ptr<UringDevice> device = open_uring(path);
  for (const std::uint64_t length : {std::uint64_t{1}, std::uint64_t{4096}, 3 * kMiB, 256 * kMiB}) {
    device->zero(12345, length, ZeroMode::kFastest);
  }
  device->persist();
  EXPECT_EQ(allocated_bytes(path), 0u);
  device->zero(kMiB, kMiB, ZeroMode::kAllocated);
  device->persist();
  EXPECT_GE(allocated_bytes(path), kMiB);
}

TEST(UringDevice, KeptZeroingLeavesHolesAndSpaceAsTheyAre) {
  for (const auto& parent : {test::memory_temp_parent(), test::default_temp_parent()}) {
    for (const IoChoice io : {IoChoice::kUring, IoChoice::kDax}) {
      const test::TempDir folder(parent);
      const std::string path = folder.sparse_file("file", 16 * kMiB);
      OpenOptions options;
      options.mode = OpenMode::kReadWrite;
      options.io = io;
      const std::unique_ptr<Device> device = open_device(path, options);
      device->write(4 * kMiB, filled(kMiB, 1));
      device->write(9 * kMiB, filled(kMiB, 1));
      device->persist();
      const std::uint64_t before = allocated_bytes(path);
      device->zero(kMiB, 14 * kMiB, ZeroMode::kKept);  // holes, data, holes, data, holes
      device->persist();
      EXPECT_EQ(allocated_bytes(path), before) << parent;
      std::vector<std::byte> back(16 * kMiB);
      device->read(0, back);
      EXPECT_TRUE(all_zero(back));
    }
  }
}

TEST(UringDevice, WorksAtTheEndOfAVeryLargeFile) {
  const test::TempDir folder(test::memory_temp_parent());
  const std::uint64_t size = (std::uint64_t{1} << 62) + 4097;
  const std::string path = folder.sparse_file("file", size);
  const std::unique_ptr<UringDevice> device = open_uring(path);
  EXPECT_EQ(device->size_bytes(), size);
  device->write(size - 100, filled(100, 0x77));
  std::vector<std::byte> back(200);
  device->read(size - 200, back);
  EXPECT_EQ(back[99], std::byte{0});
  EXPECT_EQ(back[100], std::byte{0x77});
  device->zero(size - 8 * kMiB, 8 * kMiB, ZeroMode::kFastest);
  device->read(size - 200, back);
  EXPECT_EQ(back, filled(200, 0));
}

// --- block devices --------------------------------------------------------------------------------------------------

class UringLoop : public testing::TestWithParam<std::uint32_t> {
 protected:
  void SetUp() override {
    XDAX_NEED_ROOT_AND_LOOP();
    backing_ = folder_.sparse_file("backing", 16 * kMiB);
    loop_ = std::make_unique<test::LoopDevice>(backing_, test::LoopOptions{.sector_bytes = GetParam()});
  }

  test::TempDir folder_;
  std::string backing_;
  std::unique_ptr<test::LoopDevice> loop_;
};

TEST_P(UringLoop, IsDirectAndCoherentWithBufferedReaders) {
  const std::unique_ptr<UringDevice> device = open_uring(loop_->path());
  ASSERT_TRUE(device->is_direct());
  const FileDescriptor buffered(::open(loop_->path().c_str(), O_RDONLY | O_CLOEXEC));
  std::vector<std::byte> seen(10000);
  ASSERT_EQ(::pread(buffered.get(), seen.data(), seen.size(), 0), 10000);  // now cached
  device->write(100, filled(9000, 0x21));                                  // parts of sectors at both ends
  ASSERT_EQ(::pread(buffered.get(), seen.data(), seen.size(), 0), 10000);
  EXPECT_TRUE(std::equal(seen.begin() + 100, seen.begin() + 9100, filled(9000, 0x21).begin()));
  EXPECT_EQ(seen[99], std::byte{0});
  EXPECT_EQ(seen[9100], std::byte{0});
  device->zero(0, 10 * kMiB, ZeroMode::kAllocated);
  ASSERT_EQ(::pread(buffered.get(), seen.data(), seen.size(), 0), 10000);
  EXPECT_EQ(seen, filled(10000, 0));
}

TEST_P(UringLoop, ThreadsShareASectorWithoutLosingBytes) {
  const std::unique_ptr<UringDevice> device = open_uring(loop_->path());
  constexpr std::size_t kThreads = 8;
  for (int round = 1; round <= 20; ++round) {
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        const std::vector<std::byte> bytes = filled(60, round);
        WriteRequest request{t * 60, bytes, {}};
        device->write_batch({&request, 1});  // no exceptions: one would end the process
      });
    }
    for (std::thread& thread : threads) thread.join();
    std::vector<std::byte> back(kThreads * 60);
    device->read(0, back);
    ASSERT_EQ(back, filled(kThreads * 60, round));
  }
}

TEST_P(UringLoop, BounceCarriesMoreThanItHolds) {
  // Memory at an odd address, three times the bounce memory in one request and many small ones beside it.
  UringOptions options;
  options.engine.bounce_bytes = 128u << 10;
  const std::unique_ptr<UringDevice> device = open_uring(loop_->path(), options);
  SeededRandom random(5);
  std::vector<std::byte> bytes(2 * kMiB + 1);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next());
  const ByteSpan odd = ByteSpan(bytes).subspan(1);
  std::vector<WriteRequest> writes = {{0, odd.first(kMiB), {}}};
  for (std::size_t i = 0; i < 256; ++i) writes.push_back({kMiB + i * 4096, odd.subspan(kMiB + i * 4096, 4096), {}});
  device->write_batch(writes);
  for (const WriteRequest& request : writes) ASSERT_FALSE(request.error);
  std::vector<std::byte> back(2 * kMiB + 1);
  std::vector<ReadRequest> reads = {{0, MutableByteSpan(back).subspan(1, kMiB), {}}};
  for (std::size_t i = 0; i < 256; ++i) {
    reads.push_back({kMiB + i * 4096, MutableByteSpan(back).subspan(1 + kMiB + i * 4096, 4096), {}});
  }
  device->read_batch(reads);
  for (const ReadRequest& request : reads) ASSERT_FALSE(request.error);
  EXPECT_TRUE(std::equal(bytes.begin() + 1, bytes.end(), back.begin() + 1));
}

TEST_P(UringLoop, ZeroingAndDiscardingReachTheBackingFile) {
  const std::unique_ptr<UringDevice> device = open_uring(loop_->path());
  device->write(0, filled(16 * kMiB, 1));
  device->persist();
  device->zero(4 * kMiB + 100, 4 * kMiB, ZeroMode::kFastest);
  device->persist();
  const std::uint64_t inside = round_up(4 * kMiB + 100, std::uint64_t{4096});
  EXPECT_TRUE(holds_no_data(backing_, inside, 8 * kMiB - inside));
  std::vector<std::byte> back(16 * kMiB), expected = filled(16 * kMiB, 1);
  std::fill_n(expected.begin() + 4 * kMiB + 100, 4 * kMiB, std::byte{0});
  device->read(0, back);
  EXPECT_EQ(back, expected);
  EXPECT_TRUE(device->discard(10 * kMiB, kMiB));
  device->persist();
  EXPECT_TRUE(holds_no_data(backing_, 10 * kMiB, kMiB));
  EXPECT_FALSE(device->discard(1, 100));  // no whole sector in it
}

INSTANTIATE_TEST_SUITE_P(Sectors, UringLoop, testing::Values(512u, 4096u));

/// A loop device whose backing file has no room: writes to the medium fail.
TEST(UringLoopFull, ABarrierThatFailedOnceFailsForEver) {
  XDAX_NEED_ROOT_AND_LOOP();
  const test::TempDir folder;
  const std::string mount = folder.path("small").string();
  std::filesystem::create_directory(mount);
  test::run_or_throw({"mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", mount});
  struct Unmount {
    std::string path;
    ~Unmount() { static_cast<void>(test::run({"umount", path})); }
  } const unmount{mount};
  test::make_sparse_file(mount + "/backing", 16 * kMiB);
  const test::LoopDevice loop(mount + "/backing");

  const std::unique_ptr<UringDevice> direct = open_uring(loop.path());
  WriteRequest request{8 * kMiB, {}, {}};
  const std::vector<std::byte> bytes = filled(2 * kMiB, 1);
  request.buffer = bytes;
  direct->write_batch({&request, 1});
  EXPECT_TRUE(request.error) << "a write without room succeeded";
  EXPECT_THROW(direct->write(8 * kMiB, bytes), IoError);

  UringOptions options;
  options.direct = false;
  const std::unique_ptr<UringDevice> buffered = open_uring(loop.path(), options);
  buffered->write(4 * kMiB, bytes);  // into the page cache
  for (int attempt = 0; attempt < 3; ++attempt) {
    try {
      buffered->persist();
      ADD_FAILURE() << "barrier " << attempt << " succeeded";
    } catch (const IoError& error) {
      EXPECT_EQ(error.cause(), Errc::kPersistFailed);
    }
  }
}

}  // namespace
}  // namespace xdax

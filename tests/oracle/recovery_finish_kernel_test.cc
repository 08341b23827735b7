// Logs that the kernel left in the middle of work: intents without their done items, inodes without a name, blocks
// staged for copy on write. Finished by us and, on a copy, by the kernel's mount: the same tree and contents, and
// nothing that fsck.xdax or xfs_repair -n finds. What we leave when we are cut short, a mount finishes.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <thread>

#include "libfs/device/overlay_device.h"
#include "libfs/device/recording_device.h"
#include "libfs/recovery/recovery.h"
#include "tests/oracle/recovery_compare.h"
#include "tests/oracle/recovery_work.h"
#include "tests/support/oracle.h"

namespace xdax::test {
namespace {

constexpr std::uint64_t kUnit = 4096;
constexpr unsigned kFiles = 16;

std::filesystem::path frag(const std::filesystem::path& root, unsigned i) { return root / fmt::format("frag{}", i); }
std::filesystem::path clone(const std::filesystem::path& root, unsigned i) { return root / fmt::format("clone{}", i); }

bool clone_range(int from, std::uint64_t from_unit, int to, std::uint64_t to_unit, std::uint64_t units) {
  file_clone_range range{
      .src_fd = from, .src_offset = from_unit * kUnit, .src_length = units * kUnit, .dest_offset = to_unit * kUnit};
  return ::ioctl(to, FICLONERANGE, &range) == 0;
}

// Some are shared with another file: freeing those takes reference counts, freeing the others does not.
bool is_shared(unsigned i) { return i >= 4 && i != 6 && i != 7; }

// Fragmented files, and what some of them are shared with.
void make_base(const std::filesystem::path& image, const std::vector<std::string>& options) {
  std::vector<std::string> argv = {"mkfs.xfs", "-q", "-f"};
  argv.insert(argv.end(), options.begin(), options.end());
  argv.push_back(image.string());
  run_or_throw(argv, kAllowSmall);
  const LoopDevice loop(image);
  Mount mount(loop.path());
  for (unsigned i = 0; i < kFiles; ++i) {
    const FileHandle file(frag(mount.path(), i));
    file.write(0, std::string(600 * kUnit, static_cast<char>('a' + i)));
    if (::fsync(file.fd()) != 0) throw std::system_error(errno, std::generic_category(), "fsync");
    for (unsigned at = 1; at < 600; at += 2)
      file.allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at * kUnit, kUnit);
    if (!is_shared(i)) continue;
    const FileHandle other(clone(mount.path(), i));
    if (!clone_range(file.fd(), 0, other.fd(), 0, 600))
      throw std::system_error(errno, std::generic_category(), "clone");
  }
  for (unsigned i = 10; i < kFiles; i += 2)
    run_or_throw({"xfs_io", "-c", "cowextsize 128k", clone(mount.path(), i).string()});
  mount.unmount();
}

// Many things at once until the filesystem is shut down; nothing that is open matters then.
class Turmoil {
 public:
  explicit Turmoil(std::filesystem::path root, unsigned seed) : root_(std::move(root)), seed_(seed) {
    for (const auto work :
         {&Turmoil::remove, &Turmoil::shrink, &Turmoil::share, &Turmoil::convert, &Turmoil::overwrite})
      threads_.emplace_back([this, work] { (this->*work)(); });
  }
  ~Turmoil() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    for (const int fd : open_) ::close(fd);
  }
  Turmoil(const Turmoil&) = delete;
  Turmoil& operator=(const Turmoil&) = delete;

 private:
  [[nodiscard]] static int open_file(const std::filesystem::path& path) {
    return ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  }
  void remove() {
    for (unsigned i = 0; i < 6 && !stop_; ++i) {
      if (i % 3 == 0) open_.push_back(::open(frag(root_, i).c_str(), O_RDWR | O_CLOEXEC));
      ::unlink(frag(root_, i).c_str());
      if (is_shared(i)) ::unlink(clone(root_, i).c_str());
    }
  }
  void shrink() {
    std::mt19937 random(seed_);
    for (unsigned left = 590; left > 10 && !stop_; left -= 1 + static_cast<unsigned>(random() % 20)) {
      for (unsigned i = 6; i < 9; ++i) {
        if (::truncate((is_shared(i) ? clone(root_, i) : frag(root_, i)).c_str(), static_cast<off_t>(left * kUnit)) !=
            0)
          return;
      }
    }
  }
  void share() {
    const int from = open_file(frag(root_, 9));
    const int to = open_file(root_ / "shared");
    std::mt19937 random(seed_ + 1);
    while (!stop_ && clone_range(from, 2 * (random() % 200), to, random() % 400, 1 + random() % 60)) {
    }
    ::close(from);
    ::close(to);
  }
  void convert() {
    const int fd = open_file(root_ / "unwritten");
    std::mt19937 random(seed_ + 2);
    const std::string unit(kUnit, 'U');
    bool good = ::posix_fallocate(fd, 0, 4 << 20) == 0;
    while (good && !stop_) {
      for (unsigned i = 0; i < 20; ++i)
        good = good && ::pwrite(fd, unit.data(), kUnit, static_cast<off_t>((random() % 1000) * kUnit)) > 0;
      good = good && ::fdatasync(fd) == 0;
    }
    ::close(fd);
  }
  void overwrite() {
    std::mt19937 random(seed_ + 3);
    const std::string unit(kUnit, 'O');
    bool good = true;
    while (good && !stop_) {
      const int fd = open_file(clone(root_, 10 + static_cast<unsigned>(random() % 6)));
      for (unsigned i = 0; i < 20; ++i)
        good = good && ::pwrite(fd, unit.data(), kUnit, static_cast<off_t>((random() % 600) * kUnit)) > 0;
      good = good && ::fdatasync(fd) == 0;
      ::close(fd);
    }
  }

  std::filesystem::path root_;
  unsigned seed_;
  std::atomic<bool> stop_ = false;
  std::vector<int> open_;
  std::vector<std::thread> threads_;
};

void shut_down_in_turmoil(const std::filesystem::path& image, unsigned seed) {
  const LoopDevice loop(image);
  Mount mount(loop.path());
  {
    const int root = ::open(mount.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const Turmoil turmoil(mount.path(), seed);
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + seed * 37 % 300));
    __u32 flags = 1;  // the log is flushed first
    const int status = ::ioctl(root, _IOR('X', 125, __u32), &flags);
    ::close(root);
    if (status != 0) throw std::system_error(errno, std::generic_category(), "shut down");
  }
  mount.unmount();
}

struct Case {
  const char* name;
  std::vector<std::string> options;
  bool rmapbt;
};
std::ostream& operator<<(std::ostream& out, const Case& each) { return out << each.name; }

class RecoveryFinishKernel : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    XDAX_NEED_KERNEL_XFS();
    XDAX_NEED_XFSPROGS();
    make_base(base_, GetParam().options);
  }
  static void copy(const std::filesystem::path& from, const std::filesystem::path& to) {
    run_or_throw({"cp", "--sparse=always", from.string(), to.string()});
  }
  static void mount_and_unmount(const std::filesystem::path& image) {
    const LoopDevice loop(image);
    Mount mount(loop.path());
    mount.unmount();
  }

  TempDir dir_{memory_temp_parent()};
  std::filesystem::path base_ = dir_.sparse_file("base", 320ull << 20);
  std::filesystem::path image_ = dir_.path() / "image";
  std::filesystem::path theirs_ = dir_.path() / "theirs";
};

TEST_P(RecoveryFinishKernel, FinishesWhatAMountFinishes) {
  std::map<std::string, unsigned> kinds;
  std::uint64_t inodes = 0;
  std::uint64_t staged = 0;
  const auto seen_all = [&] {
    return kinds["efi"] > 0 && kinds["cui"] > 0 && kinds["bui"] > 0 && (!GetParam().rmapbt || kinds["rui"] > 0) &&
           inodes > 0 && staged > 0;
  };
  for (unsigned seed = 1; seed <= 5 || (seed <= 20 && !seen_all()); ++seed) {
    if (HasFailure()) break;
    SCOPED_TRACE(seed);
    copy(base_, image_);
    shut_down_in_turmoil(image_, seed);
    copy(image_, theirs_);
    mount_and_unmount(theirs_);
    {
      const auto device = open_device(image_.string(), {.mode = OpenMode::kReadWrite});
      const RecoveryReport report = recover(*device, geometry_of(*device));
      device->persist();
      ASSERT_EQ(report.log.state, LogState::kDirty);
      ASSERT_TRUE(report.complete()) << (report.walk.damage ? report.walk.damage->what : "");
      if (report.finished) {
        for (const LogItem& item : report.finished->intents) ++kinds[to_string(item.type)];
        inodes += report.finished->inodes;
        staged += report.finished->staged_extents;
      }
    }
    EXPECT_EQ(tree_of(image_), tree_of(theirs_));
    expect_sound(image_);
    mount_and_unmount(image_);
    expect_sound(image_);
  }
  for (const auto& [kind, count] : kinds) std::cout << kind << " " << count << "\n";
  std::cout << inodes << " inodes, " << staged << " staged extents\n";
  EXPECT_TRUE(seen_all());
}

// A mount takes the size of the record at the tail for that of all, and a record of another one for torn.
void expect_records_of_one_size(Device& device) {
  const LogPlace place = LogPlace::of(geometry_of(device));
  const LogSummary log = read_log_summary(device, place);
  if (log.state == LogState::kClean) return;
  std::map<std::uint32_t, unsigned> sizes;
  for (std::uint32_t block = 0; block < place.blocks; ++block) {
    std::vector<std::byte> bytes(kBasicBlockBytes);
    device.read(place.offset_bytes + std::uint64_t{block} * kBasicBlockBytes, bytes);
    const auto& header = view<LogRecordHeader>(bytes);
    if (header.magicno != LogRecordHeader::kMagic || header.blank()) continue;
    const Lsn lsn = Lsn::decode(header.lsn);
    if (lsn.block == block && !(lsn < *log.tail) && lsn < *log.head) ++sizes[header.size];
  }
  EXPECT_EQ(sizes.size(), 1u);
}

// Our own records behind the kernel's, and changes that are not home: for a mount a log like any other.
TEST_P(RecoveryFinishKernel, WhatWasCutShortAMountFinishes) {
  Trace trace;
  std::string expected;
  // With intents, so that the kernel's records and ours are replayed together.
  std::size_t intents = 0;
  for (unsigned seed = 1; seed <= 20 && intents < 3; ++seed) {
    copy(base_, image_);
    shut_down_in_turmoil(image_, seed);
    const auto device = open_device(image_.string(), {.mode = OpenMode::kRead});
    OverlayDevice overlay(*device);
    RecordingDevice recorder(static_cast<Device&>(overlay));
    const RecoveryReport report = recover(recorder, geometry_of(*device));
    ASSERT_TRUE(report.complete());
    intents = report.finished ? report.finished->intents.size() : 0;
    trace = recorder.take_trace();
  }
  ASSERT_GE(intents, 3u);
  const std::vector<std::size_t> barriers = trace.barriers();
  ASSERT_GT(barriers.size(), 4u);
  unsigned cuts = 0;
  for (std::size_t barrier = 0; barrier < barriers.size(); barrier += 1 + barriers.size() / 10) {
    SCOPED_TRACE(fmt::format("after barrier {} of {}", barrier, barriers.size()));
    copy(image_, theirs_);
    {
      const auto device = open_device(theirs_.string(), {.mode = OpenMode::kReadWrite});
      trace.build(trace.prefix(barriers[barrier] + 1), *device);
      device->persist();
      expect_records_of_one_size(*device);
    }
    mount_and_unmount(theirs_);
    expect_sound(theirs_);
    const std::string tree = tree_of(theirs_);
    if (expected.empty()) expected = tree;
    EXPECT_EQ(tree, expected);
    ++cuts;
  }
  std::cout << cuts << " cuts\n";
}

INSTANTIATE_TEST_SUITE_P(Work, RecoveryFinishKernel,
                         ::testing::Values(Case{"b4k", {"-m", "rmapbt=1", "-l", "size=16m"}, true},
                                           Case{"b1k", {"-b", "size=1024", "-m", "rmapbt=1"}, true},
                                           Case{"plain", {"-m", "rmapbt=0"}, false}),
                         [](const auto& instance) { return std::string(instance.param.name); });

}  // namespace
}  // namespace xdax::test

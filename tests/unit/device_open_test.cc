// Opening paths: what is taken, what is refused and with which words, creation, locks and mounts.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <thread>

#include "libfs/device/device.h"
#include "libfs/device/exclusive.h"
#include "libfs/device/host_file.h"
#include "tests/support/loop_device.h"
#include "tests/support/mount.h"
#include "tests/support/oracle.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace xdax {
namespace {

constexpr std::uint64_t kMiB = 1u << 20;

OpenOptions writing(std::uint64_t create_size_bytes = 0) {
  OpenOptions options;
  options.mode = OpenMode::kReadWrite;
  options.create_size_bytes = create_size_bytes;
  return options;
}

OpenOptions looking() {
  OpenOptions options;
  options.exclusive = false;
  return options;
}

/// Opening must be refused with `code`, in one line that names the path and contains `words`.
void expect_refusal(const std::string& path, const OpenOptions& options, Errc code, const std::string& words) {
  try {
    static_cast<void>(open_device(path, options));
    ADD_FAILURE() << path << " was opened";
  } catch (const RefusalError& error) {
    const std::string text = error.what();
    EXPECT_EQ(error.cause(), code) << text;
    EXPECT_EQ(text.find(path + ": "), 0u) << text;
    EXPECT_NE(text.find(words), std::string::npos) << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  }
}

TEST(ParseIoChoice, KnowsThreeWords) {
  EXPECT_EQ(parse_io_choice("auto"), IoChoice::kAuto);
  EXPECT_EQ(parse_io_choice("dax"), IoChoice::kDax);
  EXPECT_EQ(parse_io_choice("uring"), IoChoice::kUring);
  for (const char* text : {"", "Auto", "dax ", "io_uring"}) EXPECT_FALSE(parse_io_choice(text)) << text;
}

TEST(OpenDevice, RefusesWhatCarriesNoDevice) {
  const test::TempDir folder;
  const std::string fifo = folder.path("fifo").string();
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const std::string socket_path = folder.path("socket").string();
  const FileDescriptor socket_descriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socket_path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket_descriptor.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  for (const OpenOptions& options : {OpenOptions{}, looking(), writing(), writing(kMiB)}) {
    expect_refusal(folder.path().string(), options, Errc::kNotSupported, "is a directory");
    expect_refusal(fifo, options, Errc::kNotSupported, "is a pipe");
    expect_refusal(socket_path, options, Errc::kNotSupported, "is a socket");
    expect_refusal("/dev/null", options, Errc::kNotSupported, "is a character device that is not device-DAX");
  }
  expect_refusal(folder.path("missing").string(), OpenOptions{}, Errc::kOpenFailed, "No such file or directory");
  expect_refusal(folder.path("missing").string(), writing(), Errc::kOpenFailed, "No such file or directory");
  expect_refusal(folder.path("no/way").string(), writing(kMiB), Errc::kOpenFailed, "cannot be created");
}

TEST(OpenDevice, RefusesContradictions) {
  const test::TempDir folder;
  const std::string path = folder.sparse_file("file", kMiB).string();
  OpenOptions options;
  options.create_size_bytes = 1;
  expect_refusal(path, options, Errc::kBadArgument, "reading only");
  options = looking();
  options.mode = OpenMode::kReadWrite;
  expect_refusal(path, options, Errc::kBadArgument, "exclusive");
  expect_refusal(folder.path("new").string(), writing(~std::uint64_t{0}), Errc::kBadArgument, "bytes");
  EXPECT_FALSE(std::filesystem::exists(folder.path("new")));
}

TEST(OpenDevice, CreatesAndGrowsButNeverShrinks) {
  const test::TempDir folder;
  const std::string path = folder.path("new").string();
  const mode_t mask = ::umask(027);
  {
    EXPECT_EQ(open_device(path, writing(3 * kMiB))->size_bytes(), 3 * kMiB);
  }
  ::umask(mask);
  struct stat status{};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0640u);
  EXPECT_EQ(status.st_blocks, 0) << "creating took space";
  test::overwrite(path, 0, "content");
  {
    EXPECT_EQ(open_device(path, writing(5 * kMiB))->size_bytes(), 5 * kMiB);
  }
  {
    EXPECT_EQ(open_device(path, writing(kMiB))->size_bytes(), 5 * kMiB);
  }
  {
    EXPECT_EQ(open_device(path, writing())->size_bytes(), 5 * kMiB);
  }
  EXPECT_EQ(test::read_bytes(path, 0, 7), "content");
}

TEST(OpenDevice, LeavesNoFileBehindWhenItFails) {
  const test::TempDir folder(test::memory_temp_parent());
  OpenOptions options = writing(std::uint64_t{1} << 60);
  options.io = IoChoice::kDax;
  expect_refusal(folder.path("new").string(), options, Errc::kNotSupported, "--io=uring");
  EXPECT_FALSE(std::filesystem::exists(folder.path("new")));
}

TEST(OpenDevice, ChoosesByWhatThePathIs) {
  const test::TempDir folder;
  const std::string path = folder.sparse_file("file", kMiB).string();
  OpenOptions options;
  EXPECT_EQ(open_device(path, options)->traits().kind, DeviceKind::kUring);
  options.io = IoChoice::kDax;
  EXPECT_EQ(open_device(path, options)->traits().kind, DeviceKind::kDax);
  options.io = IoChoice::kUring;
  EXPECT_EQ(open_device(path, options)->traits().kind, DeviceKind::kUring);
  EXPECT_EQ(open_device(path, options)->name(), path);
}

/// Notes how a path is closed: the same events make udev look at a device that was open for writing.
class CloseWatch {
 public:
  explicit CloseWatch(const std::string& path) : descriptor_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
    EXPECT_GE(::inotify_add_watch(descriptor_.get(), path.c_str(), IN_CLOSE | IN_MODIFY | IN_ATTRIB), 0);
  }
  /// All events since the last call, together.
  std::uint32_t events() {
    alignas(inotify_event) char buffer[4096];
    std::uint32_t mask = 0;
    for (ssize_t got = 0; (got = ::read(descriptor_.get(), buffer, sizeof buffer)) > 0;) {
      for (ssize_t at = 0; at < got;) {
        const auto* const event = reinterpret_cast<const inotify_event*>(buffer + at);
        mask |= event->mask;
        at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      }
    }
    return mask;
  }

 private:
  FileDescriptor descriptor_;
};

TEST(OpenDevice, NeverOpensForWritingToLook) {
  const test::TempDir folder;
  const std::string path = folder.sparse_file("file", kMiB).string();
  CloseWatch watch(path);
  for (const IoChoice io : {IoChoice::kUring, IoChoice::kDax}) {
    for (const bool exclusive : {true, false}) {
      OpenOptions options;
      options.io = io;
      options.exclusive = exclusive;
      std::vector<std::byte> bytes(100);
      open_device(path, options)->read(7, bytes);
      EXPECT_EQ(watch.events(), std::uint32_t{IN_CLOSE_NOWRITE});
    }
    OpenOptions options = writing();
    options.io = io;
    static_cast<void>(open_device(path, options));
    EXPECT_NE(watch.events() & IN_CLOSE_WRITE, 0u) << "the watch sees nothing";
  }
}

TEST(OpenDevice, LocksFilesAgainstOthers) {
  const test::TempDir folder;
  const std::string path = folder.sparse_file("file", kMiB).string();
  {
    const std::unique_ptr<Device> writer = open_device(path, writing());
    expect_refusal(path, writing(), Errc::kInUse, "in use by another process");
    expect_refusal(path, OpenOptions{}, Errc::kInUse, "being written by another process");
    EXPECT_EQ(open_device(path, looking())->size_bytes(), kMiB);
  }
  {
    const std::unique_ptr<Device> reader = open_device(path, OpenOptions{});
    EXPECT_EQ(open_device(path, OpenOptions{})->size_bytes(), kMiB);
    expect_refusal(path, writing(), Errc::kInUse, "in use by another process");
  }
  EXPECT_EQ(open_device(path, writing())->size_bytes(), kMiB);
}

// --- block devices --------------------------------------------------------------------------------------------------

class OpenLoop : public testing::Test {
 protected:
  void SetUp() override {
    XDAX_NEED_ROOT_AND_LOOP();
    backing_ = folder_.sparse_file("backing", 512 * kMiB).string();
    loop_ = std::make_unique<test::LoopDevice>(backing_);
  }

  test::TempDir folder_;
  std::string backing_;
  std::unique_ptr<test::LoopDevice> loop_;
};

TEST_F(OpenLoop, BlockDevicesAreNotMapped) {
  OpenOptions options;
  options.io = IoChoice::kDax;
  expect_refusal(loop_->path(), options, Errc::kNotSupported, "--io=uring");
  options.io = IoChoice::kAuto;
  const std::unique_ptr<Device> device = open_device(loop_->path(), options);
  EXPECT_EQ(device->traits().kind, DeviceKind::kUring);
  EXPECT_TRUE(device->traits().block_device);
  EXPECT_EQ(device->size_bytes(), 512 * kMiB);
}

TEST_F(OpenLoop, OneHolderAtATime) {
  const std::unique_ptr<Device> first = open_device(loop_->path(), writing());
  expect_refusal(loop_->path(), writing(), Errc::kInUse, "in use");
  expect_refusal(loop_->path(), OpenOptions{}, Errc::kInUse, "in use");
  EXPECT_EQ(open_device(loop_->path(), looking())->size_bytes(), 512 * kMiB);
  // The image behind it is as much in use.
  expect_refusal(backing_, writing(), Errc::kInUse, loop_->path());
}

TEST_F(OpenLoop, AnAdvisoryLockIsRespected) {
  const FileDescriptor other(::open(loop_->path().c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::flock(other.get(), LOCK_EX | LOCK_NB), 0);
  expect_refusal(loop_->path(), writing(), Errc::kInUse, "in use by another process");
  // A lock that goes away soon, as udev's does, is waited for.
  const std::jthread releasing([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    ::flock(other.get(), LOCK_UN);
  });
  EXPECT_EQ(open_device(loop_->path(), writing())->size_bytes(), 512 * kMiB);
}

TEST_F(OpenLoop, ALookLeavesNoTraceForUdev) {
  CloseWatch watch(loop_->path());
  static_cast<void>(open_device(loop_->path(), OpenOptions{}));
  static_cast<void>(open_device(loop_->path(), looking()));
  EXPECT_EQ(watch.events() & IN_CLOSE_WRITE, 0u);
  static_cast<void>(open_device(loop_->path(), writing()));
  EXPECT_NE(watch.events() & IN_CLOSE_WRITE, 0u) << "the watch sees nothing";
}

TEST_F(OpenLoop, CreatingAndGrowingIsForFiles) {
  EXPECT_EQ(open_device(loop_->path(), writing(1024 * kMiB))->size_bytes(), 512 * kMiB);
}

TEST_F(OpenLoop, MountedDevicesAndTheirImagesAreRefused) {
  XDAX_NEED_KERNEL_XFS();
  XDAX_NEED_XFSPROGS();
  test::run_or_throw({"mkfs.xfs", "-q", loop_->path()});
  test::Mount mount(loop_->path());
  const std::string words = "mounted on " + mount.path().string();
  for (const std::string& path : {loop_->path(), backing_}) {
    expect_refusal(path, writing(), Errc::kInUse, words);
    expect_refusal(path, OpenOptions{}, Errc::kInUse, words);
    const std::unique_ptr<Device> device = open_device(path, looking());
    std::vector<std::byte> magic(4);
    device->read(0, magic);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(magic.data()), 4), "XFSB");
  }
  mount.unmount();
  EXPECT_EQ(open_device(loop_->path(), writing())->size_bytes(), 512 * kMiB);
  EXPECT_EQ(open_device(backing_, writing())->size_bytes(), 512 * kMiB);
}

// --- holders, from tables of our own --------------------------------------------------------------------------------

class Holders : public testing::Test {
 protected:
  void SetUp() override {
    tables_.mountinfo = write("mountinfo", "22 27 0:21 / /proc rw,relatime - proc proc rw\n");
    tables_.swaps = write("swaps", "Filename\tType\tSize\tUsed\tPriority\n");
    tables_.sysfs = folder_.path("sys").string();
    std::filesystem::create_directories(folder_.path("sys/block"));
  }

  std::string write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories(folder_.path(name).parent_path());
    std::ofstream(folder_.path(name)) << text;
    return folder_.path(name).string();
  }

  /// A block device that need not exist.
  static struct stat block(unsigned major_number, unsigned minor_number) {
    struct stat status{};
    status.st_mode = S_IFBLK;
    status.st_rdev = makedev(major_number, minor_number);
    return status;
  }

  test::TempDir folder_;
  SystemTables tables_;
};

TEST_F(Holders, NobodyHoldsAFreeDevice) {
  EXPECT_FALSE(find_holder(block(240, 7), tables_));
  EXPECT_FALSE(find_holder(block(240, 7), {.mountinfo = "/none", .swaps = "/none", .sysfs = "/none"}));
}

TEST_F(Holders, Mounts) {
  write("mountinfo",
        "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
        "40 27 240:7 / /a\\040b\\134c rw shared:1 master:2 - xfs /dev/x rw\n"
        "41 27 240:77 / /other rw - xfs /dev/y rw\n");
  EXPECT_EQ(find_holder(block(240, 7), tables_), "is mounted on /a b\\c");
  EXPECT_EQ(find_holder(block(240, 77), tables_), "is mounted on /other");
  EXPECT_FALSE(find_holder(block(24, 7), tables_));
}

TEST_F(Holders, SwapFiles) {
  const std::string path = folder_.sparse_file("swap file", 4096).string();
  const std::string other = folder_.sparse_file("other", 4096).string();
  std::string escaped = path;
  escaped.replace(escaped.find(' '), 1, "\\040");
  write("swaps", "Filename\tType\tSize\tUsed\tPriority\n" + escaped + " file\t4\t0\t-2\n");
  struct stat status{};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(find_holder(status, tables_), "is used as swap");
  ASSERT_EQ(::stat(other.c_str(), &status), 0);
  EXPECT_FALSE(find_holder(status, tables_));
}

TEST_F(Holders, DeviceMapperAndPartitions) {
  write("sys/dev/block/240:7/holders/dm-3/dev", "253:3\n");
  EXPECT_EQ(find_holder(block(240, 7), tables_), "is held by dm-3");
  write("sys/dev/block/240:16/disk1/partition", "1\n");
  write("sys/dev/block/240:16/disk1/dev", "240:17\n");
  EXPECT_FALSE(find_holder(block(240, 16), tables_));
  write("mountinfo", "40 27 240:17 / /boot rw - ext4 /dev/x rw\n");
  EXPECT_EQ(find_holder(block(240, 16), tables_), "has the partition disk1, which is mounted on /boot");
}

TEST_F(Holders, ImagesBehindLoopDevices) {
  const std::string image = folder_.sparse_file("image", 4096).string();
  write("sys/block/loop900/loop/backing_file", image + "\n");
  write("sys/block/loop900/dev", "240:90\n");
  struct stat status{};
  ASSERT_EQ(::stat(image.c_str(), &status), 0);
  EXPECT_FALSE(find_holder(status, tables_));
  write("mountinfo", "40 27 240:90 / /mnt rw - xfs /dev/loop900 rw\n");
  EXPECT_EQ(find_holder(status, tables_), "is attached to /dev/loop900, which is mounted on /mnt");
}

}  // namespace
}  // namespace xdax

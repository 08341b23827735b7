// What mkfs.xdax does to real targets: loop devices of both sector sizes, tmpfs, ext4; what it refuses; what stops it.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/support/loop_device.h"
#include "tests/support/mount.h"
#include "tests/support/oracle.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/xfs_db.h"
#include "tests/support/xfs_repair.h"

namespace xdax::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr std::uint64_t kMiB = 1ull << 20;
constexpr std::uint64_t kGiB = 1ull << 30;

ProcessResult mkfs(std::vector<std::string> options, const std::string& target, const ProcessOptions& process = {}) {
  options.insert(options.begin(), program_path("mkfs.xdax"));
  options.push_back(target);
  return run(options, process);
}

// A refusal: exit 1, one line that names the target and holds `says`, nothing on standard output, nothing changed.
void expect_refusal(const ProcessResult& result, const std::string& says) {
  EXPECT_EQ(result.exit_status, 1) << result.describe();
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_THAT(result.err, HasSubstr(says));
  EXPECT_EQ(result.out, "");
}

struct Signature {
  const char* name;
  std::vector<std::string> make;
  const char* says;
};
std::ostream& operator<<(std::ostream& stream, const Signature& each) { return stream << each.name; }

class MkfsSignature : public ::testing::TestWithParam<Signature> {};

// A master boot record with one Linux partition of 100 MiB from 1 MiB on.
void write_partition_table(const fs::path& image) {
  const std::string entry("\x00\x20\x21\x00\x83\xcc\x0c\x0c\x00\x08\x00\x00\x00\x20\x03\x00", 16);
  overwrite(image, 446, entry);
  overwrite(image, 510, "\x55\xaa");
}

TEST_P(MkfsSignature, IsRefusedUnlessForced) {
  const TempDir dir;
  const fs::path image = dir.sparse_file("image", 400 * kMiB);
  std::vector<std::string> make = GetParam().make;
  if (make.empty()) {
    write_partition_table(image);
  } else {
    XDAX_NEED_PROGRAM(make[0]);
    make.push_back(image);
    run_or_throw(make);
  }
  const std::string before = read_bytes(image, 0, kMiB);
  expect_refusal(mkfs({}, image), GetParam().says);
  EXPECT_EQ(read_bytes(image, 0, kMiB), before);
  const ProcessResult forced = mkfs({"-f", "-q"}, image);
  EXPECT_TRUE(forced.ok()) << forced.describe();
  EXPECT_EQ(run({"blkid", "-p", "-s", "TYPE", "-o", "value", image}).out, "xfs\n");
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, MkfsSignature,
    ::testing::Values(Signature{"ext4", {"mkfs.ext4", "-q", "-L", "home"}, "type ext4 (label \"home\"); give -f"},
                      Signature{"swap", {"mkswap"}, "swap; give -f"},
                      Signature{"xfs", {"mkfs.xfs", "-q"}, "type xfs; give -f"},
                      Signature{"dos", {}, "a dos partition table; give -f"}),
    [](const ::testing::TestParamInfo<Signature>& each) { return std::string(each.param.name); });

class MkfsLoop : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(MkfsLoop, FormatsABlockDeviceThatTheKernelUses) {
  XDAX_NEED_KERNEL_XFS();
  const TempDir dir;
  const fs::path image = dir.sparse_file("image", kGiB);
  const LoopDevice loop(image, {.sector_bytes = GetParam()});
  for (const char* io : {"auto", "uring"}) {
    const ProcessResult made = mkfs({"-f", "--json", std::string("--io=") + io}, loop.path());
    ASSERT_TRUE(made.ok()) << made.describe();
    EXPECT_EQ(nlohmann::json::parse(made.out).at("sector_bytes"), GetParam());
    Mount mount(loop.path());
    expect_refusal(mkfs({"-f"}, loop.path()), "mounted");
    std::ofstream(mount.path("file")) << std::string(100000, 'a');
    mount.unmount();
    EXPECT_TRUE(xfs_repair_check(loop.path()).clean);
    const ProcessResult checked = run({program_path("fsck.xdax"), "-n", "-f", loop.path()});
    EXPECT_EQ(checked.exit_status, 0) << checked.describe();
  }
  expect_refusal(mkfs({"-f", "--io=dax"}, loop.path()), "--io=uring");
}

TEST_P(MkfsLoop, TakesTheStripeAndSectorOptionsOfItsDevice) {
  XDAX_NEED_ROOT_AND_LOOP();
  const TempDir dir;
  const LoopDevice loop(dir.sparse_file("image", kGiB), {.sector_bytes = GetParam()});
  if (GetParam() == 4096) {
    expect_refusal(mkfs({"-s", "size=512"}, loop.path()), "cannot write less than 4096 bytes");
    expect_refusal(mkfs({"-b", "size=1024"}, loop.path()), "smaller than the device's sector");
  } else {
    EXPECT_TRUE(mkfs({"-s", "size=512", "-b", "size=1024"}, loop.path()).ok());
  }
}

INSTANTIATE_TEST_SUITE_P(Sectors, MkfsLoop, ::testing::Values(512u, 4096u));

TEST(MkfsTarget, ImagesOnTmpfsAndOnDiskAreTheSame) {
  XDAX_NEED_XFSPROGS();
  const TempDir memory(memory_temp_parent());
  const TempDir disk;
  const ProcessOptions fixed = {.environment = {{"SOURCE_DATE_EPOCH", "1700000000"}}};
  const std::vector<std::string> options = {"-q", "--uuid", "01234567-89ab-cdef-0123-456789abcdef", "-L", "same"};
  std::vector<fs::path> images;
  for (const auto& [folder, io] :
       {std::pair{&memory, "uring"}, {&memory, "dax"}, {&disk, "uring"}, {&disk, "dax"}, {&disk, "auto"}}) {
    images.push_back(folder->sparse_file(std::string("image-") + io, 400 * kMiB));
    std::vector<std::string> argv = options;
    argv.push_back(std::string("--io=") + io);
    const ProcessResult made = mkfs(argv, images.back(), fixed);
    ASSERT_TRUE(made.ok()) << made.describe();
    EXPECT_TRUE(xfs_repair_check(images.back()).clean);
  }
  for (const fs::path& image : images) EXPECT_TRUE(run({"cmp", images[0], image}).ok()) << image;
  EXPECT_EQ(xfs_db(images[0], {"label"}).text, "label = \"same\"\n");
  EXPECT_THAT(xfs_db(images[0], {"inode 128", "print v3.crtime.sec"}).text, HasSubstr("2023"));
}

TEST(MkfsTarget, DaxIsShortForItsOptionsAndReachesNewFiles) {
  XDAX_NEED_KERNEL_XFS();
  const TempDir dir(memory_temp_parent());
  const ProcessOptions fixed = {.environment = {{"SOURCE_DATE_EPOCH", "1700000000"}}};
  const std::vector<std::string> common = {"-q", "--uuid", "01234567-89ab-cdef-0123-456789abcdef"};
  const auto format = [&](const char* name, const std::vector<std::string>& options) {
    const fs::path image = dir.sparse_file(name, 2 * kGiB);
    std::vector<std::string> argv = common;
    argv.insert(argv.end(), options.begin(), options.end());
    const ProcessResult made = mkfs(argv, image, fixed);
    EXPECT_TRUE(made.ok()) << made.describe();
    return image;
  };
  const fs::path one_word = format("one-word", {"--dax"});
  const fs::path spelled_out = format("spelled-out", {"-d", "su=2m,sw=1,extszinherit=512,daxinherit=1"});
  EXPECT_TRUE(run({"cmp", one_word, spelled_out}).ok());

  const LoopDevice loop(one_word);
  Mount mount(loop.path());
  std::ofstream(mount.path("file")) << "x";
  EXPECT_THAT(run({"xfs_io", "-r", "-c", "extsize", mount.path("file")}).out, HasSubstr("[2097152]"));
  EXPECT_THAT(run({"xfs_io", "-r", "-c", "lsattr", mount.path("file")}).out, HasSubstr("x"));
  // The first extent of a new file starts on a 2 MiB boundary of the device.
  const ProcessResult map = run({"xfs_io", "-r", "-c", "fsync", "-c", "bmap -v", mount.path("file")});
  const auto at = map.out.find("0: [0..");
  ASSERT_NE(at, std::string::npos) << map.describe();
  const std::uint64_t sector = std::stoull(map.out.substr(map.out.find(": ", at + 3) + 2));
  EXPECT_EQ(sector * 512 % (2 * kMiB), 0u) << map.out;
}

TEST(MkfsTarget, ImagesAreCreatedOnRequestOnly) {
  const TempDir dir(memory_temp_parent());
  const std::string image = dir.path("new");
  expect_refusal(mkfs({}, image), "give -d size=SIZE to create an image");
  EXPECT_FALSE(fs::exists(image));
  EXPECT_TRUE(mkfs({"-N", "-d", "size=400m"}, image).ok());
  EXPECT_FALSE(fs::exists(image)) << "a dry run created it";
  EXPECT_TRUE(mkfs({"-q", "-d", "size=400m"}, image).ok());
  EXPECT_EQ(fs::file_size(image), 400 * kMiB);
  expect_refusal(mkfs({"-f", "-d", "size=800m"}, image), "the device holds only");
  const ProcessResult grown = run({program_path("mkfs.xdax"), "-f", "-q", "-d", "file,name=" + image + ",size=800m"});
  EXPECT_TRUE(grown.ok()) << grown.describe();
  EXPECT_EQ(fs::file_size(image), 800 * kMiB);
}

std::uint64_t allocated_bytes(const fs::path& path) {
  struct stat status{};
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

TEST(MkfsTarget, ImagesKeepTheSpaceTheHostHasForThem) {
  for (const fs::path& parent : {memory_temp_parent(), default_temp_parent()}) {
    const TempDir dir(parent);
    for (const char* io : {"auto", "uring", "dax"}) {
      const fs::path sparse = dir.sparse_file("sparse", kGiB);
      EXPECT_TRUE(mkfs({"-f", "-q", std::string("--io=") + io}, sparse).ok());
      EXPECT_LT(allocated_bytes(sparse), 2 * kMiB) << io << ": the log of 64 MiB was written through";
      const fs::path full = dir.sparse_file("full", 400 * kMiB);
      run_or_throw({"fallocate", "-l", "400m", full});
      EXPECT_TRUE(mkfs({"-f", "-q", std::string("--io=") + io}, full).ok());
      EXPECT_GE(allocated_bytes(full), 400 * kMiB) << io << ": space was given back";
    }
  }
}

TEST(MkfsTarget, BadTargetsAreRefused) {
  const TempDir dir;
  const std::string small = dir.sparse_file("small", 8 * kMiB);
  const std::string tiny = dir.sparse_file("tiny", 100);
  const std::string empty = dir.sparse_file("empty", 0);
  expect_refusal(mkfs({}, small), "the least is 16m");
  expect_refusal(mkfs({}, tiny), "the least is 16m");
  expect_refusal(mkfs({}, empty), "the least is 16m");
  expect_refusal(mkfs({}, dir.path()), dir.path());
  expect_refusal(mkfs({}, "/dev/null"), "/dev/null");
  expect_refusal(mkfs({}, dir.path("no/such")), "no such device or file");
  expect_refusal(run({program_path("mkfs.xdax")}), "no device given");
  expect_refusal(run({program_path("mkfs.xdax"), small, "1000"}), "for a size give -d size=SIZE");
  expect_refusal(mkfs({"--nonsense"}, small), "--nonsense");
  expect_refusal(mkfs({"--io=fast"}, small), "give auto, dax or uring");
  expect_refusal(mkfs({"-r", "rtdev=/dev/x"}, small), "realtime devices are not supported");
  expect_refusal(
      mkfs({"-m", "uuid=01234567-89ab-cdef-0123-456789abcdef", "--uuid", "11234567-89ab-cdef-0123-456789abcdef"},
           small),
      "uuid");
  expect_refusal(mkfs({"-L", "abcdefghijklm"}, dir.sparse_file("good", 400 * kMiB)), "at most 12 bytes");
}

TEST(MkfsTarget, DryRunsChangeNothing) {
  const TempDir dir;
  const fs::path image = dir.sparse_file("image", 400 * kMiB);
  overwrite(image, 0, "precious");
  const auto time = fs::last_write_time(image);
  const ProcessResult shown = mkfs({"-N"}, image);
  EXPECT_TRUE(shown.ok()) << shown.describe();
  EXPECT_THAT(shown.out, HasSubstr("agcount=4"));
  EXPECT_EQ(fs::last_write_time(image), time);
  EXPECT_EQ(read_bytes(image, 0, 8), "precious");
  const ProcessResult json = mkfs({"-N", "--json"}, image);
  EXPECT_EQ(nlohmann::json::parse(json.out).at("written"), false);
}

TEST(MkfsTarget, ConfigurationFilesGoThroughTheSameChecks) {
  const TempDir dir;
  const std::string image = dir.sparse_file("image", kGiB);
  const std::string file = dir.path("options");
  std::ofstream(file) << "[metadata]\nrmapbt=0\n[data]\nagcount=2\n";
  const ProcessResult made = mkfs({"-c", "options=" + file, "-N"}, image);
  EXPECT_THAT(made.out, HasSubstr("agcount=2"));
  EXPECT_THAT(made.out, HasSubstr("rmapbt=0"));
  expect_refusal(mkfs({"-c", "options=" + file, "-d", "agcount=3"}, image), "say different things");
  expect_refusal(mkfs({"-c", file}, image), "give -c options=FILE");
}

// Stopped at various moments while it writes the headers of ten thousand groups.
TEST(MkfsTarget, KilledRunsLeaveNothingThatLooksLikeAFilesystem) {
  const TempDir dir(memory_temp_parent());
  int finished = 0;
  int stopped = 0;
  for (const int signal_number : {SIGKILL, SIGINT, SIGTERM}) {
    for (int delay_us = 0; delay_us < 60000; delay_us += 7500) {
      const fs::path image = dir.sparse_file("image", 4096 * kGiB);
      const std::string program = program_path("mkfs.xdax");
      const pid_t child = fork();
      if (child == 0) {
        const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
        ::dup2(null, 2);
        execl(program.c_str(), program.c_str(), "-q", "-d", "agsize=400m", "-l", "size=64m", image.c_str(), nullptr);
        _exit(127);
      }
      std::this_thread::sleep_for(std::chrono::microseconds(delay_us));
      kill(child, signal_number);
      int status = 0;
      ASSERT_EQ(waitpid(child, &status, 0), child);
      const bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
      ok ? ++finished : ++stopped;
      if (!ok) {
        EXPECT_EQ(run({"blkid", "-p", image}).out, "") << "signal " << signal_number << " after " << delay_us << " us";
        if (WIFEXITED(status)) {
          EXPECT_EQ(WEXITSTATUS(status), 1);
        }
      } else {
        EXPECT_THAT(run({"blkid", "-p", image}).out, HasSubstr("xfs"));
      }
      fs::remove(image);
    }
  }
  EXPECT_GT(stopped, 3) << finished << " runs finished before their signal";
}

}  // namespace
}  // namespace xdax::test

// The kernel and xfs_repair as judges of what libfs writes: trees it made, trees that both made in turns, and what a
// power cut leaves, replayed by a mount.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "fsck/check.h"
#include "libfs/device/device.h"
#include "libfs/device/overlay_device.h"
#include "libfs/device/recording_device.h"
#include "libfs/recovery/recovery.h"
#include "tests/support/filesystem_model.h"
#include "tests/support/loop_device.h"
#include "tests/support/mount.h"
#include "tests/support/oracle.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/written_volume.h"
#include "tests/support/xfs_repair.h"

namespace xdax::test {
namespace {

namespace fs = std::filesystem;

struct KernelCase {
  VolumeCase volume;
  bool repair_knows = true;  ///< xfsprogs here know its features
};
std::ostream& operator<<(std::ostream& stream, const KernelCase& each) { return stream << each.volume; }

std::string content_of(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

void write_content(const fs::path& path, const std::string& content) {
  std::ofstream stream(path, std::ios::binary);
  stream << content;
}

// The first difference between what is mounted and the model; names that begin with "kernel" are the kernel's own.
std::string mounted_difference(const fs::path& path, const ModelNode& node) {
  struct stat status = {};
  if (::lstat(path.c_str(), &status) != 0) return path.string() + ": is not there";
  if ((status.st_mode & S_IFMT) != static_cast<std::uint16_t>(node.type)) return path.string() + ": another type";
  if ((status.st_mode & 07777u) != node.mode || status.st_uid != node.uid) return path.string() + ": mode or owner";
  for (const auto& [name, value] : node.attributes) {
    std::string found(65536, '\0');
    const ssize_t size = ::lgetxattr(path.c_str(), ("user." + name).c_str(), found.data(), found.size());
    // The kernel shows user attributes of files and directories only.
    if (node.type != FileType::kRegular && node.type != FileType::kDirectory) continue;
    if (size < 0) return path.string() + ": attribute " + name + " is not there";
    if (found.substr(0, static_cast<std::size_t>(size)) != value) return path.string() + ": attribute " + name;
  }
  if (node.type == FileType::kRegular) return content_of(path) == node.content ? "" : path.string() + ": content";
  if (node.type == FileType::kSymlink) {
    return fs::read_symlink(path).string() == node.content ? "" : path.string() + ": target";
  }
  if (node.type != FileType::kDirectory) return "";
  std::size_t names = 0;
  std::uint32_t links = 2;
  for (const auto& entry : fs::directory_iterator(path)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("kernel")) {
      links += entry.symlink_status().type() == fs::file_type::directory ? 1 : 0;
      continue;
    }
    const auto found = node.names.find(name);
    if (found == node.names.end()) return entry.path().string() + ": ought not to be there";
    ++names;
    links += found->second->type == FileType::kDirectory ? 1 : 0;
    std::string below = mounted_difference(entry.path(), *found->second);
    if (!below.empty()) return below;
  }
  if (names != node.names.size()) return path.string() + ": names are missing";
  return status.st_nlink == links ? "" : path.string() + ": links";
}

// Where a file has data, as pairs of begin and end: what was allocated and never written is a hole for both.
using DataMap = std::map<InodeNumber, std::vector<std::pair<std::uint64_t, std::uint64_t>>>;

void collect_data(Filesystem& filesystem, const ModelNode& node, DataMap& all) {
  for (const auto& [name, child] : node.names) collect_data(filesystem, *child, all);
  if (node.type != FileType::kRegular) return;
  auto& data = all[node.ino];
  data.clear();
  for (auto begin = filesystem.next_data({.ino = node.ino}); begin;) {
    const std::uint64_t end = *filesystem.next_hole({node.ino, *begin});
    data.emplace_back(*begin, end);
    begin = filesystem.next_data({node.ino, end});
  }
}

// The first file of which a mount says otherwise. To be called before anything is read, as pages are data to a kernel.
std::string data_difference(const fs::path& path, const ModelNode& node, const DataMap& expected) {
  for (const auto& [name, child] : node.names) {
    std::string below = data_difference(path / name, *child, expected);
    if (!below.empty()) return below;
  }
  if (node.type != FileType::kRegular) return "";
  DataMap::mapped_type found;
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  for (off_t begin = ::lseek(file, 0, SEEK_DATA); begin >= 0;) {
    const off_t end = ::lseek(file, begin, SEEK_HOLE);
    found.emplace_back(begin, end);
    begin = ::lseek(file, end, SEEK_DATA);
  }
  ::close(file);
  return found == expected.at(node.ino) ? "" : path.string() + ": data lies elsewhere";
}

// What the kernel does between two rounds: files of its own, and changes of those of the round before.
void kernel_work(const fs::path& root, int round) {
  const fs::path own = root / fmt::format("kernel{}", round);
  fs::create_directories(own / "below");
  for (int i = 0; i < 300; ++i) {
    write_content(own / fmt::format("file{}", i),
                  std::string(static_cast<std::size_t>(i) * 37, static_cast<char>('A' + i % 26)));
    if (i % 5 == 0) fs::create_hard_link(own / fmt::format("file{}", i), own / "below" / fmt::format("link{}", i));
    if (i % 7 == 0) fs::rename(own / fmt::format("file{}", i), own / "below" / fmt::format("moved{}", i));
    if (i % 11 == 3) fs::remove(own / fmt::format("file{}", i));
  }
  for (const auto& entry : fs::directory_iterator(own)) {
    if (entry.is_regular_file()) ::setxattr(entry.path().c_str(), "user.kernel", "seen", 4, 0);
  }
}

class FilesystemKernel : public ::testing::TestWithParam<KernelCase> {
 protected:
  void format() {
    const auto device = open_device(
        image_,
        {.mode = OpenMode::kReadWrite, .io = IoChoice::kUring, .create_size_bytes = GetParam().volume.size_bytes});
    const mkfs::Plan plan = mkfs::make_plan(format_request(GetParam().volume), mkfs::DeviceFacts::of(*device));
    mkfs::format_device(*device, plan, {});
  }
  void judge(const fs::path& image) const {
    {
      const auto device = open_device(image, {});
      ASSERT_EQ(WrittenVolume::problems_of(*device), "");
    }
    if (!GetParam().repair_knows) return;
    const RepairVerdict verdict = xfs_repair_check(image);
    ASSERT_TRUE(verdict.clean) << verdict.output;
  }

  TempDir folder_{memory_temp_parent()};
  fs::path image_ = folder_.path("image");
};

// Of more geometries, which the kernel replays no differently.
class FilesystemTurns : public FilesystemKernel {};

TEST_P(FilesystemTurns, TakesTurnsWithTheKernel) {
  XDAX_NEED_KERNEL_XFS();
  XDAX_NEED_XFSPROGS();
  format();
  std::unique_ptr<RandomWork> work;
  DataMap data;
  std::size_t holes = 0;
  for (int round = 0; round < 4; ++round) {
    SCOPED_TRACE(fmt::format("round {}", round));
    {
      const auto device = open_device(image_, {.mode = OpenMode::kReadWrite, .io = IoChoice::kUring});
      const auto filesystem = Filesystem::open(*device, {});
      if (!work) work = std::make_unique<RandomWork>(*filesystem, 21);
      work->use(*filesystem);
      for (int i = 0; i < 600; ++i) {
        work->step();
        if (i % 60 == 0) filesystem->sync();
      }
      if (round > 0) {
        // What the kernel made is read, changed and taken away here.
        const std::string own = fmt::format("/kernel{}", round - 1);
        const auto walk = [&](const std::string& path) {
          return filesystem->read([&](const Volume& volume) { return volume.walk(path, Follow::kNo); });
        };
        const InodeNumber below = walk(own + "/below");
        for (int i = 0; i < 300; i += 7) {
          const std::string text(static_cast<std::size_t>(i) * 37, static_cast<char>('A' + i % 26));
          const InodeNumber ino = walk(own + fmt::format("/below/moved{}", i));
          std::string found(text.size() + 1, '\0');
          ASSERT_EQ(filesystem->read(ino, 0, std::as_writable_bytes(std::span(found))), text.size());
          ASSERT_EQ(found.substr(0, text.size()), text);
          filesystem->write(ino, 5000, std::as_bytes(std::span(text).first(std::min<std::size_t>(text.size(), 9))));
          filesystem->unlink(below, fmt::format("moved{}", i));
        }
        for (int i = 1; i < 300; i += 3) {
          try {
            filesystem->unlink(walk(own), fmt::format("file{}", i));
          } catch (const RefusalError& refusal) {
            ASSERT_EQ(refusal.cause(), Errc::kNotFound);
          }
        }
      }
      collect_data(*filesystem, work->root(), data);
      for (const auto& [ino, each] : data) holes += each.size() > 1 ? 1 : 0;
      filesystem->close();
    }
    judge(image_);
    {
      const LoopDevice loop(image_);
      Mount mount(loop.path());
      ASSERT_EQ(data_difference(mount.path(), work->root(), data), "");
      ASSERT_EQ(mounted_difference(mount.path(), work->root()), "");
      kernel_work(mount.path(), round);
      mount.unmount();
    }
    judge(image_);
  }
  EXPECT_GT(holes, 10u);
}

// A power cut at some barrier, with what was under way lost, torn and out of order; the kernel replays it.
TEST_P(FilesystemKernel, ReplaysWhatAPowerCutLeaves) {
  XDAX_NEED_KERNEL_XFS();
  XDAX_NEED_XFSPROGS();
  format();
  const fs::path before = folder_.path("before");
  run_or_throw({"cp", "--sparse=always", image_.string(), before.string()});
  struct Synced {
    std::size_t events = 0;
    std::string name, content;
  };
  std::vector<Synced> synced;
  Trace trace;
  {
    const auto device = open_device(image_, {.mode = OpenMode::kReadWrite, .io = IoChoice::kUring});
    RecordingDevice recorder(*device);
    const auto filesystem = Filesystem::open(recorder, {});
    RandomWork work(*filesystem, 5);
    work.max_file_bytes = 40'000;
    const InodeNumber kept = filesystem->make_directory(filesystem->root(), "kept", {.mode = 0755});
    for (int round = 0; round < 10; ++round) {
      for (int i = 0; i < 40; ++i) work.step();
      const std::string name = "round" + std::to_string(round);
      const std::string content(2000 + static_cast<std::size_t>(round) * 900, static_cast<char>('a' + round));
      const InodeNumber ino = filesystem->create(kept, name, {});
      filesystem->write(ino, 0, std::as_bytes(std::span(content)));
      filesystem->sync();
      synced.push_back({.events = recorder.event_count(), .name = name, .content = content});
    }
    trace = recorder.take_trace();
  }
  const fs::path cut_image = folder_.path("cut");
  constexpr std::uint64_t kStates = 80;
  for (std::uint64_t i = 0; i < kStates; ++i) {
    const std::size_t cut = 1 + i * trace.events().size() / kStates;
    const CrashState state = trace.random_state(cut, i);
    SCOPED_TRACE(fmt::format("cut {}: {}", cut, state.describe()));
    run_or_throw({"cp", "--sparse=always", before.string(), cut_image.string()});
    {
      const auto device = open_device(cut_image, {.mode = OpenMode::kReadWrite, .io = IoChoice::kUring});
      trace.build(state, *device);
    }
    {
      const LoopDevice loop(cut_image);
      Mount mount(loop.path());
      for (const Synced& each : synced) {
        if (each.events > cut) break;
        ASSERT_EQ(content_of(mount.path("kept") / each.name), each.content) << each.name;
      }
      mount.unmount();
    }
    if (i % 4 != 0) {
      const auto device = open_device(cut_image, {});
      ASSERT_EQ(WrittenVolume::problems_of(*device), "");
      continue;
    }
    judge(cut_image);
    // The same by libfs, for xfs_repair to judge.
    run_or_throw({"cp", "--sparse=always", before.string(), cut_image.string()});
    {
      const auto device = open_device(cut_image, {.mode = OpenMode::kReadWrite, .io = IoChoice::kUring});
      trace.build(state, *device);
      ASSERT_TRUE(recover(*device, open_geometry_to_write(*device)).complete());
    }
    judge(cut_image);
  }
}

const std::vector<KernelCase> kCases = {
    {.volume = {.name = "4k", .size_bytes = 320u << 20}},
    {.volume = {.name = "1k", .block_bytes = 1024, .size_bytes = 320u << 20}},
    {.volume = {.name = "1k_plain", .block_bytes = 1024, .rmapbt = false, .reflink = false, .size_bytes = 320u << 20}},
    {.volume = {.name = "2k_inodes", .size_bytes = 320u << 20, .inode_bytes = 2048}},
    {.volume = {.name = "4k_parent", .parent = true, .size_bytes = 320u << 20}, .repair_knows = false},
};

const std::vector<KernelCase> kMoreCases = {
    {.volume = {.name = "2k", .block_bytes = 2048, .size_bytes = 320u << 20}},
    {.volume = {.name = "16k", .block_bytes = 16384, .size_bytes = 1u << 30, .ag_count = 2}},
    {.volume = {.name = "64k", .block_bytes = 65536, .size_bytes = 2u << 30}},
    {.volume = {.name = "16_groups", .size_bytes = 512u << 20, .ag_count = 16}},
    {.volume = {.name = "old_features",
                .rmapbt = false,
                .reflink = false,
                .size_bytes = 320u << 20,
                .more =
                    [](mkfs::FormatRequest& request) {
                      request.finobt = false;
                      request.inobtcount = false;
                      request.sparse = false;
                      request.bigtime = false;
                      request.nrext64 = false;
                    }}},
    {.volume = {.name = "dir_8k",
                .block_bytes = 1024,
                .size_bytes = 320u << 20,
                .more = [](mkfs::FormatRequest& request) { request.directory_block_bytes = 8192; }}},
    {.volume = {.name = "striped",
                .size_bytes = 320u << 20,
                .more =
                    [](mkfs::FormatRequest& request) {
                      request.stripe_unit_bytes = 64u << 10;
                      request.stripe_width_units = 2;
                      request.log_stripe_bytes = 64u << 10;
                    }}},
    {.volume = {.name = "sector_4k",
                .size_bytes = 320u << 20,
                .more = [](mkfs::FormatRequest& request) { request.sector_bytes = 4096; }}},
    {.volume = {.name = "hints",
                .size_bytes = 320u << 20,
                .more =
                    [](mkfs::FormatRequest& request) {
                      request.extent_size_inherit_blocks = 4;
                      request.cow_extent_size_blocks = 8;
                    }}},
};

std::string name_of(const ::testing::TestParamInfo<KernelCase>& each) { return each.param.volume.name; }

INSTANTIATE_TEST_SUITE_P(Geometries, FilesystemKernel, ::testing::ValuesIn(kCases), name_of);
INSTANTIATE_TEST_SUITE_P(Geometries, FilesystemTurns, ::testing::ValuesIn(kCases), name_of);
INSTANTIATE_TEST_SUITE_P(MoreGeometries, FilesystemTurns, ::testing::ValuesIn(kMoreCases), name_of);

}  // namespace
}  // namespace xdax::test

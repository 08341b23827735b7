// Directory blocks that a kernel had to make of several pieces, because there was no room for them in one: libfs
// changes such a directory, and the kernel finds in it what it ought to.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "libfs/volume/filesystem.h"
#include "tests/support/loop_device.h"
#include "tests/support/mount.h"
#include "tests/support/oracle.h"
#include "tests/support/temp_dir.h"
#include "tests/support/written_volume.h"
#include "tests/support/xfs_repair.h"

namespace xdax::test {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kBlock = 1024;
constexpr std::uint32_t kPieces = 8;

class DirectoryPiecesKernel : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    XDAX_NEED_KERNEL_XFS();
    XDAX_NEED_XFSPROGS();
    // Without what groups keep back for trees, which is in one piece.
    const VolumeCase volume{.name = "dir_8k",
                            .block_bytes = kBlock,
                            .rmapbt = false,
                            .reflink = false,
                            .size_bytes = 96u << 20,
                            .ag_count = 2,
                            .more = [](mkfs::FormatRequest& request) {
                              request.directory_block_bytes = kPieces * kBlock;
                              request.finobt = false;
                              request.inobtcount = false;
                            }};
    const auto device = open_device(
        image_, {.mode = OpenMode::kReadWrite, .io = IoChoice::kUring, .create_size_bytes = volume.size_bytes});
    mkfs::format_device(*device, mkfs::make_plan(format_request(volume), mkfs::DeviceFacts::of(*device)), {});
  }
  template <class Use>
  void mounted(const Use& use) {
    const LoopDevice loop(image_);
    Mount mount(loop.path());
    use(mount.path());
    mount.unmount();
  }
  void judge() {
    {
      const auto device = open_device(image_, {});
      EXPECT_EQ(WrittenVolume::problems_of(*device), "");
    }
    const RepairVerdict verdict = xfs_repair_check(image_);
    EXPECT_TRUE(verdict.clean) << verdict.output;
  }
  static std::set<std::string> names_in(const fs::path& folder) {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename());
    return names;
  }

  TempDir folder_{memory_temp_parent()};
  fs::path image_ = folder_.path("image");
};

TEST_P(DirectoryPiecesKernel, AreChanged) {
  std::set<std::string> names;
  mounted([&](const fs::path& root) {
    fs::create_directory(root / "folder");
    std::ofstream(root / "file") << "text";
    // All space in files, of which pieces of two blocks go; and some that comes back in one piece at the end.
    const int spare = ::open((root / "spare").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    ASSERT_EQ(::fallocate(spare, 0, 0, 8 << 20), 0);
    ::close(spare);
    const auto fill = [&](const char* name) {
      const int file = ::open((root / name).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
      off_t size = 0;
      for (off_t length = 16 << 20; length >= static_cast<off_t>(kBlock);) {
        if (::fallocate(file, 0, size, length) == 0) {
          size += length;
        } else {
          length /= 2;
        }
      }
      return std::pair(file, size);
    };
    const auto punch = [](int file, off_t from, off_t to) {
      for (off_t at = from; at + 2048 <= to; at += 4096) {
        ASSERT_EQ(::fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, 2048), 0);
      }
    };
    // What the kernel keeps back is in one piece first, and in the pieces of the first half behind the second filler.
    const auto [filler, size] = fill("filler");
    punch(filler, 0, size / 2);
    const auto [second, second_size] = fill("second");
    punch(filler, size / 2, size);
    ::close(filler);
    ::close(second);
    for (int i = 0; i < GetParam(); ++i) {
      const std::string name = fmt::format("a name of some length {}", i);
      fs::create_hard_link(root / "file", root / "folder" / name);
      names.insert(name);
    }
    fs::remove(root / "spare");
  });
  judge();
  {
    const auto device = open_device(image_, {.mode = OpenMode::kReadWrite, .io = IoChoice::kUring});
    const auto filesystem = Filesystem::open(*device, {});
    const auto walk = [&](const char* path) {
      return filesystem->read([&](const Volume& volume) { return volume.walk(path, Follow::kNo); });
    };
    const InodeNumber folder = walk("/folder"), file = walk("/file");
    const auto pieces = [&] {
      return filesystem->read([&](const Volume& volume) {
        std::uint64_t count = 0;
        ExtentMap map = volume.extents(folder, Fork::kData);
        for (auto extent = map.next(FileBlock(0)); extent;
             extent = map.next(extent->file_block + extent->length_blocks)) {
          count += extent->length_blocks % kPieces != 0 ? 1 : 0;
        }
        return count;
      });
    };
    ASSERT_GT(pieces(), 1u) << "the kernel found room";
    for (int i = 0; i < GetParam(); ++i) {
      const std::string name = fmt::format("a name of some length {}", i);
      if (i % 3 == 0) {
        filesystem->unlink(folder, name);
        names.erase(name);
      } else if (i % 3 == 1) {
        filesystem->rename(folder, name, folder, "renamed " + name, RenameMode::kNoReplace);
        names.erase(name);
        names.insert("renamed " + name);
      }
      if (i % 4 == 0) {
        filesystem->link(file, folder, "fresh " + name);
        names.insert("fresh " + name);
      }
      if (i % 50 == 0) filesystem->sync();
    }
    EXPECT_EQ(pieces(), 0u);
    filesystem->close();
  }
  judge();
  mounted([&](const fs::path& root) {
    EXPECT_EQ(names_in(root / "folder"), names);
    fs::remove_all(root / "folder");
  });
  judge();
}

INSTANTIATE_TEST_SUITE_P(Names, DirectoryPiecesKernel, ::testing::Values(60, 400, 4000));

}  // namespace
}  // namespace xdax::test

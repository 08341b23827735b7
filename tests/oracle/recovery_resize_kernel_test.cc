// A kernel shut down behind a change of size: the log holds the new size and work in the new groups. Replayed by us and
// by a mount, the same filesystem; on a device that is too small by now, a refusal.
#include <gtest/gtest.h>

#include <fstream>

#include "libfs/base/error.h"
#include "libfs/device/overlay_device.h"
#include "libfs/recovery/recovery.h"
#include "libfs/volume/volume.h"
#include "tests/oracle/recovery_compare.h"
#include "tests/support/loop_device.h"
#include "tests/support/mount.h"
#include "tests/support/oracle.h"
#include "tests/support/temp_dir.h"

namespace xdax::test {
namespace {

struct Resize {
  const char* name;
  std::string before;                ///< as mkfs.xdax takes it
  std::vector<std::string> options;  ///< of xfs_growfs
  std::uint64_t groups;              ///< afterwards
};
std::ostream& operator<<(std::ostream& out, const Resize& each) { return out << each.name; }

class RecoveryResizeKernel : public ::testing::TestWithParam<Resize> {
 protected:
  void SetUp() override {
    XDAX_NEED_KERNEL_XFS();
    XDAX_NEED_XFSPROGS();
  }

  void leave_log() {
    run_or_throw({program_path("mkfs.xdax"), "-q", "-d", "agcount=4,size=" + GetParam().before, image_.string()});
    const LoopDevice loop(image_);
    Mount mount(loop.path());
    const auto work = [&](const std::string& stem) {
      for (int i = 0; i < 120; ++i) {
        std::filesystem::create_directory(mount.path(stem + std::to_string(i)));
        std::ofstream(mount.path(stem + std::to_string(i)) / "file") << stem << i;
      }
    };
    work("before");
    std::vector<std::string> grow = {"xfs_growfs"};
    grow.insert(grow.end(), GetParam().options.begin(), GetParam().options.end());
    grow.push_back(mount.path().string());
    run_or_throw(grow);
    work("behind");
    mount.shut_down(true);
  }

  TempDir dir_{memory_temp_parent()};
  std::filesystem::path image_ = dir_.sparse_file("image", 900ull << 20);
  std::filesystem::path theirs_ = dir_.path() / "theirs";
};

TEST_P(RecoveryResizeKernel, TheSizeInTheLogIsThatOfTheFilesystem) {
  leave_log();
  run_or_throw({"cp", "--sparse=always", image_.string(), theirs_.string()});
  {
    const LoopDevice loop(theirs_);
    Mount mount(loop.path());
    mount.unmount();
  }
  {
    const auto device = open_device(image_.string(), {.mode = OpenMode::kReadWrite});
    const RecoveryReport report = recover(*device, open_geometry_to_write(*device));
    ASSERT_TRUE(report.complete());
    ASSERT_TRUE(report.resized);
    EXPECT_EQ(report.resized->ag_count, GetParam().groups);
  }
  expect_sound(image_);
  EXPECT_EQ(tree_of(image_), tree_of(theirs_));
  const auto superblocks = [&](const std::filesystem::path& image) {
    std::string all;
    for (std::uint64_t i = 0; i < GetParam().groups; ++i) {
      all +=
          run_or_throw({"xfs_db", "-r", "-c", "sb " + std::to_string(i), "-c", "print dblocks agcount", image.string()})
              .out;
    }
    return all;
  };
  EXPECT_EQ(superblocks(image_), superblocks(theirs_));
  const LoopDevice loop(image_);
  Mount mount(loop.path());
  EXPECT_TRUE(std::filesystem::exists(mount.path("behind119") / "file"));
}

class RecoveryGrowthKernel : public RecoveryResizeKernel {};

TEST_P(RecoveryGrowthKernel, ADeviceThatIsTooSmallByNowIsRefused) {
  leave_log();
  const std::uint64_t before = [&] {
    const auto device = open_device(image_.string(), {.mode = OpenMode::kRead});
    return open_geometry_to_write(*device).data_blocks << 12;
  }();
  std::filesystem::resize_file(image_, before);
  const auto device = open_device(image_.string(), {.mode = OpenMode::kRead});
  OverlayDevice overlay(*device);
  try {
    static_cast<void>(recover(overlay, open_geometry_to_write(*device)));
    FAIL() << "not refused";
  } catch (const RefusalError& refusal) {
    EXPECT_EQ(refusal.cause(), Errc::kOutOfRange) << refusal.what();
  }
  EXPECT_TRUE(overlay.changed_ranges().empty());
}

const Resize kGroups{"groups", "320m", {}, 12};
const Resize kLastGroup{"in_the_last_group", "630m", {"-D", "163800"}, 5};
const Resize kShrunk{"shrunk", "800m", {"-D", "190000"}, 4};
std::string name_of(const ::testing::TestParamInfo<Resize>& each) { return each.param.name; }

INSTANTIATE_TEST_SUITE_P(Sizes, RecoveryResizeKernel, ::testing::Values(kGroups, kLastGroup, kShrunk), name_of);
INSTANTIATE_TEST_SUITE_P(Sizes, RecoveryGrowthKernel, ::testing::Values(kGroups, kLastGroup), name_of);

}  // namespace
}  // namespace xdax::test

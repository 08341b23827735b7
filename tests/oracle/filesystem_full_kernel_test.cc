// A filesystem that is full, filled by libfs or by the kernel: what was preallocated can be written all the same, by
// the other one too (generic/274), and everything can be taken away again.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "libfs/base/error.h"
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

constexpr std::uint64_t kPrepared = 8u << 20;
constexpr std::uint64_t kPiece = 64u << 10;

class FilesystemFullKernel : public ::testing::TestWithParam<VolumeCase> {
 protected:
  void SetUp() override {
    XDAX_NEED_KERNEL_XFS();
    XDAX_NEED_XFSPROGS();
    device_ = open_device(
        image_, {.mode = OpenMode::kReadWrite, .io = IoChoice::kUring, .create_size_bytes = GetParam().size_bytes});
    mkfs::format_device(*device_, mkfs::make_plan(format_request(GetParam()), mkfs::DeviceFacts::of(*device_)), {});
  }
  std::unique_ptr<Filesystem> open() {
    if (!device_) device_ = open_device(image_, {.mode = OpenMode::kReadWrite, .io = IoChoice::kUring});
    return Filesystem::open(*device_, {});
  }
  void judge() {
    device_.reset();
    {
      const auto device = open_device(image_, {});
      EXPECT_EQ(WrittenVolume::problems_of(*device), "");
    }
    const RepairVerdict verdict = xfs_repair_check(image_);
    EXPECT_TRUE(verdict.clean) << verdict.output;
  }
  template <class Use>
  void mounted(const Use& use) {
    device_.reset();
    const LoopDevice loop(image_);
    Mount mount(loop.path());
    use(mount.path());
    mount.unmount();
  }

  // Every other piece first, so that the map needs blocks of its own.
  static void kernel_writes_prepared(const fs::path& path) {
    const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    ASSERT_GE(file, 0);
    const std::string text(4096, 'k');
    for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{4096}}) {
      for (std::uint64_t at = first; at < kPrepared; at += 8192) {
        ASSERT_EQ(::pwrite(file, text.data(), text.size(), static_cast<off_t>(at)), 4096) << at;
      }
      ASSERT_EQ(::fsync(file), 0);
    }
    ::close(file);
  }
  static void libfs_writes_prepared(Filesystem& filesystem, InodeNumber ino) {
    const std::string text(4096, 'l');
    for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{4096}}) {
      for (std::uint64_t at = first; at < kPrepared; at += 8192) {
        filesystem.write(ino, at, std::as_bytes(std::span(text)));
      }
      filesystem.sync();
    }
  }
  static InodeNumber at(Filesystem& filesystem, const char* path) {
    return filesystem.read([&](const Volume& volume) { return volume.walk(path, Follow::kNo); });
  }

  TempDir folder_{memory_temp_parent()};
  fs::path image_ = folder_.path("image");
  std::unique_ptr<Device> device_;
};

// Writes until there is no space; returns how many bytes.
std::uint64_t libfs_fills(Filesystem& filesystem, InodeNumber ino) {
  const std::string text(kPiece, 'f');
  std::uint64_t done = 0;
  for (std::uint64_t piece = kPiece; piece >= 1024; piece /= 4) {
    try {
      for (;; done += piece) filesystem.write(ino, done, std::as_bytes(std::span(text)).first(piece));
    } catch (const RefusalError& refusal) {
      EXPECT_EQ(refusal.cause(), Errc::kNoSpace) << refusal.what();
    }
  }
  return done;
}

TEST_P(FilesystemFullKernel, FilledByLibfsTheKernelWritesWhatWasPreallocated) {
  {
    const auto filesystem = open();
    const InodeNumber root = filesystem->root();
    filesystem->allocate(filesystem->create(root, "prepared", {}), 0, kPrepared, FileWriter::Grow::kYes);
    filesystem->allocate(filesystem->create(root, "ours", {}), 0, kPrepared, FileWriter::Grow::kYes);
    EXPECT_GT(libfs_fills(*filesystem, filesystem->create(root, "filler", {})), 100u << 20);
    libfs_writes_prepared(*filesystem, at(*filesystem, "/ours"));
    filesystem->close();
  }
  judge();
  mounted([&](const fs::path& root) {
    kernel_writes_prepared(root / "prepared");
    fs::remove(root / "filler");
    fs::remove(root / "ours");
  });
  judge();
  const auto filesystem = open();
  std::string text(kPrepared, '\0');
  ASSERT_EQ(filesystem->read(at(*filesystem, "/prepared"), 0, std::as_writable_bytes(std::span(text))), kPrepared);
  EXPECT_EQ(text, std::string(kPrepared, 'k'));
  filesystem->close();
}

TEST_P(FilesystemFullKernel, FilledByTheKernelLibfsWritesWhatWasPreallocated) {
  mounted([&](const fs::path& root) {
    const int file = ::open((root / "prepared").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    ASSERT_EQ(::fallocate(file, 0, 0, static_cast<off_t>(kPrepared)), 0);
    ::close(file);
    const int filler = ::open((root / "filler").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    const std::string text(kPiece, 'f');
    for (std::size_t piece = kPiece; piece >= 1024; piece /= 4) {
      while (::write(filler, text.data(), piece) == static_cast<ssize_t>(piece)) continue;
      ASSERT_EQ(::fsync(filler), 0);
    }
    ::close(filler);
  });
  judge();
  {
    const auto filesystem = open();
    libfs_writes_prepared(*filesystem, at(*filesystem, "/prepared"));
    // What space the kernel left for itself libfs leaves too.
    const std::uint64_t more = libfs_fills(*filesystem, filesystem->create(filesystem->root(), "more", {}));
    EXPECT_LT(more, 4u << 20);
    filesystem->close();
  }
  judge();
  {
    const auto filesystem = open();
    filesystem->unlink(filesystem->root(), "filler");
    filesystem->unlink(filesystem->root(), "more");
    filesystem->close();
  }
  judge();
  mounted([&](const fs::path& root) {
    std::string text(kPrepared, '\0');
    const int file = ::open((root / "prepared").c_str(), O_RDONLY | O_CLOEXEC);
    ASSERT_EQ(::read(file, text.data(), text.size()), static_cast<ssize_t>(kPrepared));
    ::close(file);
    EXPECT_EQ(text, std::string(kPrepared, 'l'));
  });
}

INSTANTIATE_TEST_SUITE_P(
    Geometries, FilesystemFullKernel,
    ::testing::Values(VolumeCase{.name = "4k", .size_bytes = 320u << 20},
                      VolumeCase{.name = "1k", .block_bytes = 1024, .size_bytes = 320u << 20},
                      VolumeCase{.name = "4k_plain", .rmapbt = false, .reflink = false, .size_bytes = 320u << 20},
                      VolumeCase{.name = "16_groups", .size_bytes = 512u << 20, .ag_count = 16}),
    [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace xdax::test

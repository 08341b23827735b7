// The kernel as judge of flags, hints, projects and access control lists: what it sees of those that libfs sets, and
// what it gives a new file where libfs gives one the same.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <vector>

#include "libfs/device/device.h"
#include "libfs/volume/filesystem.h"
#include "tests/support/loop_device.h"
#include "tests/support/mount.h"
#include "tests/support/oracle.h"
#include "tests/support/temp_dir.h"
#include "tests/support/written_volume.h"

namespace xdax::test {
namespace {

namespace fs = std::filesystem;
using enum AclTag;

const std::vector<AclEntry> kList{{kUserObject, 0, 7}, {kUser, 5, 6}, {kGroupObject, 0, 5},
                                  {kGroup, 9, 4},      {kMask, 0, 6}, {kOther, 0, 1}};

// As the kernel shows a list: little-endian, a version first.
std::string shown(const std::vector<AclEntry>& entries) {
  std::string bytes;
  const auto put = [&](std::uint32_t value, int count) {
    for (int i = 0; i < count; ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
  };
  put(2, 4);
  for (const AclEntry& entry : entries) {
    put(static_cast<std::uint32_t>(entry.tag), 2);
    put(entry.permissions, 2);
    put(entry.tag == kUser || entry.tag == kGroup ? entry.id : ~0u, 4);
  }
  return bytes;
}

std::string kernel_acl(const fs::path& path, const char* name) {
  std::string value(4096, '\0');
  const ssize_t size = ::lgetxattr(path.c_str(), name, value.data(), value.size());
  return size < 0 ? "" : value.substr(0, static_cast<std::size_t>(size));
}

class FilesystemFlagsKernel : public ::testing::Test {
 protected:
  void format() {
    device_ = open_device(image_, {.mode = OpenMode::kReadWrite, .io = IoChoice::kUring, .create_size_bytes = kSize});
    const mkfs::Plan plan =
        mkfs::make_plan(format_request({.name = "4k", .size_bytes = kSize}), mkfs::DeviceFacts::of(*device_));
    mkfs::format_device(*device_, plan, {});
  }
  std::unique_ptr<Filesystem> open() {
    if (!device_) device_ = open_device(image_, {.mode = OpenMode::kReadWrite, .io = IoChoice::kUring});
    return Filesystem::open(*device_, {});
  }
  template <class Use>
  void mounted(const Use& use) {
    device_.reset();
    const LoopDevice loop(image_);
    Mount mount(loop.path());
    use(mount.path());
    mount.unmount();
  }
  void judge() {
    device_.reset();
    const auto device = open_device(image_, {});
    EXPECT_EQ(WrittenVolume::problems_of(*device), "");
  }

  static constexpr std::uint64_t kSize = 320u << 20;
  TempDir folder_;
  fs::path image_ = folder_.path("image");
  std::unique_ptr<Device> device_;
};

TEST_F(FilesystemFlagsKernel, ANewFileIsAsTheKernelMakesIt) {
  XDAX_NEED_KERNEL_XFS();
  format();
  const std::vector<std::pair<std::string, std::uint16_t>> parents{
      {"plain", 0},
      {"flags", inode_flags::kNoDump | inode_flags::kNoAtime | inode_flags::kSync | inode_flags::kNoDefrag},
      {"symlinks", inode_flags::kNoSymlinks},
      {"hints", 0},
      {"project", inode_flags::kNoDump},
      {"group", 0},
      {"list", 0},
      {"all", inode_flags::kSync}};
  constexpr const char* kTypes[] = {"file", "folder", "link", "fifo"};
  {
    const auto filesystem = open();
    for (const auto& [name, flags] : parents) {
      const bool all = name == "all";
      const InodeNumber folder = filesystem->make_directory(
          filesystem->root(), name, {.mode = name == "group" || all ? 02775u : 0755u, .gid = 50});
      if (name == "hints" || all) {
        filesystem->set_extent_size_hint(folder, 16u << 10);
        filesystem->set_copy_size_hint(folder, 32u << 10);
      }
      if (name == "project" || all) filesystem->set_project(folder, 70'000, true);
      if (name == "list" || all) filesystem->set_acl(folder, AclKind::kDefault, kList);
      if (flags != 0) filesystem->set_flags(folder, flags, false);
      filesystem->create(folder, "our_file", {.mode = 0666});
      filesystem->make_directory(folder, "our_folder", {.mode = 0777});
      if (name != "symlinks") filesystem->make_symlink(folder, "our_link", "target", {});
      filesystem->make_node(folder, "our_fifo", FileType::kFifo, 0, {.mode = 0666});
    }
    filesystem->close();
  }
  mounted([&](const fs::path& root) {
    const mode_t mask = ::umask(0);
    for (const auto& [name, flags] : parents) {
      const fs::path folder = root / name;
      const int file = ::open((folder / "their_file").c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
      EXPECT_GE(file, 0);
      ::close(file);
      EXPECT_EQ(::mkdir((folder / "their_folder").c_str(), 0777), 0);
      EXPECT_EQ(::mkfifo((folder / "their_fifo").c_str(), 0666), 0);
      EXPECT_EQ(::symlink("target", (folder / "their_link").c_str()), name == "symlinks" ? -1 : 0) << name;
      for (const char* type : kTypes) {
        for (const char* list : {"system.posix_acl_access", "system.posix_acl_default"}) {
          EXPECT_EQ(kernel_acl(folder / (std::string("our_") + type), list),
                    kernel_acl(folder / (std::string("their_") + type), list))
              << name << " " << type << " " << list;
        }
      }
    }
    ::umask(mask);
  });
  const auto filesystem = open();
  for (const auto& [name, flags] : parents) {
    for (const char* type : kTypes) {
      if (name == "symlinks" && std::string_view(type) == "link") continue;
      SCOPED_TRACE(name + " " + type);
      const auto core = [&](const char* whose) {
        return filesystem->read([&](const Volume& volume) {
          return InodeCore(volume.inode(volume.walk("/" + name + "/" + whose + type, Follow::kNo)).core());
        });
      };
      const InodeCore ours = core("our_"), theirs = core("their_");
      EXPECT_EQ(ours.mode, theirs.mode);
      EXPECT_EQ(ours.gid, theirs.gid);
      EXPECT_EQ(ours.flags, theirs.flags);
      EXPECT_EQ(ours.flags2, theirs.flags2);
      EXPECT_EQ(ours.extsize, theirs.extsize);
      EXPECT_EQ(ours.cowextsize, theirs.cowextsize);
      EXPECT_EQ(ours.projid(), theirs.projid());
    }
  }
  filesystem->close();
  judge();
}

TEST_F(FilesystemFlagsKernel, ListsAreSeenBothWays) {
  XDAX_NEED_KERNEL_XFS();
  format();
  {
    const auto filesystem = open();
    filesystem->set_acl(filesystem->create(filesystem->root(), "file", {}), AclKind::kAccess, kList);
    filesystem->close();
  }
  const std::vector<AclEntry> other{
      {kUserObject, 0, 6}, {kUser, 1234567, 7}, {kGroupObject, 0, 0}, {kMask, 0, 7}, {kOther, 0, 4}};
  mounted([&](const fs::path& root) {
    EXPECT_EQ(kernel_acl(root / "file", "system.posix_acl_access"), shown(kList));
    EXPECT_EQ(fs::status(root / "file").permissions(), fs::perms(0761));
    fs::create_directory(root / "folder");
    for (const char* name : {"system.posix_acl_access", "system.posix_acl_default"}) {
      const std::string value = shown(other);
      EXPECT_EQ(::setxattr((root / "folder").c_str(), name, value.data(), value.size(), 0), 0);
    }
  });
  const auto filesystem = open();
  const InodeNumber folder = filesystem->read([](const Volume& volume) { return volume.walk("/folder", Follow::kNo); });
  EXPECT_EQ(filesystem->acl(folder, AclKind::kAccess), other);
  EXPECT_EQ(filesystem->acl(folder, AclKind::kDefault), other);
  filesystem->close();
  judge();
}

TEST_F(FilesystemFlagsKernel, HintsAndSharedBlocksAreSeenAndFollowed) {
  XDAX_NEED_KERNEL_XFS();
  format();
  const std::string content(64u << 10, 'a');
  {
    const auto filesystem = open();
    const InodeNumber root = filesystem->root();
    const InodeNumber one = filesystem->create(root, "one", {});
    filesystem->write(one, 0, std::as_bytes(std::span(content)));
    const InodeNumber two = filesystem->create(root, "two", {});
    filesystem->share({.ino = one}, {.ino = two, .offset_bytes = 4096}, 0);
    filesystem->set_copy_size_hint(two, 16u << 10);
    const InodeNumber hinted = filesystem->create(root, "hinted", {});
    filesystem->set_extent_size_hint(hinted, 64u << 10);
    filesystem->write(hinted, 5000, std::as_bytes(std::span("x", 1)));
    filesystem->set_project(hinted, 99, false);
    filesystem->close();
  }
  mounted([&](const fs::path& root) {
    for (const char* name : {"one", "two"}) {
      std::vector<std::byte> buffer(sizeof(struct fiemap) + 4 * sizeof(struct fiemap_extent));
      auto& map = *reinterpret_cast<struct fiemap*>(buffer.data());
      map.fm_length = ~0ull;
      map.fm_extent_count = 4;
      const int file = ::open((root / name).c_str(), O_RDWR | O_CLOEXEC);
      EXPECT_EQ(::ioctl(file, FS_IOC_FIEMAP, &map), 0);
      EXPECT_EQ(map.fm_mapped_extents, 1u);
      EXPECT_NE(map.fm_extents[0].fe_flags & FIEMAP_EXTENT_SHARED, 0u) << name;
      if (std::string_view(name) == "two") {
        EXPECT_EQ(::lseek(file, 0, SEEK_DATA), 4096);
        EXPECT_EQ(::pwrite(file, "kernel", 6, 8192), 6);
      }
      ::close(file);
    }
    const int file = ::open((root / "hinted").c_str(), O_RDONLY | O_CLOEXEC);
    struct fsxattr attributes = {};
    EXPECT_EQ(::ioctl(file, FS_IOC_FSGETXATTR, &attributes), 0);
    EXPECT_EQ(attributes.fsx_extsize, 64u << 10);
    EXPECT_EQ(attributes.fsx_projid, 99u);
    EXPECT_NE(attributes.fsx_xflags & FS_XFLAG_EXTSIZE, 0u);
    struct stat status = {};
    EXPECT_EQ(::fstat(file, &status), 0);
    EXPECT_EQ(status.st_blocks * 512, 64 << 10);
    ::close(file);
    const int one = ::open((root / "one").c_str(), O_RDONLY | O_CLOEXEC);
    const int clone = ::open((root / "clone").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    EXPECT_EQ(::ioctl(clone, FICLONE, one), 0);
    ::close(one);
    ::close(clone);
  });
  const auto filesystem = open();
  const auto walk = [&](const char* path) {
    return filesystem->read([&](const Volume& volume) { return volume.walk(path, Follow::kNo); });
  };
  const auto read = [&](const char* path) {
    std::string found(content.size() + 4096, '\0');
    found.resize(filesystem->read(walk(path), 0, std::as_writable_bytes(std::span(found))));
    return found;
  };
  filesystem->write(walk("/clone"), 100, std::as_bytes(std::span("libfs", 5)));
  EXPECT_EQ(read("/one"), content);
  EXPECT_EQ(read("/two"), std::string(4096, '\0') + std::string(content).replace(4096, 6, "kernel"));
  EXPECT_EQ(read("/clone"), std::string(content).replace(100, 5, "libfs"));
  filesystem->close();
  judge();
}

}  // namespace
}  // namespace xdax::test

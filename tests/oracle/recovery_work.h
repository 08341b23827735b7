// Work for the kernel to do before it is shut down, for tests of what its log then holds.
#pragma once

#include <fmt/format.h>
#include <sys/xattr.h>

#include <functional>
#include <string>
#include <thread>

#include "tests/oracle/fsck_image.h"

namespace xdax::test {

inline Geometry geometry_of(Device& device) {
  std::vector<std::byte> sector(kBasicBlockBytes);
  device.read(0, sector);
  return Geometry(view<Superblock>(sector));
}

using Work = std::function<void(const std::filesystem::path& root)>;

inline void sync_now(const std::filesystem::path& root) {
  const FileHandle synced(root / "synced");
  synced.write(0, "now");
  if (::fsync(synced.fd()) != 0) throw std::system_error(errno, std::generic_category(), "fsync");
}

// Removed files are freed a little later, by a worker: until then they are in the lists of unlinked inodes.
inline void let_inodes_go(const std::filesystem::path& root) {
  for (unsigned i = 0; i < 5; ++i) {
    static_cast<void>(std::filesystem::space(root));  // makes the worker start
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
  }
  sync_now(root);
}

inline void rename_storm(const std::filesystem::path& root) {
  std::filesystem::create_directories(root / "a/b/c");
  for (unsigned i = 0; i < 1500; ++i) {
    write_file(root / "a" / std::to_string(i), std::string(1 + i % 300, 'x'));
    if (i % 3 == 0) std::filesystem::rename(root / "a" / std::to_string(i), root / "a/b" / fmt::format("moved{}", i));
    if (i % 7 == 0)
      std::filesystem::create_hard_link(root / "a/b" / fmt::format("moved{}", i / 21 * 21),
                                        root / fmt::format("l{}", i));
    if (i % 5 == 4) std::filesystem::remove(root / "a" / std::to_string(i));
    if (i % 400 == 399) sync_now(root);
  }
  std::filesystem::rename(root / "a/b", root / "b");
  for (unsigned i = 0; i < 300; i += 2) std::filesystem::create_directory(root / "b" / fmt::format("dir{}", i));
}

inline void extents(const std::filesystem::path& root) {
  const FileHandle file(root / "fragmented");
  file.write(0, std::string(6u << 20, 'f'));
  if (::fsync(file.fd()) != 0) throw std::system_error(errno, std::generic_category(), "fsync");
  for (unsigned i = 1; i < 1500; i += 2) {
    file.allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, std::uint64_t{i} * 4096, 4096);
  }
  const FileHandle unwritten(root / "unwritten");
  unwritten.allocate(0, 0, 5u << 20);
  unwritten.write(1u << 20, std::string(300000, 'w'));
  for (unsigned i = 0; i < 40; ++i) write_file(root / fmt::format("big{}", i), std::string(200000, 'b'));
  for (unsigned i = 0; i < 40; i += 3) std::filesystem::remove(root / fmt::format("big{}", i));
  if (::syncfs(unwritten.fd()) != 0) throw std::system_error(errno, std::generic_category(), "syncfs");
}

inline void clones(const std::filesystem::path& root) {
  make_clones(root, {.clones = 300}, 4096);
  sync_now(root);
}

// Two large extent maps change their files: every block of theirs gets another owner.
inline void exchanges(const std::filesystem::path& root) {
  for (const char* name : {"one", "other"}) {
    const FileHandle file(root / name);
    file.write(0, std::string(8u << 20, name[1]));
    if (::fsync(file.fd()) != 0) throw std::system_error(errno, std::generic_category(), "fsync");
    for (unsigned i = 1; i < 2000; i += name[1] == 't' ? 3 : 2)
      file.allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, std::uint64_t{i} * 4096, 4096);
    if (::fsync(file.fd()) != 0) throw std::system_error(errno, std::generic_category(), "fsync");
  }
  // Blocks that are home are not logged again, and only the inode says what becomes of them.
  run_or_throw({"xfs_freeze", "-f", root.string()});
  run_or_throw({"xfs_freeze", "-u", root.string()});
  run_or_throw({"xfs_io", "-c", "swapext " + (root / "other").string(), (root / "one").string()});
  sync_now(root);
}

inline void attributes(const std::filesystem::path& root) {
  for (unsigned f = 0; f < 20; ++f) {
    const std::filesystem::path path = root / fmt::format("file{}", f);
    write_file(path, "x");
    for (unsigned i = 0; i < 10 * f; ++i) {
      const std::string value(1 + (i * 37) % 3000, static_cast<char>('a' + i % 26));
      const std::string name = fmt::format("user.n{}", i);
      if (::setxattr(path.c_str(), name.c_str(), value.data(), value.size(), 0) != 0)
        throw std::system_error(errno, std::generic_category(), "setxattr");
      if (i % 4 == 3) ::removexattr(path.c_str(), fmt::format("user.n{}", i - 2).c_str());
    }
  }
  sync_now(root);
}

// Inode chunks that come and go within one log, and data after them.
inline void chunks_to_data(const std::filesystem::path& root) {
  std::filesystem::create_directory(root / "gone");
  for (unsigned i = 0; i < 4000; ++i) write_file(root / "gone" / std::to_string(i), "");
  sync_now(root);
  std::filesystem::remove_all(root / "gone");
  let_inodes_go(root);
  // Small ones go next to their inodes.
  std::filesystem::create_directory(root / "data");
  for (unsigned i = 0; i < 1200; ++i) write_file(root / "data" / std::to_string(i), std::string(4096, 'D'));
  sync_now(root);
}

/// Makes a filesystem, does the work on it, and shuts it down.
inline void shut_down_after(const std::filesystem::path& image, const std::vector<std::string>& options,
                            const Work& work, bool flushed = true) {
  std::vector<std::string> argv = {"mkfs.xfs", "-q", "-f"};
  argv.insert(argv.end(), options.begin(), options.end());
  argv.push_back(image.string());
  run_or_throw(argv, kAllowSmall);
  LoopDevice loop(image);
  Mount mount(loop.path());
  work(mount.path());
  let_inodes_go(mount.path());
  if (!flushed) {
    // What is lost with the memory.
    for (unsigned i = 0; i < 500; ++i) write_file(mount.path() / fmt::format("lost{}", i), "x");
  }
  mount.shut_down(flushed);
}

}  // namespace xdax::test

// Fills a mounted filesystem so that every structure of the format is there.
#pragma once

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>
#include <thread>

namespace xdax::test {

inline void must(bool ok, const std::string& what) {
  if (!ok) throw std::system_error(errno, std::generic_category(), what);
}

/// An open file, closed with the object.
class OpenFile {
 public:
  OpenFile(const std::filesystem::path& path, int flags) : descriptor_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    must(descriptor_ >= 0, path.string());
  }
  ~OpenFile() { ::close(descriptor_); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  [[nodiscard]] int get() const { return descriptor_; }

 private:
  int descriptor_;
};

/// Forces the log again and again while it lives, so that checkpoints end between an intent and its done item.
class LogForcer {
 public:
  explicit LogForcer(const std::filesystem::path& root) : file_(root / "forcer", O_RDWR | O_CREAT) {
    thread_ = std::jthread([this](const std::stop_token& stop) {
      for (off_t at = 0; !stop.stop_requested(); ++at) {
        must(::pwrite(file_.get(), "f", 1, at % 4096) == 1 && ::fsync(file_.get()) == 0, "force");
      }
    });
  }

 private:
  OpenFile file_;
  std::jthread thread_;
};

struct PopulateOptions {
  std::uint32_t block_bytes = 4096;
  std::uint32_t dir_block_bytes = 4096;
  bool reflink = true;
  std::uint32_t fragments = 6000;  ///< extents of the fragmented file
  std::uint32_t inodes = 5000;     ///< files in one directory
};

class Populate {
 public:
  Populate(std::filesystem::path root, const PopulateOptions& options) : root_(std::move(root)), options_(options) {}

  void everything() const {
    directories();
    attributes();
    special_files();
    extents();
    inodes();
  }

  void directories() const {
    const std::filesystem::path target = root_ / "target";
    touch(target);
    // An index entry takes 8 bytes, so that a block's worth of them is a leaf, and several a tree with nodes.
    const std::uint32_t leaf_entries = options_.dir_block_bytes / 8;
    links("short", 3);
    links("block", 12);
    links("leaf", leaf_entries / 2);
    links("node", leaf_entries * 3);
    thin_out("block", 12, 4);
    thin_out("leaf", leaf_entries / 2, 3);
    thin_out("node", leaf_entries * 3, 3);
    std::filesystem::create_directory(root_ / "gone");
    std::filesystem::remove(root_ / "gone");
    std::filesystem::create_directories(root_ / "a/b/c/d");
  }

  void attributes() const {
    for (const char* name : {"attr_short", "attr_leaf", "attr_node", "attr_remote", "attr_split_1", "attr_split_2"}) {
      touch(root_ / name);
    }
    attribute("attr_short", "user.one", 10);
    attribute("attr_short", "trusted.two", 0);
    attribute("attr_leaf", "user.value", options_.block_bytes / 3);
    attribute("attr_leaf", "trusted.value", options_.block_bytes / 4);
    for (std::uint32_t i = 0; i < options_.block_bytes / 8; ++i) {
      attribute("attr_node", "user.name_of_some_length_" + std::to_string(i), i % 60);
    }
    for (std::uint32_t i = 0; i < options_.block_bytes / 8; i += 3) {
      ::removexattr((root_ / "attr_node").c_str(), ("user.name_of_some_length_" + std::to_string(i)).c_str());
    }
    attribute("attr_remote", "user.full", 65536);
    attribute("attr_remote", "user.half", 40000);
    attribute("attr_remote", "user.part", options_.block_bytes > 60000 ? 60000 : options_.block_bytes + 100);
    // Turn by turn, so that neither file's values lie in one piece.
    for (std::uint32_t i = 0; i < 40; ++i) {
      attribute("attr_split_1", "user.v" + std::to_string(i), value_bytes());
      attribute("attr_split_2", "user.v" + std::to_string(i), value_bytes());
    }
    attribute("a/b", "user.dir", 100);
    attribute("a/b/c", "user.dir", 65536);
  }

  void special_files() const {
    must(::mknod((root_ / "character").c_str(), S_IFCHR | 0600, makedev(4, 1)) == 0, "mknod");
    must(::mknod((root_ / "block_device").c_str(), S_IFBLK | 0600, makedev(259, 70000)) == 0, "mknod");
    must(::mkfifo((root_ / "fifo").c_str(), 0600) == 0, "mkfifo");
    must(::mknod((root_ / "socket").c_str(), S_IFSOCK | 0600, 0) == 0, "mknod");
    must(::setxattr((root_ / "fifo").c_str(), "trusted.on_fifo", "x", 1, 0) == 0, "setxattr");
    must(::symlink("short", (root_ / "link_short").c_str()) == 0, "symlink");
    for (const std::size_t length : {400u, 700u, 1023u}) {
      const std::string target(length, 't');
      must(::symlink(target.c_str(), (root_ / ("link_" + std::to_string(length))).c_str()) == 0, "symlink");
    }
  }

  void extents() const {
    const OpenFile fragmented(root_ / "fragmented", O_RDWR | O_CREAT);
    const std::string data(options_.block_bytes, 'f');
    for (std::uint32_t i = 0; i < options_.fragments; ++i) write_at(fragmented, data, 2ull * i * options_.block_bytes);
    must(::fsync(fragmented.get()) == 0, "fsync");
    const OpenFile unwritten(root_ / "unwritten", O_RDWR | O_CREAT);
    const off_t block = options_.block_bytes;
    must(::fallocate(unwritten.get(), 0, 0, 64 * block) == 0, "fallocate");
    write_at(unwritten, data, 10ull * options_.block_bytes);
    must(::fallocate(unwritten.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 20 * block, 5 * block) == 0, "punch");
    // Holes punched into a full file fragment the free space.
    const OpenFile punched(root_ / "punched", O_RDWR | O_CREAT);
    must(::fallocate(punched.get(), 0, 0, off_t{2} * options_.fragments / 3 * block) == 0, "fallocate");
    for (std::uint32_t i = 0; i < options_.fragments / 3; ++i) {
      must(::fallocate(punched.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off_t{2} * i * block, block) == 0,
           "punch");
    }
    if (!options_.reflink) return;
    const OpenFile clone(root_ / "clone", O_RDWR | O_CREAT);
    must(::ioctl(clone.get(), FICLONE, fragmented.get()) == 0, "clone");
    for (std::uint32_t i = 0; i < options_.fragments / 4; ++i) write_at(clone, data, 8ull * i * options_.block_bytes);
    must(::fsync(clone.get()) == 0, "fsync");
  }

  void inodes() const {
    const std::filesystem::path folder = root_ / "inodes";
    std::filesystem::create_directory(folder);
    for (std::uint32_t i = 0; i < options_.inodes; ++i) touch(folder / std::to_string(i));
    for (std::uint32_t i = 0; i < options_.inodes; i += 70) ::unlink((folder / std::to_string(i)).c_str());
  }

  static void touch(const std::filesystem::path& path) { const OpenFile file(path, O_WRONLY | O_CREAT); }

  void attribute(const std::string& file, const std::string& name, std::uint32_t bytes) const {
    const std::string value(bytes, 'v');
    must(::setxattr((root_ / file).c_str(), name.c_str(), value.data(), value.size(), 0) == 0, "setxattr " + name);
  }

 private:
  // Larger than what is kept beside a name.
  [[nodiscard]] std::uint32_t value_bytes() const {
    return options_.block_bytes > 32768 ? 65536 : options_.block_bytes;
  }

  void links(const std::string& folder, std::uint32_t count) const {
    std::filesystem::create_directory(root_ / folder);
    for (std::uint32_t i = 0; i < count; ++i) {
      must(::link((root_ / "target").c_str(), entry(folder, i).c_str()) == 0, "link");
    }
  }
  void thin_out(const std::string& folder, std::uint32_t count, std::uint32_t step) const {
    for (std::uint32_t i = 0; i < count; i += step) ::unlink(entry(folder, i).c_str());
  }
  [[nodiscard]] std::filesystem::path entry(const std::string& folder, std::uint32_t i) const {
    return root_ / folder / ("entry_" + std::string(i % 40, 'x') + std::to_string(i));
  }
  static void write_at(const OpenFile& file, const std::string& data, std::uint64_t offset_bytes) {
    must(::pwrite(file.get(), data.data(), data.size(), static_cast<off_t>(offset_bytes)) ==
             static_cast<ssize_t>(data.size()),
         "pwrite");
  }

  std::filesystem::path root_;
  PopulateOptions options_;
};

}  // namespace xdax::test

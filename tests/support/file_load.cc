// file_load xdax IMAGE | kernel FOLDER [FILES [MEBIBYTES]]: the same work on files through libfs and through system
// calls, timed phase by phase, for script/bench.d/files. FILES small files of 4 KiB, a thousand to a directory, are
// created, written, read and unlinked by name, and a file of MEBIBYTES is written, read, and written and read at random
// places. Every phase that changes something ends with a sync. Prints a line for each phase: its name and its
// microseconds. Exits 1 with one line when something fails.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "libfs/base/error.h"
#include "libfs/device/device.h"
#include "libfs/volume/filesystem.h"

namespace {

using xdax::ByteSpan;
using xdax::MutableByteSpan;

constexpr std::uint64_t kFilesPerDirectory = 1000;
constexpr std::size_t kSmallBytes = 4096;
constexpr std::size_t kLargePieceBytes = std::size_t{1} << 20;
constexpr std::uint64_t kRandomPlaces = 65536;

struct Load {
  std::uint64_t files = 100000;
  std::uint64_t large_bytes = std::uint64_t{1} << 30;
};

/// Through libfs, in an image.
class Library {
 public:
  explicit Library(const std::string& image)
      : device_(xdax::open_device(image, {.mode = xdax::OpenMode::kReadWrite})),
        filesystem_(xdax::Filesystem::open(*device_, {})) {}

  void make_directory(const std::string& name) {
    directories_.push_back(filesystem_->make_directory(filesystem_->root(), name, {.mode = 0755}));
  }
  void create(std::size_t directory, const std::string& name) {
    filesystem_->create(directories_[directory], name, {.mode = 0644});
  }
  void write(std::size_t directory, const std::string& name, ByteSpan bytes) {
    filesystem_->write(lookup(directory, name), 0, bytes);
  }
  std::size_t read(std::size_t directory, const std::string& name, MutableByteSpan buffer) {
    return filesystem_->read(lookup(directory, name), 0, buffer);
  }
  void unlink(std::size_t directory, const std::string& name) { filesystem_->unlink(directories_[directory], name); }

  void create_large() { large_ = filesystem_->create(filesystem_->root(), "large", {.mode = 0644}); }
  void write_large(std::uint64_t offset_bytes, ByteSpan bytes) { filesystem_->write(large_, offset_bytes, bytes); }
  std::size_t read_large(std::uint64_t offset_bytes, MutableByteSpan buffer) {
    return filesystem_->read(large_, offset_bytes, buffer);
  }

  void sync() { filesystem_->sync(); }
  void close() { filesystem_->close(); }

 private:
  xdax::InodeNumber lookup(std::size_t directory, const std::string& name) {
    const auto item = filesystem_->read(
        [&](const xdax::Volume& volume) { return volume.directory(directories_[directory]).lookup(name); });
    if (!item) throw xdax::RefusalError(xdax::Errc::kNotFound, name + " is not there");
    return item->ino;
  }

  std::unique_ptr<xdax::Device> device_;
  std::unique_ptr<xdax::Filesystem> filesystem_;
  std::vector<xdax::InodeNumber> directories_;
  xdax::InodeNumber large_;
};

/// Through system calls, in a folder.
class Kernel {
 public:
  explicit Kernel(const std::string& folder) : root_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    check(root_, folder);
  }

  void make_directory(const std::string& name) {
    check(::mkdirat(root_, name.c_str(), 0755), name);
    directories_.push_back(check(::openat(root_, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), name));
  }
  void create(std::size_t directory, const std::string& name) {
    close_file(open(directory, name, O_WRONLY | O_CREAT | O_EXCL), name);
  }
  void write(std::size_t directory, const std::string& name, ByteSpan bytes) {
    const int file = open(directory, name, O_WRONLY);
    check(::pwrite(file, bytes.data(), bytes.size(), 0), name);
    close_file(file, name);
  }
  std::size_t read(std::size_t directory, const std::string& name, MutableByteSpan buffer) {
    const int file = open(directory, name, O_RDONLY);
    const std::size_t done = check(::pread(file, buffer.data(), buffer.size(), 0), name);
    close_file(file, name);
    return done;
  }
  void unlink(std::size_t directory, const std::string& name) {
    check(::unlinkat(directories_[directory], name.c_str(), 0), name);
  }

  void create_large() {
    large_ = check(::openat(root_, "large", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644), "large");
  }
  void write_large(std::uint64_t offset_bytes, ByteSpan bytes) const {
    check(::pwrite(large_, bytes.data(), bytes.size(), static_cast<off_t>(offset_bytes)), "large");
  }
  std::size_t read_large(std::uint64_t offset_bytes, MutableByteSpan buffer) const {
    return check(::pread(large_, buffer.data(), buffer.size(), static_cast<off_t>(offset_bytes)), "large");
  }

  void sync() const { check(::syncfs(root_), "sync"); }
  void close() {
    for (const int directory : directories_) close_file(directory, "a directory");
    close_file(large_, "large");
    close_file(root_, "the root");
  }

 private:
  template <class Result>
  static std::conditional_t<sizeof(Result) == sizeof(int), int, std::size_t> check(Result result,
                                                                                   const std::string& name) {
    if (result < 0) throw std::system_error(errno, std::generic_category(), name);
    return static_cast<std::conditional_t<sizeof(Result) == sizeof(int), int, std::size_t>>(result);
  }
  [[nodiscard]] int open(std::size_t directory, const std::string& name, int flags) const {
    return check(::openat(directories_[directory], name.c_str(), flags | O_CLOEXEC, 0644), name);
  }
  static void close_file(int file, const std::string& name) { check(::close(file), name); }

  int root_;
  int large_ = -1;
  std::vector<int> directories_;
};

template <class Work>
void timed(const char* phase, const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  const auto took = std::chrono::steady_clock::now() - start;
  fmt::print("{} {}\n", phase, std::chrono::duration_cast<std::chrono::microseconds>(took).count());
  std::fflush(stdout);
}

std::vector<std::byte> content(std::size_t bytes, std::uint64_t seed) {
  std::vector<std::byte> made(bytes);
  std::mt19937_64 engine(seed);
  for (std::byte& byte : made) byte = static_cast<std::byte>(engine());
  return made;
}

void expect(bool right) {
  if (!right) throw std::runtime_error("what was read is not what was written");
}

template <class Target>
void small_files(Target& target, const Load& load) {
  std::vector<std::string> names;
  for (std::uint64_t i = 0; i < load.files; ++i) names.push_back(fmt::format("file-{}.txt", i));
  const auto for_each_file = [&](const auto& use) {
    for (std::uint64_t i = 0; i < load.files; ++i) use(i / kFilesPerDirectory, names[i]);
  };
  const std::vector<std::byte> bytes = content(kSmallBytes, 1);
  timed("create", [&] {
    for (std::uint64_t i = 0; i < load.files; i += kFilesPerDirectory) {
      target.make_directory(fmt::format("folder-{}", i / kFilesPerDirectory));
    }
    for_each_file([&](std::size_t directory, const std::string& name) { target.create(directory, name); });
    target.sync();
  });
  timed("write", [&] {
    for_each_file([&](std::size_t directory, const std::string& name) { target.write(directory, name, bytes); });
    target.sync();
  });
  timed("read", [&] {
    std::vector<std::byte> buffer(kSmallBytes);
    for_each_file([&](std::size_t directory, const std::string& name) {
      expect(target.read(directory, name, buffer) == kSmallBytes && buffer == bytes);
    });
  });
  timed("unlink", [&] {
    for_each_file([&](std::size_t directory, const std::string& name) { target.unlink(directory, name); });
    target.sync();
  });
}

template <class Target>
void large_file(Target& target, const Load& load) {
  const std::vector<std::byte> piece = content(kLargePieceBytes, 2);
  std::vector<std::byte> buffer(kLargePieceBytes);
  std::vector<std::uint64_t> places(kRandomPlaces);
  std::mt19937_64 engine(3);
  for (std::uint64_t& place : places) place = engine() % (load.large_bytes / kSmallBytes) * kSmallBytes;
  timed("sequential-write", [&] {
    target.create_large();
    for (std::uint64_t at = 0; at < load.large_bytes; at += kLargePieceBytes) target.write_large(at, piece);
    target.sync();
  });
  timed("sequential-read", [&] {
    for (std::uint64_t at = 0; at < load.large_bytes; at += kLargePieceBytes) {
      expect(target.read_large(at, buffer) == kLargePieceBytes && buffer.back() == piece.back());
    }
  });
  const ByteSpan small = ByteSpan(piece).first(kSmallBytes);
  timed("random-write", [&] {
    for (const std::uint64_t place : places) target.write_large(place, small);
    target.sync();
  });
  timed("random-read", [&] {
    const MutableByteSpan read = MutableByteSpan(buffer).first(kSmallBytes);
    for (const std::uint64_t place : places) {
      expect(target.read_large(place, read) == kSmallBytes && read.back() == small.back());
    }
  });
}

template <class Target>
void run(Target target, const Load& load) {
  if (load.files > 0) small_files(target, load);
  if (load.large_bytes > 0) large_file(target, load);
  target.close();
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

int main(int argc, char** argv) {
  const std::span<char*> arguments(argv, static_cast<std::size_t>(argc));
  const std::string_view side = argc > 2 ? arguments[1] : "";
  const auto files = argc > 3 ? number(arguments[3]) : std::optional<std::uint64_t>(Load{}.files);
  const auto mebibytes = argc > 4 ? number(arguments[4]) : std::optional<std::uint64_t>(Load{}.large_bytes >> 20);
  if ((side != "xdax" && side != "kernel") || !files || !mebibytes || argc > 5) {
    std::fprintf(stderr, "usage: file_load xdax IMAGE | kernel FOLDER [FILES [MEBIBYTES]]\n");
    return 1;
  }
  const Load load{.files = *files, .large_bytes = *mebibytes << 20};
  try {
    if (side == "xdax") {
      run(Library(arguments[2]), load);
    } else {
      run(Kernel(arguments[2]), load);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "file_load: %s\n", error.what());
    return 1;
  }
  return 0;
}

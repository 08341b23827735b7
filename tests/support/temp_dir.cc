#include "tests/support/temp_dir.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <system_error>

namespace xdax::test {
namespace {

class File {
 public:
  File(const std::filesystem::path& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0600)), path_(path) {
    if (fd_ < 0) fail("open");
  }
  ~File() { ::close(fd_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] int fd() const { return fd_; }
  [[noreturn]] void fail(const char* what) const {
    throw std::system_error(errno, std::generic_category(), std::string(what) + " " + path_.string());
  }

 private:
  int fd_;
  std::filesystem::path path_;
};

}  // namespace

std::filesystem::path default_temp_parent() {
  const char* parent = std::getenv("TMPDIR");
  return parent != nullptr && *parent != '\0' ? parent : "/tmp";
}

std::filesystem::path memory_temp_parent() {
  return ::access("/dev/shm", W_OK | X_OK) == 0 ? std::filesystem::path("/dev/shm") : default_temp_parent();
}

TempDir::TempDir(const std::filesystem::path& parent) {
  std::string pattern = (parent / "xdax-test-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr)
    throw std::system_error(errno, std::generic_category(), "mkdtemp " + pattern);
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::filesystem::path TempDir::sparse_file(std::string_view name, std::uint64_t size_bytes) const {
  std::filesystem::path result = path(name);
  make_sparse_file(result, size_bytes);
  return result;
}

void make_sparse_file(const std::filesystem::path& path, std::uint64_t size_bytes) {
  const File file(path, O_WRONLY | O_CREAT | O_TRUNC);
  if (::ftruncate(file.fd(), static_cast<off_t>(size_bytes)) != 0) file.fail("resize");
}

void overwrite(const std::filesystem::path& path, std::uint64_t offset_bytes, std::string_view bytes) {
  const File file(path, O_WRONLY);
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(file.fd(), bytes.data(), bytes.size(), static_cast<off_t>(offset_bytes));
    if (count <= 0) file.fail("write");
    bytes.remove_prefix(static_cast<std::size_t>(count));
    offset_bytes += static_cast<std::uint64_t>(count);
  }
}

std::string read_bytes(const std::filesystem::path& path, std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  const File file(path, O_RDONLY);
  std::string result(length_bytes, '\0');
  std::size_t done = 0;
  while (done < result.size()) {
    const ssize_t count =
        ::pread(file.fd(), result.data() + done, result.size() - done, static_cast<off_t>(offset_bytes + done));
    if (count < 0) file.fail("read");
    if (count == 0) throw std::runtime_error(path.string() + " ends before the bytes asked for");
    done += static_cast<std::size_t>(count);
  }
  return result;
}

}  // namespace xdax::test

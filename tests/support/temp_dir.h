// Temporary folders that go away with the object, and sparse files in them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace xdax::test {

/// TMPDIR, or /tmp.
[[nodiscard]] std::filesystem::path default_temp_parent();
/// /dev/shm when it can be written, else default_temp_parent(). Fast, and files may be sparse up to 2^63-1 bytes.
[[nodiscard]] std::filesystem::path memory_temp_parent();

/// A new folder, removed with everything in it on destruction (never followed out of it, errors ignored).
class TempDir {
 public:
  explicit TempDir(const std::filesystem::path& parent = default_temp_parent());
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::filesystem::path path(std::string_view name) const { return path_ / name; }

  /// Makes a sparse file of `size_bytes` and returns its path.
  [[nodiscard]] std::filesystem::path sparse_file(std::string_view name, std::uint64_t size_bytes) const;

 private:
  std::filesystem::path path_;
};

/// Creates `path`, or empties it, and makes it a hole of `size_bytes`. Throws std::system_error.
void make_sparse_file(const std::filesystem::path& path, std::uint64_t size_bytes);

/// Writes `bytes` into an existing file at `offset_bytes`; for damaging images. Throws std::system_error.
void overwrite(const std::filesystem::path& path, std::uint64_t offset_bytes, std::string_view bytes);

/// Reads `length_bytes` of a file at `offset_bytes`. Throws std::runtime_error when there are fewer.
[[nodiscard]] std::string read_bytes(const std::filesystem::path& path, std::uint64_t offset_bytes,
                                     std::uint64_t length_bytes);

}  // namespace xdax::test

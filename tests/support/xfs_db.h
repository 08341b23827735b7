// Asking xfs_db what it sees in an image.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace xdax::test {

/// What xfs_db printed. `fields` has every line `name = value`, the last one winning where a name comes twice; `text`
/// has everything, for output in another form.
struct XfsDbOutput {
  std::map<std::string, std::string> fields;
  std::string text;

  /// The value of a field. Throws std::runtime_error naming it when it was not printed.
  [[nodiscard]] const std::string& at(const std::string& name) const;
  /// The value as a number: decimal, 0x hex, or hex alone where the field is one that xfs_db prints so (`crc`, uuids
  /// are not numbers). "null" is all ones. A trailing remark ("(correct)") is ignored. Throws std::runtime_error.
  [[nodiscard]] std::uint64_t number(const std::string& name) const;
};

/// Runs the commands in one read-only session: xfs_db(image, {"sb 0", "print"}), xfs_db(image, {"agf 1", "p
/// btreeblks"}). Throws std::runtime_error when xfs_db fails or prints to standard error.
[[nodiscard]] XfsDbOutput xfs_db(const std::filesystem::path& image, const std::vector<std::string>& commands);

/// The same in expert mode with writing allowed, for damaging a field in a way that keeps the checksum right:
/// xfs_db_write(image, {"agf 0", "write -d freeblks 7"}) (-d: let the field be wrong and recalculate the CRC).
XfsDbOutput xfs_db_write(const std::filesystem::path& image, const std::vector<std::string>& commands);

/// The parsing alone.
[[nodiscard]] XfsDbOutput parse_xfs_db(const std::string& text);

}  // namespace xdax::test

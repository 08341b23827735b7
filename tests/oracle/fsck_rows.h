// Cases of tests/oracle/fsck_findings_test.cc: a problem, the damage that makes it, and what else that damage cannot
// but break.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/oracle/fsck_image.h"

namespace xdax::test {

enum class Base {
  kFilled,   ///< 1 KiB blocks, reverse map, reflink; group 0 has trees of several levels
  kDirty,    ///< the same features, shut down with a dirty log
  kFiles,    ///< every form of file, directory and attribute, 1 KiB blocks
  kParents,  ///< the same with parent pointers
  kCounted,  ///< the same without a reverse map
  kPlain,    ///< as mkfs.xfs leaves it: 4 KiB blocks, no reverse map
};

struct Row {
  const char* id;
  const char* name;
  Base base = Base::kFilled;
  std::function<void(ImageEditor&)> damage;
  /// Problems that necessarily come with it.
  std::vector<const char*> companions = {};
  /// Reads of this many bytes at `unreadable_byte(editor)` fail.
  std::function<std::pair<std::uint64_t, std::uint64_t>(ImageEditor&)> unreadable = {};
  /// The device ends so many bytes early.
  std::uint64_t cut_bytes = 0;
};

[[nodiscard]] std::vector<Row> superblock_rows();
[[nodiscard]] std::vector<Row> header_rows();
[[nodiscard]] std::vector<Row> tree_rows();
[[nodiscard]] std::vector<Row> record_rows();
[[nodiscard]] std::vector<Row> cross_rows();
[[nodiscard]] std::vector<Row> counter_rows();
[[nodiscard]] std::vector<Row> log_rows();

}  // namespace xdax::test

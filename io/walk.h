// Walking a tree of directories in a settled order, without recursion and without going in circles.
#pragma once

#include <functional>
#include <string>
#include <unordered_set>
#include <vector>

#include "libfs/volume/volume.h"

namespace xdax::io {

/// The path of a user, put in one form: "/a/b", "/".
[[nodiscard]] std::string normal_path(std::string_view path);
[[nodiscard]] std::string join(std::string_view folder, std::string_view name);

/// What an entry names; read from the inode where the filesystem does not store it beside the name.
[[nodiscard]] FileType type_of(const Volume& volume, const DirItem& item);

enum class Order : std::uint8_t {
  kName,  ///< bytes of the name
  kPath,  ///< so that a depth-first walk gives whole paths in order of their bytes
};
/// The entries of a directory without "." and "..", sorted.
[[nodiscard]] std::vector<DirItem> sorted_entries(const Volume& volume, InodeNumber folder, Order order);

/// Directories seen so far. A directory has one name; a second one would make a walk endless.
class SeenDirectories {
 public:
  /// Throws CorruptionError when the directory was entered before.
  void enter(InodeNumber folder, std::string_view path);

 private:
  std::unordered_set<std::uint64_t> seen_;
};

struct WalkItem {
  std::string path;
  const DirItem& entry;
  FileType type = FileType::kNone;
  unsigned depth = 0;  ///< 0: in the directory the walk starts at
};

/// Visits everything below a directory, depth first.
void walk_below(const Volume& volume, InodeNumber folder, const std::string& path, Order order,
                const std::function<void(const WalkItem&)>& visit);

}  // namespace xdax::io

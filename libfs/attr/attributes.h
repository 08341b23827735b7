// Extended attributes of an inode, read: listed, and one value by its name.
//
// An attribute's full name is its namespace and its name. Attributes whose value was never finished (INCOMPLETE) are
// not there. Parent pointers are stored as attributes but are none: they are listed apart. Every block, those of values
// too, is verified. Not thread-safe; each user makes its own. Source: XFS Algorithms & Data Structures, "Extended
// Attributes".
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libfs/da/da_reader.h"
#include "libfs/format/attr_entry.h"
#include "libfs/inode/inode_reader.h"

namespace xdax {

enum class AttrNamespace : std::uint8_t { kUser, kTrusted, kSecurity };
/// "user", "trusted", "security".
[[nodiscard]] const char* to_string(AttrNamespace space);

struct Attribute {
  AttrNamespace space = AttrNamespace::kUser;
  std::string name;
  std::uint32_t value_bytes = 0;

  /// "user.name"
  [[nodiscard]] std::string full_name() const;
};

/// What records an entry of this inode in a directory.
struct ParentEntry {
  InodeNumber parent;
  std::uint32_t generation = 0;
  std::string name;
};

class Attributes {
 public:
  /// Throws CorruptionError, IoError, as all members do.
  Attributes(const MetadataReader& reader, Inode inode);

  /// All attributes, in the order of the disk.
  [[nodiscard]] std::vector<Attribute> list();
  /// All parent pointers.
  [[nodiscard]] std::vector<ParentEntry> parents();
  /// The value of an attribute, at most 64 KiB.
  [[nodiscard]] std::optional<std::vector<std::byte>> get(AttrNamespace space, std::string_view name);

 private:
  /// `visit` returns whether to go on.
  void each(const std::function<bool(const AttrEntry&)>& visit);
  void each_short(const std::function<bool(const AttrEntry&)>& visit) const;
  bool each_of_leaf(const DaBlock& leaf, const std::function<bool(const AttrEntry&)>& visit) const;
  [[nodiscard]] std::vector<std::byte> value_of(const AttrEntry& entry);

  MetadataReader reader_;
  Inode inode_;
  ForkFormat format_;
  DaReader blocks_;
};

}  // namespace xdax

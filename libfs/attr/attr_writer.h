// Extended attributes of an inode, changed: set, replaced and removed, in every form they can have.
//
//   in the inode  <->  one leaf  <->  leaves under a tree of hashes;  values that are too large in blocks of their own
//
// A form gives way to the next larger one when it is full and comes back when all fits it. The attribute fork is made
// with the first attribute and goes with the last; the data fork gives room and takes it back (fork_split.h). Parent
// pointers are attributes of a namespace of their own, of which one name may have several, told apart by their values.
//
// Works inside one transaction: whoever drops it changed nothing. Times are the caller's to stamp. Not thread-safe.
// Source: XFS Algorithms & Data Structures, "Extended Attributes".
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "libfs/attr/attr_item.h"
#include "libfs/attr/attributes.h"
#include "libfs/inode/inode_edit.h"

namespace xdax {

class AttrTree;

/// Of an attribute: its namespace, one of attr_flags::kRoot, kSecure and kParent or 0, and its name there.
struct AttrName {
  std::uint8_t space = 0;
  std::string_view name;
};
[[nodiscard]] AttrName attr_name(AttrNamespace space, std::string_view name);

enum class SetMode : std::uint8_t {
  kEither,
  kCreate,   ///< refused when it is there
  kReplace,  ///< refused when it is not
};

class AttrWriter {
 public:
  /// Of an inode in use, which must outlive it. Throws CorruptionError.
  explicit AttrWriter(const InodeEdit& inode);

  /// Gives an attribute a value of at most 64 KiB. Of a parent pointer the value (ParentPointer) is a part of what it
  /// is. Throws RefusalError: kBadArgument for a name or value that cannot be, kExists, kNotFound as the mode says,
  /// kNoSpace; CorruptionError, IoError. The transaction must be dropped after any but kBadArgument, kExists and
  /// kNotFound.
  void set(const AttrName& name, ByteSpan value, SetMode mode = SetMode::kEither);
  /// Removes an attribute; of a parent pointer, the one of this value. Throws as set() does, kNotFound when there is
  /// none.
  void remove(const AttrName& name, ByteSpan value = {});
  /// The same; false when there is none.
  bool remove_if_there(const AttrName& name, ByteSpan value = {});
  /// Removes what an interrupted change left of an attribute and nobody sees. Throws as set() does.
  void remove_unfinished(const AttrName& name, ByteSpan value = {});

 private:
  [[nodiscard]] AttrKey checked_key(const AttrName& name, ByteSpan value) const;
  void check_mode(const AttrName& name, bool found, SetMode mode) const;
  void note_in_superblock();

  [[nodiscard]] bool is_local() const;
  [[nodiscard]] bool store_local(const std::vector<AttrItem>& items);
  [[nodiscard]] bool set_local(const AttrName& name, const AttrItem& item, const AttrKey& key, SetMode mode);
  void set_in_tree(const AttrName& name, AttrItem item, const AttrKey& key, SetMode mode);
  [[nodiscard]] bool erase(const AttrKey& key);
  [[nodiscard]] bool remove_local(const AttrKey& key);
  [[nodiscard]] bool remove_from_tree(const AttrKey& key);
  void to_tree(const std::vector<AttrItem>& items);
  void shrink(AttrTree& tree, std::uint32_t hash);

  const InodeEdit& inode_;
};

}  // namespace xdax

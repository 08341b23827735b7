#include "libfs/recovery/finish_attribute.h"

#include <fmt/format.h>

#include <bit>
#include <string>
#include <string_view>

#include "libfs/attr/attr_writer.h"
#include "libfs/base/error.h"
#include "libfs/base/math.h"
#include "libfs/dir/directory_writer.h"
#include "libfs/format/da_hash.h"
#include "libfs/inode/inode_edit.h"

namespace xdax {
namespace {

class AttrIntent {
 public:
  AttrIntent(Transaction& transaction, const LogItem& item)
      : transaction_(transaction), item_(item), format_(view<AttriLogFormat>(item.regions[0])) {
    name_ = name(format_.name_len);
    if (format_.new_name_len != 0) new_name_ = name(format_.new_name_len);
    value_ = part(format_.value_len);
    if (replaces_parent()) new_value_ = part(format_.value_len);
    require(next_ == item.regions.size(), "it has more regions than names and values");
    require_legal();
  }

  void finish() {
    const InodeEdit inode(transaction_, InodeNumber(format_.ino));
    inode.require_allocated();
    require(!of_parent() || inode.core().gen == format_.igen, "the inode is not the one it was announced for");
    make_room_for_attributes(inode);
    AttrWriter writer(inode);
    const AttrName attribute{.space = space(), .name = name_};
    writer.remove_unfinished(attribute, value_);
    switch (format_.op()) {
      case attr_intent_ops::kRemove:
      case attr_intent_ops::kParentRemove:
        writer.remove_if_there(attribute, value_);
        return;
      case attr_intent_ops::kParentReplace:
        writer.remove_if_there(attribute, value_);
        writer.set({.space = space(), .name = new_name_}, new_value_);
        return;
      default:
        writer.set(attribute, value_);
        return;
    }
  }

 private:
  [[nodiscard]] bool replaces_parent() const { return format_.op() == attr_intent_ops::kParentReplace; }
  [[nodiscard]] bool of_parent() const { return format_.op() >= attr_intent_ops::kParentSet; }
  [[nodiscard]] std::uint8_t space() const {
    return static_cast<std::uint8_t>(format_.attr_filter & attr_flags::kNamespaces);
  }

  // The next region; one that would be empty is not there.
  ByteSpan part(std::uint32_t bytes) {
    if (bytes == 0) return {};
    const bool there = next_ < item_.regions.size() &&
                       item_.regions[next_].size() == round_up(bytes, static_cast<std::uint32_t>(sizeof(le32)));
    require(there, "a name or a value is not as long as it says");
    return ByteSpan(item_.regions[next_++]).first(bytes);
  }
  std::string_view name(std::uint32_t bytes) {
    const ByteSpan region = part(bytes);
    return {reinterpret_cast<const char*>(region.data()), region.size()};
  }

  void require_legal() const {
    const Features& features = transaction_.geometry().features;
    if (!of_parent()) {
      require((features.log_incompat & log_incompat_bits::kXattrs) != 0, "the superblock does not say that it may");
      require((space() & attr_flags::kParent) == 0 && std::popcount(space()) <= 1, "the attribute is in no namespace");
      require(valid_attr_name(name_), "it names what cannot be an attribute");
      return;
    }
    require(features.parent() && space() == attr_flags::kParent, "it is about a parent pointer where there are none");
    require(format_.value_len == sizeof(ParentPointer), "a parent pointer has another length");
    for (const ByteSpan pointer : {value_, replaces_parent() ? new_value_ : value_}) {
      require(transaction_.geometry().valid_inode(InodeNumber(view<ParentPointer>(pointer).ino)),
              "the parent is no inode");
    }
    require(valid_dir_name(name_) && (!replaces_parent() || valid_dir_name(new_name_)),
            "it names what cannot be an entry of a directory");
  }

  void require(bool holds, const char* otherwise) const {
    if (holds) return;
    throw CorruptionError(Errc::kBadStructure,
                          fmt::format("{}: the log announces a change of an attribute of inode {} that cannot be: {}",
                                      transaction_.journal().device().name(), format_.ino.get(), otherwise));
  }

  Transaction& transaction_;
  const LogItem& item_;
  const AttriLogFormat& format_;
  std::size_t next_ = 1;
  std::string_view name_, new_name_;
  ByteSpan value_, new_value_;
};

}  // namespace

void finish_attribute(Transaction& transaction, const LogItem& item) { AttrIntent(transaction, item).finish(); }

}  // namespace xdax

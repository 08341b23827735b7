#include "libfs/format/dir_shortform.h"

#include "libfs/format/da_hash.h"
#include "libfs/format/dir_data.h"

namespace xdax {
namespace {

constexpr std::size_t kParentOffset = sizeof(DirShortformHeader);

void check_entry(Flaws& flaws, const DirEntry& entry, const Geometry& geometry) {
  if (!valid_dir_name(entry.name) || entry.name == "." || entry.name == "..") {
    flaws.add({FlawKind::kRange, "dir_sf.name", entry.at_bytes, entry.name.size(), limits::kMaxNameBytes,
               "1 to 255 bytes without '/' or zero, not a dot name"});
  }
  if (!geometry.valid_inode(entry.ino)) {
    flaws.add(
        {FlawKind::kPointer, "dir_sf.inumber", entry.at_bytes, entry.ino.value(), 0, "an inode of the filesystem"});
  }
  if (static_cast<std::uint8_t>(entry.file_type) > kMaxDirFileType) {
    flaws.add({FlawKind::kRange, "dir_sf.ftype", entry.at_bytes, static_cast<std::uint64_t>(entry.file_type),
               kMaxDirFileType, "a known type of file"});
  }
}

}  // namespace

DirShortformCursor::DirShortformCursor(ByteSpan content, bool file_type) : content_(content), file_type_(file_type) {
  if (content.size() < sizeof(DirShortformHeader)) {
    broken_ = true;
    return;
  }
  const auto& header = view<DirShortformHeader>(content);
  wide_ = header.i8count != 0;
  if (content.size() - kParentOffset < number_bytes()) {
    broken_ = true;
    return;
  }
  parent_ = number_at(kParentOffset);
  left_ = header.count;
  at_ = kParentOffset + number_bytes();
}

InodeNumber DirShortformCursor::number_at(std::size_t offset_bytes) const {
  return InodeNumber(wide_ ? view<be64>(content_, offset_bytes).get() : view<be32>(content_, offset_bytes).get());
}

std::optional<DirEntry> DirShortformCursor::next() {
  if (left_ == 0 || broken_) return std::nullopt;
  const std::size_t room = content_.size() - at_;
  const std::size_t behind_name = (file_type_ ? 1 : 0) + number_bytes();
  if (room < sizeof(DirShortformEntry) ||
      room - sizeof(DirShortformEntry) < view<DirShortformEntry>(content_, at_).namelen + behind_name) {
    broken_ = true;
    return std::nullopt;
  }
  const auto& stored = view<DirShortformEntry>(content_, at_);
  const std::size_t name = at_ + sizeof(DirShortformEntry);
  const std::size_t after_name = name + stored.namelen;
  DirEntry entry{.name = name_at(content_, name, stored.namelen),
                 .ino = number_at(after_name + (file_type_ ? 1 : 0)),
                 .at_bytes = static_cast<std::uint32_t>(at_)};
  if (file_type_) entry.file_type = static_cast<DirFileType>(content_[after_name]);
  tag_ = stored.offset;
  at_ = after_name + behind_name;
  --left_;
  return entry;
}

Flaws verify_dir_shortform(ByteSpan content, const Geometry& geometry) {
  Flaws flaws;
  const bool file_type = geometry.features.ftype();
  DirShortformCursor cursor(content, file_type);
  if (!cursor.parent()) {
    flaws.add({FlawKind::kRange, "dir_sf.hdr", 0, content.size(), kParentOffset + sizeof(be32), "room for its header"});
    return flaws;
  }
  const auto& header = view<DirShortformHeader>(content);
  if (!geometry.valid_inode(*cursor.parent())) {
    flaws.add({FlawKind::kPointer, "dir_sf.parent", kParentOffset, cursor.parent()->value(), 0,
               "an inode of the filesystem"});
  }
  std::uint32_t wide = cursor.parent()->value() > limits::kMaxShortInode ? 1 : 0;
  // The dot names would come first in a block.
  std::uint32_t least_tag = static_cast<std::uint32_t>(sizeof(DirDataHeader)) + dir_data_entry_bytes(1, file_type) +
                            dir_data_entry_bytes(2, file_type);
  while (const auto entry = cursor.next()) {
    check_entry(flaws, *entry, geometry);
    if (entry->ino.value() > limits::kMaxShortInode) ++wide;
    if (cursor.tag() < least_tag || cursor.tag() % kDirAlignBytes != 0) {
      flaws.add({FlawKind::kOrder, "dir_sf.offset", entry->at_bytes + 1, cursor.tag(), least_tag,
                 "past the entry before it"});
    }
    least_tag = cursor.tag() + dir_data_entry_bytes(static_cast<std::uint32_t>(entry->name.size()), file_type);
  }
  if (cursor.broken() || cursor.at_bytes() != content.size()) {
    flaws.add({FlawKind::kRange, "dir_sf.count", 0, cursor.at_bytes(), content.size(),
               "entries that end where the directory does"});
    return flaws;
  }
  if (header.i8count != wide) {
    flaws.add({FlawKind::kCount, "dir_sf.i8count", offsetof(DirShortformHeader, i8count), header.i8count, wide,
               "the numbers that need 64 bits"});
  }
  // In block form each entry, and each dot name, has 8 bytes of index, and the index a tail.
  const std::uint64_t as_block = least_tag + (header.count + 2u) * sizeof(DirLeafEntry) + sizeof(DirBlockTail);
  if (as_block > geometry.dir_block_bytes()) {
    flaws.add({FlawKind::kRange, "dir_sf.offset", 0, as_block, geometry.dir_block_bytes(),
               "offsets that would fit one block"});
  }
  return flaws;
}

}  // namespace xdax

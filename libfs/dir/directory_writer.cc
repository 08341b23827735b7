#include "libfs/dir/directory_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "libfs/base/error.h"
#include "libfs/format/da_hash.h"
#include "libfs/format/dir_leaf.h"
#include "libfs/format/dir_shortform.h"
#include "libfs/inode/metadata_reader.h"

namespace xdax {
namespace {

constexpr std::uint32_t kDot = sizeof(DirDataHeader);

std::uint32_t dot_dot(bool file_type) { return kDot + dir_data_entry_bytes(1, file_type); }
std::uint32_t behind_dots(bool file_type) { return dot_dot(file_type) + dir_data_entry_bytes(2, file_type); }

}  // namespace

DirectoryWriter::DirectoryWriter(Transaction& transaction, InodeNumber ino)
    : transaction_(transaction), inode_(transaction, ino) {
  if (!inode_.core().allocated()) {
    throw RefusalError(Errc::kNotFound,
                       fmt::format("{}: there is no inode {}", transaction.journal().device().name(), ino.value()));
  }
  if (inode_.type() != FileType::kDirectory) {
    throw RefusalError(Errc::kNotDirectory, fmt::format("{}: inode {} is not a directory",
                                                        transaction.journal().device().name(), ino.value()));
  }
}

void DirectoryWriter::corrupt(const char* what) const {
  throw CorruptionError(Errc::kBadStructure, fmt::format("{}: directory {}: {}", transaction_.journal().device().name(),
                                                         inode_.ino().value(), what));
}

Directory DirectoryWriter::reader() {
  const MetadataReader metadata(transaction_.view(), geometry());
  return {metadata, InodeReader(metadata).read(inode_.ino())};
}

std::uint32_t DirectoryWriter::hash_of(std::string_view name) const { return dir_name_hash(name, geometry().features); }

std::uint32_t DirectoryWriter::address_of(FileBlock data, std::uint32_t at_bytes) const {
  return static_cast<std::uint32_t>(((data.value() << geometry().block_log) + at_bytes) / kDirAlignBytes);
}

FileBlock DirectoryWriter::data_file_block(std::uint32_t number) const {
  return FileBlock(std::uint64_t{number} << geometry().dir_block_log);
}

std::uint32_t DirectoryWriter::data_blocks() const {
  return static_cast<std::uint32_t>(inode_.core().size / geometry().dir_block_bytes());
}

void DirectoryWriter::note_data_block(std::uint32_t number) {
  if (number < data_blocks()) return;
  inode_.change_core().size = (std::uint64_t{number} + 1) * geometry().dir_block_bytes();
}

DirForm DirectoryWriter::form() {
  if (fork_format(inode_.core(), Fork::kData) == ForkFormat::kLocal) return DirForm::kShort;
  ForkWriter fork(inode_, Fork::kData);
  const auto last = fork.last();
  if (!last) corrupt("it has no blocks");
  const std::uint64_t end = last->file_block.value() + last->length_blocks;
  const std::uint64_t length = 1ull << geometry().dir_block_log;
  if (end == length) return DirForm::kBlock;
  return end == DirRegions::of(geometry()).leaf.value() + length ? DirForm::kLeaf : DirForm::kNode;
}

std::optional<DirItem> DirectoryWriter::lookup(std::string_view name) { return reader().lookup(name); }

DirItem DirectoryWriter::require(std::string_view name) {
  auto item = lookup(name);
  if (!item) {
    throw RefusalError(Errc::kNotFound,
                       fmt::format("{}: directory {} has no \"{}\"", transaction_.journal().device().name(),
                                   inode_.ino().value(), name));
  }
  return *item;
}

bool DirectoryWriter::empty() {
  if (form() == DirForm::kShort) return read_short().entries.empty();
  Directory directory = reader();
  for (std::uint64_t at = 0;;) {
    const Directory::Batch batch = directory.read(at);
    for (const DirItem& item : batch.items) {
      if (!item.dots()) return false;
    }
    if (batch.end) return true;
    at = batch.next;
  }
}

void DirectoryWriter::add(const NewDirEntry& entry) {
  if (!valid_dir_name(entry.name) || entry.name == "." || entry.name == "..") {
    throw RefusalError(Errc::kBadArgument, fmt::format("\"{}\" cannot be the name of a file", entry.name));
  }
  DirForm form = this->form();
  if (form == DirForm::kShort) {
    if (add_short(entry)) return;
    short_to_block();
    form = DirForm::kBlock;
  }
  if (form == DirForm::kBlock) {
    if (add_block(entry)) return;
    block_to_leaf();
    form = DirForm::kLeaf;
  }
  if (form == DirForm::kLeaf) {
    if (add_leaf(entry)) return;
    leaf_to_node();
  }
  add_node(entry);
}

void DirectoryWriter::remove(std::string_view name) {
  const DirItem item = require(name);
  switch (form()) {
    case DirForm::kShort: {
      Short content = read_short();
      std::erase_if(content.entries, [&](const ShortEntry& entry) { return entry.name == item.name; });
      (void)store_short(content);  // fewer entries fit
      return;
    }
    case DirForm::kBlock:
      remove_from_block(item.name, item);
      return;
    case DirForm::kLeaf:
      remove_from_leaf(item.name, item);
      return;
    case DirForm::kNode:
      remove_from_node(item.name, item);
      return;
  }
}

void DirectoryWriter::replace(std::string_view name, InodeNumber ino, DirFileType type) {
  const DirItem item = require(name);
  const DirForm form = this->form();
  if (form == DirForm::kShort) {
    Short content = read_short();
    if (name == "..") {
      content.parent = ino;
    } else {
      for (ShortEntry& entry : content.entries) {
        if (entry.name != item.name) continue;
        entry.ino = ino;
        entry.type = type;
      }
    }
    if (store_short(content)) return;
    // A number that needs 64 bits made all of them longer.
    short_to_block();
    replace(name, ino, type);
    return;
  }
  ForkWriter fork(inode_, Fork::kData);
  const std::uint64_t byte = item.cookie * kDirAlignBytes;
  const auto number = static_cast<std::uint32_t>(byte / geometry().dir_block_bytes());
  edit(fork, data_file_block(number), form == DirForm::kBlock ? DirDataForm::kBlock : DirDataForm::kData)
      .replace(static_cast<std::uint32_t>(byte % geometry().dir_block_bytes()), ino, type);
}

// Inside the inode.

void DirectoryWriter::leave_inode() {
  if (form() == DirForm::kShort) short_to_block();
}

void DirectoryWriter::make_empty(const InodeEdit& inode, InodeNumber parent) {
  InodeCore& core = inode.change_core();
  core.format = static_cast<std::uint8_t>(ForkFormat::kLocal);
  const bool wide = parent.value() > limits::kMaxShortInode;
  const std::size_t bytes = sizeof(DirShortformHeader) + (wide ? sizeof(be64) : sizeof(be32));
  core.size = bytes;
  const MutableByteSpan fork = inode.change_fork(Fork::kData);
  std::fill(fork.begin(), fork.end(), std::byte{0});
  mutable_view<DirShortformHeader>(fork).i8count = wide ? 1 : 0;
  if (wide) {
    mutable_view<be64>(fork, sizeof(DirShortformHeader)) = parent.value();
  } else {
    mutable_view<be32>(fork, sizeof(DirShortformHeader)) = static_cast<std::uint32_t>(parent.value());
  }
}

DirectoryWriter::Short DirectoryWriter::read_short() {
  const std::uint64_t size = inode_.core().size;
  const ByteSpan fork = inode_.fork(Fork::kData);
  if (size > fork.size()) corrupt("its content does not fit its inode");
  const ByteSpan content = fork.first(static_cast<std::size_t>(size));
  if (const Flaws flaws = verify_dir_shortform(content, geometry()); !flaws.empty()) corrupt(flaws[0].rule);
  DirShortformCursor cursor(content, geometry().features.ftype());
  Short result{.parent = *cursor.parent(), .entries = {}};
  while (const auto entry = cursor.next()) {
    result.entries.push_back(
        {.name = std::string(entry->name), .ino = entry->ino, .type = entry->file_type, .tag = cursor.tag()});
  }
  return result;
}

// False when the inode has no room for it.
bool DirectoryWriter::store_short(const Short& content) {
  const bool file_type = geometry().features.ftype();
  std::size_t wide = content.parent.value() > limits::kMaxShortInode ? 1 : 0;
  for (const ShortEntry& entry : content.entries) wide += entry.ino.value() > limits::kMaxShortInode ? 1 : 0;
  const std::size_t number_bytes = wide != 0 ? sizeof(be64) : sizeof(be32);
  std::size_t size = sizeof(DirShortformHeader) + number_bytes;
  for (const ShortEntry& entry : content.entries) {
    size += sizeof(DirShortformEntry) + entry.name.size() + (file_type ? 1 : 0) + number_bytes;
  }
  const MutableByteSpan fork = inode_.change_fork(Fork::kData);
  if (size > fork.size() || content.entries.size() > 255 || wide > 255) return false;
  std::fill(fork.begin(), fork.end(), std::byte{0});
  auto& header = mutable_view<DirShortformHeader>(fork);
  header.count = static_cast<std::uint8_t>(content.entries.size());
  header.i8count = static_cast<std::uint8_t>(wide);
  std::size_t at = sizeof(DirShortformHeader);
  const auto put_number = [&](InodeNumber ino) {
    if (wide != 0) {
      mutable_view<be64>(fork, at) = ino.value();
    } else {
      mutable_view<be32>(fork, at) = static_cast<std::uint32_t>(ino.value());
    }
    at += number_bytes;
  };
  put_number(content.parent);
  for (const ShortEntry& entry : content.entries) {
    auto& stored = mutable_view<DirShortformEntry>(fork, at);
    stored.namelen = static_cast<std::uint8_t>(entry.name.size());
    stored.offset = static_cast<std::uint16_t>(entry.tag);
    at += sizeof(DirShortformEntry);
    std::memcpy(fork.data() + at, entry.name.data(), entry.name.size());
    at += entry.name.size();
    if (file_type) fork[at++] = static_cast<std::byte>(entry.type);
    put_number(entry.ino);
  }
  inode_.change_core().size = size;
  return true;
}

bool DirectoryWriter::add_short(const NewDirEntry& entry) {
  Short content = read_short();
  const bool file_type = geometry().features.ftype();
  const auto bytes_of = [&](std::string_view name) {
    return dir_data_entry_bytes(static_cast<std::uint32_t>(name.size()), file_type);
  };
  // As a block all of it, with its index, must fit as well.
  const std::uint32_t index =
      static_cast<std::uint32_t>((content.entries.size() + 3) * sizeof(DirLeafEntry) + sizeof(DirBlockTail));
  const std::uint32_t needed = bytes_of(entry.name);
  std::uint32_t end = behind_dots(file_type);
  std::optional<std::size_t> gap;
  std::uint32_t gap_tag = 0;
  for (std::size_t i = 0; i < content.entries.size(); ++i) {
    if (!gap && content.entries[i].tag >= end + needed) {
      gap = i;
      gap_tag = end;
    }
    end = content.entries[i].tag + bytes_of(content.entries[i].name);
  }
  ShortEntry fresh{.name = std::string(entry.name), .ino = entry.ino, .type = entry.type, .tag = end};
  if (end + needed + index <= geometry().dir_block_bytes()) {
    content.entries.push_back(std::move(fresh));
  } else if (gap && end + index <= geometry().dir_block_bytes()) {
    fresh.tag = gap_tag;
    content.entries.insert(content.entries.begin() + static_cast<std::ptrdiff_t>(*gap), std::move(fresh));
  } else {
    return false;
  }
  return store_short(content);
}

void DirectoryWriter::short_to_block() {
  const Short content = read_short();
  const bool file_type = geometry().features.ftype();
  InodeCore& core = inode_.change_core();
  const MutableByteSpan inline_bytes = inode_.change_fork(Fork::kData);
  std::fill(inline_bytes.begin(), inline_bytes.end(), std::byte{0});
  core.format = static_cast<std::uint8_t>(ForkFormat::kExtents);
  core.size = geometry().dir_block_bytes();
  ForkWriter fork(inode_, Fork::kData);
  DirDataEdit block = new_block(fork, FileBlock(0), DirDataForm::kBlock);
  std::vector<DirLeafEntry> index;
  const auto put = [&](std::uint32_t at, const NewDirEntry& entry) {
    block.add_at(at, entry);
    insert_index(index, hash_of(entry.name), address_of(FileBlock(0), at));
  };
  put(kDot, {.name = ".", .ino = inode_.ino(), .type = DirFileType::kDirectory});
  put(dot_dot(file_type), {.name = "..", .ino = content.parent, .type = DirFileType::kDirectory});
  for (const ShortEntry& entry : content.entries) {
    put(entry.tag, {.name = entry.name, .ino = entry.ino, .type = entry.type});
  }
  block.set_index(index);
}

void make_room_for_attributes(const InodeEdit& inode) {
  constexpr std::uint64_t kLeastAttributes = 48;
  const InodeCore& core = inode.core();
  if (core.type() != FileType::kDirectory || fork_format(core, Fork::kData) != ForkFormat::kLocal ||
      inode.fork(Fork::kAttr).size() >= kLeastAttributes) {
    return;
  }
  if (core.size + kLeastAttributes > inode.geometry().inode_bytes - sizeof(InodeCore)) {
    DirectoryWriter(inode.transaction(), inode.ino()).leave_inode();
  }
}

}  // namespace xdax

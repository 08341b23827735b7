#include "libfs/dir/directory.h"

#include <fmt/format.h>

#include <algorithm>

#include "libfs/base/error.h"
#include "libfs/format/da_hash.h"
#include "libfs/format/dir_leaf.h"
#include "libfs/format/dir_shortform.h"

namespace xdax {
namespace {

DirDataForm data_form(DirForm form) { return form == DirForm::kBlock ? DirDataForm::kBlock : DirDataForm::kData; }

// Positions of "." and ".." in a directory that has no block.
constexpr std::uint64_t kDotCookie = sizeof(DirDataHeader) / kDirAlignBytes;
std::uint64_t dot_dot_cookie(bool file_type) {
  return kDotCookie + dir_data_entry_bytes(1, file_type) / kDirAlignBytes;
}

}  // namespace

const char* to_string(DirForm form) {
  switch (form) {
    case DirForm::kShort:
      return "short";
    case DirForm::kBlock:
      return "block";
    case DirForm::kLeaf:
      return "leaf";
    case DirForm::kNode:
      return "node";
  }
  return "unknown";
}

Directory::Directory(const MetadataReader& reader, Inode inode)
    : reader_(reader),
      inode_(std::move(inode)),
      blocks_(reader_, inode_, Fork::kData, "directory"),
      form_(find_form()) {}

DirForm Directory::find_form() {
  if (!inode_.is_directory()) {
    throw RefusalError(Errc::kBadArgument,
                       fmt::format("{}: inode {} is not a directory", reader_.device().name(), inode_.ino().value()));
  }
  const MetadataPlace place = fork_place(reader_, inode_, Fork::kData, "directory");
  if (fork_format(inode_.core(), Fork::kData) == ForkFormat::kLocal) {
    reader_.require(verify_dir_shortform(local_content(inode_, Fork::kData), reader_.geometry()), place);
    return DirForm::kShort;
  }
  const DirRegions regions = DirRegions::of(reader_.geometry());
  const FileBlock end = blocks_.map().end();
  if (end > regions.past_end) reader_.corrupt(place, "it has blocks past what a directory may have");
  if (end == FileBlock(blocks_.block_length())) return DirForm::kBlock;
  const FileBlock leaf_end = regions.leaf + blocks_.block_length();
  if (end < leaf_end) reader_.corrupt(place, "it has no index");
  return end == leaf_end ? DirForm::kLeaf : DirForm::kNode;
}

DirItem Directory::item_of(const DirEntry& entry, std::uint64_t cookie) const {
  return {.name = std::string(entry.name), .ino = entry.ino, .type = entry.file_type, .cookie = cookie};
}

std::vector<DirItem> Directory::short_items() const {
  const bool file_type = reader_.geometry().features.ftype();
  const DirFileType folder = file_type ? DirFileType::kDirectory : DirFileType::kUnknown;
  DirShortformCursor cursor(local_content(inode_, Fork::kData), file_type);
  const auto parent = cursor.parent();
  if (!parent) reader_.corrupt(fork_place(reader_, inode_, Fork::kData, "directory"), "it has no parent");
  std::vector<DirItem> items;
  items.push_back({.name = ".", .ino = inode_.ino(), .type = folder, .cookie = kDotCookie});
  items.push_back({.name = "..", .ino = *parent, .type = folder, .cookie = dot_dot_cookie(file_type)});
  while (const auto entry = cursor.next()) items.push_back(item_of(*entry, cursor.tag() / kDirAlignBytes));
  return items;
}

const DaBlock& Directory::data_block(FileBlock at) {
  if (data_ && data_->at == at) return *data_;
  data_.reset();
  DaBlock block = blocks_.read(at);
  blocks_.require(verify_dir_data(block.bytes, reader_.geometry(), data_form(form_), blocks_.expectation(block)),
                  block);
  return data_.emplace(std::move(block));
}

Directory::Batch Directory::read(std::uint64_t cookie) {
  Batch batch;
  if (form_ == DirForm::kShort) {
    for (DirItem& item : short_items()) {
      if (item.cookie >= cookie) batch.items.push_back(std::move(item));
    }
    batch.end = true;
    return batch;
  }
  const Geometry& geometry = reader_.geometry();
  const std::uint64_t per_block = geometry.dir_block_bytes() / kDirAlignBytes;
  const std::uint64_t length = blocks_.block_length();
  const FileBlock leaf = DirRegions::of(geometry).leaf;
  if (cookie >= leaf.value() / length * per_block) return {.items = {}, .next = cookie, .end = true};
  // Holes are passed over: a block of entries that became empty is given back.
  const FileBlock from(cookie / per_block * length);
  const auto extent = blocks_.map().next(from);
  if (!extent || extent->file_block >= leaf) return {.items = {}, .next = cookie, .end = true};
  const FileBlock at(std::max(extent->file_block, from).value() / length * length);
  const std::uint64_t base = at.value() / length * per_block;
  const DaBlock& block = data_block(at);
  DirDataCursor cursor(block.bytes, data_form(form_), geometry.features.ftype());
  while (cursor.next()) {
    const DirDataItem& item = cursor.item();
    const std::uint64_t position = base + item.at_bytes / kDirAlignBytes;
    if (item.is_entry && position >= cookie) batch.items.push_back(item_of(item.entry, position));
  }
  batch.next = base + per_block;
  return batch;
}

std::vector<DirItem> Directory::list() {
  std::vector<DirItem> all;
  Batch batch;
  do {
    batch = read(batch.next);
    for (DirItem& item : batch.items) {
      if (!item.dots()) all.push_back(std::move(item));
    }
  } while (!batch.end);
  return all;
}

std::optional<DirItem> Directory::item_at(std::uint32_t address) {
  const std::uint64_t byte = std::uint64_t{address} * kDirAlignBytes;
  const Geometry& geometry = reader_.geometry();
  const FileBlock at(byte / geometry.dir_block_bytes() * blocks_.block_length());
  if (at >= DirRegions::of(geometry).leaf) return std::nullopt;
  const DaBlock& block = data_block(at);
  const auto offset = static_cast<std::uint32_t>(byte % geometry.dir_block_bytes());
  DirDataCursor cursor(block.bytes, data_form(form_), geometry.features.ftype());
  while (cursor.next()) {
    const DirDataItem& item = cursor.item();
    if (item.at_bytes == offset && item.is_entry) return item_of(item.entry, address);
  }
  return std::nullopt;
}

// Looks at the entries of one leaf that have the hash. False when the search is over: an equal name, or a greater hash.
bool Directory::consider(Candidate& best, std::string_view name, std::uint32_t hash,
                         std::span<const DirLeafEntry> index) {
  const Features& features = reader_.geometry().features;
  auto entry = std::partition_point(index.begin(), index.end(),
                                    [hash](const DirLeafEntry& each) { return each.hashval < hash; });
  for (; entry != index.end(); ++entry) {
    if (entry->hashval != hash) return false;
    if (entry->stale()) continue;
    std::optional<DirItem> item = item_at(entry->address);
    if (!item) reader_.corrupt(blocks_.place(), "its index names an entry that is not there");
    if (item->name == name) {
      best = {.item = std::move(item), .exact = true};
      return false;
    }
    if (!best.item && same_dir_name(item->name, name, features)) best.item = std::move(item);
  }
  return true;
}

std::optional<DirItem> Directory::lookup(std::string_view name) {
  if (!valid_dir_name(name)) return std::nullopt;
  const Geometry& geometry = reader_.geometry();
  Candidate best;
  if (form_ == DirForm::kShort) {
    for (DirItem& item : short_items()) {
      if (item.name == name) return std::move(item);
      if (!best.item && same_dir_name(item.name, name, geometry.features)) best.item = std::move(item);
    }
    return best.item;
  }
  const std::uint32_t hash = dir_name_hash(name, geometry.features);
  if (form_ == DirForm::kBlock) {
    // A copy, because candidates are read from the same block.
    const auto stored = dir_block_index(data_block(FileBlock(0)).bytes);
    const std::vector<DirLeafEntry> index(stored.begin(), stored.end());
    (void)consider(best, name, hash, index);
    return best.item;
  }
  const FileBlock root = DirRegions::of(geometry).leaf;
  if (form_ == DirForm::kLeaf) {
    const DaBlock leaf = blocks_.read(root);
    blocks_.require(verify_dir_leaf(leaf.bytes, geometry, DirLeafForm::kLeaf1, blocks_.expectation(leaf)), leaf);
    (void)consider(best, name, hash, dir_leaf_entries(leaf.bytes));
    return best.item;
  }
  const DaLeafKind kind{.verify =
                            [](ByteSpan block, const Geometry& where, const DaExpectation& expected) {
                              return verify_dir_leaf(block, where, DirLeafForm::kLeafN, expected);
                            },
                        .hashes = [](ByteSpan block) -> std::optional<DaLeafKind::Hashes> {
                          const auto entries = dir_leaf_entries(block);
                          if (entries.empty()) return std::nullopt;
                          return DaLeafKind::Hashes{.least = entries.front().hashval,
                                                    .greatest = entries.back().hashval};
                        }};
  DaTree tree(blocks_, root, kind);
  for (auto leaf = tree.find(hash); leaf; leaf = tree.next(*leaf)) {
    if (!consider(best, name, hash, dir_leaf_entries(leaf->bytes))) break;
  }
  return best.item;
}

}  // namespace xdax

#include "libfs/da/da_reader.h"

#include <fmt/format.h>

#include <algorithm>

namespace xdax {

DaReader::DaReader(const MetadataReader& reader, const Inode& inode, Fork fork, const char* structure)
    : reader_(reader),
      ino_(inode.ino()),
      fork_(fork),
      structure_(structure),
      block_length_(da_block_bytes(reader.geometry(), fork) >> reader.geometry().block_log),
      map_(reader, inode, fork) {}

MetadataPlace DaReader::place() const {
  return {.structure = structure_, .ino = ino_, .byte = reader_.geometry().byte_of(ino_)};
}

MetadataPlace DaReader::place(const DaBlock& block) const {
  return {.structure = structure_, .ino = ino_, .byte = reader_.geometry().byte_of(block.first)};
}

DaBlock DaReader::read(FileBlock at) {
  const Geometry& geometry = reader_.geometry();
  DaBlock block{
      .bytes = std::vector<std::byte>(std::size_t{block_length_} << geometry.block_log), .first = {}, .at = at};
  for (std::uint64_t done = 0; done < block_length_;) {
    const auto extent = map_.find(at + done);
    if (!extent || extent->unwritten) {
      reader_.corrupt(place(), fmt::format("block {} of the {} is not mapped", (at + done).value(),
                                           fork_ == Fork::kData ? "directory" : "attribute fork"));
    }
    const std::uint64_t skip = at + done - extent->file_block;
    const std::uint64_t count = std::min(extent->length_blocks - skip, block_length_ - done);
    const FsBlock start = extent->start + skip;
    if (done == 0) block.first = start;
    reader_.device().read(geometry.byte_of(start), MutableByteSpan(block.bytes)
                                                       .subspan(static_cast<std::size_t>(done << geometry.block_log),
                                                                static_cast<std::size_t>(count << geometry.block_log)));
    done += count;
  }
  return block;
}

DaBlock DaTree::visit(FileBlock at) {
  if (!visited_.insert(at.value()).second) {
    reader_.metadata().corrupt(reader_.place(), fmt::format("its hash tree leads back to block {}", at.value()));
  }
  return reader_.read(at);
}

std::optional<DaBlock> DaTree::find(std::uint32_t hash) {
  visited_.clear();
  DaBlock block = visit(root_);
  // A node says its level, and a parent which one it expects. Only of the root nobody says what it is.
  bool is_node = view<DaBlockInfo>(block.bytes).magic == DaNodeHeader::kMagic;
  std::optional<std::uint32_t> level;
  std::optional<std::uint32_t> greatest;
  while (is_node) {
    reader_.require(verify_da_node(block.bytes, reader_.geometry(), reader_.fork(), reader_.expectation(block), level),
                    block);
    const std::uint32_t own_level = view<DaNodeHeader>(block.bytes).level;
    const auto entries = da_node_entries(block.bytes);
    if (own_level == 0 || own_level > limits::kMaxDaLevels || entries.empty()) {
      reader_.corrupt(block, "a node of its hash tree has no level or no entries");
    }
    if (greatest && entries.back().hashval != *greatest) {
      reader_.corrupt(block, "the greatest hash of a node is not what its parent says");
    }
    const auto entry = std::partition_point(entries.begin(), entries.end(),
                                            [hash](const DaNodeEntry& each) { return each.hashval < hash; });
    if (entry == entries.end()) return std::nullopt;
    if (!valid_da_block(reader_.geometry(), reader_.fork(), entry->before)) {
      reader_.corrupt(block, "a node of its hash tree leads outside of it");
    }
    greatest = entry->hashval.get();
    level = own_level - 1;
    is_node = *level > 0;
    block = visit(FileBlock(entry->before));
  }
  check_leaf(block, greatest);
  const auto hashes = kind_.hashes(block.bytes);
  if (!greatest && (!hashes || hashes->greatest < hash)) return std::nullopt;
  return block;
}

void DaTree::check_leaf(const DaBlock& leaf, std::optional<std::uint32_t> greatest) const {
  reader_.require(kind_.verify(leaf.bytes, reader_.geometry(), reader_.expectation(leaf)), leaf);
  const auto hashes = kind_.hashes(leaf.bytes);
  if (greatest && hashes && hashes->greatest != *greatest) {
    reader_.corrupt(leaf, "the greatest hash of a leaf is not what its parent says");
  }
}

std::optional<DaBlock> DaTree::next(const DaBlock& leaf) {
  const std::uint32_t forw = view<DaBlockInfo>(leaf.bytes).forw;
  if (forw == 0) return std::nullopt;
  if (!valid_da_block(reader_.geometry(), reader_.fork(), forw)) {
    reader_.corrupt(leaf, "the leaf behind it lies outside of the hash tree");
  }
  DaBlock behind = visit(FileBlock(forw));
  check_leaf(behind, std::nullopt);
  if (view<DaBlockInfo>(behind.bytes).back != leaf.at.value()) {
    reader_.corrupt(behind, "the leaf before it is not the one that leads to it");
  }
  const auto left = kind_.hashes(leaf.bytes);
  const auto right = kind_.hashes(behind.bytes);
  if (left && right && right->least < left->greatest)
    reader_.corrupt(behind, "its hashes are not behind those before it");
  return behind;
}

}  // namespace xdax

// Finds every structure of an image by following the format's own pointers, and verifies each.
//
// The walker trusts what has been verified and nothing else; it stops a branch where a verifier found a flaw.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "libfs/format/agf.h"
#include "libfs/format/agfl.h"
#include "libfs/format/agi.h"
#include "libfs/format/attr_leaf.h"
#include "libfs/format/attr_shortform.h"
#include "libfs/format/btree_block.h"
#include "libfs/format/btree_records.h"
#include "libfs/format/da_hash.h"
#include "libfs/format/dir_data.h"
#include "libfs/format/dir_free.h"
#include "libfs/format/dir_leaf.h"
#include "libfs/format/dir_shortform.h"
#include "libfs/format/inode.h"
#include "libfs/format/inode_fork.h"
#include "libfs/format/remote_block.h"
#include "tests/oracle/format_image.h"

namespace xdax::test {

using Verify = std::function<Flaws(ByteSpan)>;

/// A verified structure, kept so that it can be damaged.
struct Sample {
  std::string kind;
  Bytes bytes;
  Verify verify;
};

class Walker {
 public:
  explicit Walker(const Image& image) : image_(image), geometry_(image.geometry()) {}

  void walk() {
    for (std::uint32_t ag = 0; ag < geometry_.ag_count; ++ag) walk_group(AgNumber(ag));
  }

  /// How many of each kind were seen.
  [[nodiscard]] const std::map<std::string, std::uint64_t>& census() const { return census_; }
  [[nodiscard]] const std::vector<Sample>& samples() const { return samples_; }
  [[nodiscard]] const std::vector<std::string>& problems() const { return problems_; }
  [[nodiscard]] std::string describe_census() const {
    std::string text;
    for (const auto& [kind, count] : census_) text += kind + " " + std::to_string(count) + "\n";
    return text;
  }

 private:
  static constexpr std::uint64_t kSamplesPerKind = 3;
  static constexpr std::size_t kMostProblems = 20;

  // Counts and verifies; whether there was no flaw.
  bool check(const std::string& kind, const Bytes& bytes, const Verify& verify, bool sealed = true) {
    const Flaws flaws = verify(bytes);
    if (!flaws.empty()) problem(kind + ":\n" + describe(flaws));
    if (++census_[kind] <= kSamplesPerKind && sealed && flaws.empty()) samples_.push_back({kind, bytes, verify});
    return flaws.empty();
  }
  void problem(const std::string& text) {
    if (problems_.size() < kMostProblems) problems_.push_back(text);
  }

  void walk_group(AgNumber ag) {
    const auto sector = [&](std::uint32_t index) {
      return image_.read(geometry_.header_byte(ag, index), geometry_.sector_bytes);
    };
    check("superblock", sector(0),
          [ag](ByteSpan b) { return verify_superblock(b, {.ag = ag, .primary = ag == AgNumber(0)}); });
    const Geometry& g = geometry_;
    const Bytes agf_bytes = sector(1);
    const Bytes agi_bytes = sector(2);
    if (!check("agf", agf_bytes, [&g, ag](ByteSpan b) { return verify_agf(b, g, ag); })) return;
    if (!check("agi", agi_bytes, [&g, ag](ByteSpan b) { return verify_agi(b, g, ag); })) return;
    const auto& agf = view<Agf>(agf_bytes);
    const auto& agi = view<Agi>(agi_bytes);
    const AgflRing ring{.first = agf.flfirst, .last = agf.fllast, .count = agf.flcount};
    check("agfl", sector(3), [&g, ag, ring](ByteSpan b) { return verify_agfl(b, g, ag, ring); });
    walk_tree(BtreeKind::kBno, ag, AgBlock(agf.roots[Agf::kBno]), agf.levels[Agf::kBno] - 1, true);
    walk_tree(BtreeKind::kCnt, ag, AgBlock(agf.roots[Agf::kCnt]), agf.levels[Agf::kCnt] - 1, true);
    if (g.features.rmapbt()) {
      walk_tree(BtreeKind::kRmap, ag, AgBlock(agf.roots[Agf::kRmap]), agf.levels[Agf::kRmap] - 1, true);
    }
    if (g.features.reflink()) {
      walk_tree(BtreeKind::kRefcount, ag, AgBlock(agf.refcount_root), agf.refcount_level - 1, true);
    }
    if (g.features.finobt()) walk_tree(BtreeKind::kFinobt, ag, AgBlock(agi.free_root), agi.free_level - 1, true);
    walk_tree(BtreeKind::kInobt, ag, AgBlock(agi.root), agi.level - 1, true);
    for (const be32& head : agi.unlinked) {
      if (AgInode(head) != kNullAgInode) ++census_["unlinked bucket"];
    }
  }

  void walk_tree(BtreeKind kind, AgNumber ag, AgBlock block, std::uint32_t level, bool root) {
    const Geometry& g = geometry_;
    const Bytes bytes = image_.block(ag, block);
    const ShortBtreeExpectation expected{.kind = kind, .ag = ag, .block = block, .level = level, .root = root};
    const std::string name = std::string(btree_spec(kind).name) + (level == 0 ? " leaf" : " node");
    if (!check(name, bytes, [&g, expected](ByteSpan b) { return verify_short_btree_block(b, g, expected); })) return;
    const BtreeLayout layout(kind, g.block_bytes);
    const std::uint32_t count = view<ShortBtreeHeader>(bytes).numrecs;
    for (std::uint32_t i = 0; i < count; ++i) {
      if (level > 0) {
        walk_tree(kind, ag, AgBlock(view<be32>(bytes, layout.pointer_offset(i))), level - 1, false);
      } else if (kind == BtreeKind::kInobt) {
        walk_chunk(ag, InodeChunk::decode(view<InodeChunkRecord>(bytes, layout.record_offset(i)), g.features.sparse()));
      } else if (kind == BtreeKind::kRefcount) {
        const auto& record = view<RefcountRecord>(bytes, layout.record_offset(i));
        ++census_[(record.startblock & refcount::kCowFlag) != 0 ? "cow staging record" : "shared record"];
      }
    }
  }

  void walk_chunk(AgNumber ag, const InodeChunk& chunk) {
    const Geometry& g = geometry_;
    if (chunk.holemask != 0) ++census_["sparse chunk"];
    for (unsigned i = 0; i < limits::kInodesPerChunk; ++i) {
      if ((chunk.existing_mask() >> i & 1) == 0) continue;
      const InodeNumber ino = g.inode_number(ag, chunk.start + i);
      const Bytes bytes = image_.read(g.byte_of(ino), g.inode_bytes);
      if (!check("inode", bytes, [&g, ino](ByteSpan b) { return verify_inode(b, g, {ino}); })) continue;
      const auto& core = view<InodeCore>(bytes);
      const bool free = (chunk.free_mask >> i & 1) != 0;
      if (free == core.allocated()) problem("inode " + std::to_string(ino.value()) + " contradicts its chunk");
      if (!core.allocated()) {
        ++census_["free inode"];
        continue;
      }
      if (core.nlink == 0) ++census_["inode without links"];
      walk_data_fork(bytes, ino);
      if (core.forkoff != 0) walk_attr_fork(bytes, ino);
    }
  }

  // The extents of a fork, whatever its format.
  std::vector<Extent> extents_of(const Bytes& inode, InodeNumber ino, Fork fork) {
    std::vector<Extent> extents;
    const auto& core = view<InodeCore>(inode);
    const char* const name = fork == Fork::kData ? "data" : "attr";
    if (fork_format(core, fork) == ForkFormat::kExtents) {
      for (const ExtentRecord& record : fork_extents(inode, fork)) extents.push_back(Extent::decode(record));
    } else if (fork_format(core, fork) == ForkFormat::kBtree) {
      ++census_[std::string(name) + " fork as btree"];
      const ByteSpan bytes = fork_bytes(inode, fork);
      const BmapRootLayout layout(static_cast<std::uint32_t>(bytes.size()));
      const auto& root = view<BmapRootHeader>(bytes);
      for (std::uint32_t i = 0; i < root.numrecs; ++i) {
        walk_bmap(FsBlock(view<be64>(bytes, layout.pointer_offset(i))), root.level - 1u, ino, fork, extents);
      }
    }
    if (extents.size() != extent_count(core, fork)) {
      problem("inode " + std::to_string(ino.value()) + ": " + name + " fork has other extents than it says");
    }
    for (const Extent& extent : extents) {
      if (extent.unwritten) ++census_["unwritten extent"];
    }
    return extents;
  }

  void walk_bmap(FsBlock block, std::uint32_t level, InodeNumber ino, Fork fork, std::vector<Extent>& extents) {
    const Geometry& g = geometry_;
    const Bytes bytes = image_.block(block);
    const LongBtreeExpectation expected{
        .block = block, .owner = ino, .level = level, .attribute_fork = fork == Fork::kAttr};
    const std::string name = std::string("bmapbt") + (level == 0 ? " leaf" : " node");
    if (!check(name, bytes, [&g, expected](ByteSpan b) { return verify_long_btree_block(b, g, expected); })) return;
    const BtreeLayout layout(BtreeKind::kBmap, g.block_bytes);
    const std::uint32_t count = view<LongBtreeHeader>(bytes).numrecs;
    for (std::uint32_t i = 0; i < count; ++i) {
      if (level > 0) {
        walk_bmap(FsBlock(view<be64>(bytes, layout.pointer_offset(i))), level - 1, ino, fork, extents);
      } else {
        extents.push_back(Extent::decode(view<ExtentRecord>(bytes, layout.record_offset(i))));
      }
    }
  }

  void walk_data_fork(const Bytes& inode, InodeNumber ino) {
    const auto& core = view<InodeCore>(inode);
    if (core.nrext64()) ++census_["nrext64 inode"];
    if (core.bigtime()) ++census_["bigtime inode"];
    const bool local = fork_format(core, Fork::kData) == ForkFormat::kLocal;
    switch (core.type()) {
      case FileType::kDirectory:
        if (local) {
          const ByteSpan fork = fork_bytes(inode, Fork::kData).first(static_cast<std::size_t>(core.size));
          check(
              "dir shortform", Bytes(fork.begin(), fork.end()),
              [this](ByteSpan b) { return verify_dir_shortform(b, geometry_); }, false);
        } else {
          walk_directory(core, ino, extents_of(inode, ino, Fork::kData));
        }
        break;
      case FileType::kSymlink:
        ++census_[local ? "symlink local" : "symlink remote"];
        if (!local) walk_symlink(core, ino, extents_of(inode, ino, Fork::kData));
        break;
      case FileType::kRegular:
        if (core.reflink()) ++census_["reflink inode"];
        extents_of(inode, ino, Fork::kData);
        break;
      default:
        ++census_["device inode"];
        break;
    }
  }

  void walk_symlink(const InodeCore& core, InodeNumber ino, const std::vector<Extent>& extents) {
    std::uint32_t offset = 0;
    for (const Extent& extent : extents) {
      const RemoteExpectation expected{.owner = ino,
                                       .block = extent.start,
                                       .offset_bytes = offset,
                                       .value_bytes = static_cast<std::uint32_t>(core.size)};
      check("symlink block", image_.block(extent.start, extent.length_blocks),
            [this, expected](ByteSpan b) { return verify_symlink_remote(b, geometry_, expected); });
      offset += remote_capacity_bytes(extent.length_blocks << geometry_.block_log);
    }
  }

  // File block to filesystem block.
  using BlockMap = std::map<std::uint64_t, FsBlock>;
  static BlockMap map_of(const std::vector<Extent>& extents) {
    BlockMap map;
    for (const Extent& extent : extents) {
      for (std::uint32_t i = 0; i < extent.length_blocks; ++i) {
        map.emplace(extent.file_block.value() + i, extent.start + i);
      }
    }
    return map;
  }
  // A block of a directory, put together from its pieces.
  [[nodiscard]] Bytes dir_block(const BlockMap& map, std::uint64_t file_block) const {
    Bytes bytes;
    for (std::uint32_t i = 0; i < 1u << geometry_.dir_block_log; ++i) {
      const Bytes piece = image_.block(map.at(file_block + i));
      bytes.insert(bytes.end(), piece.begin(), piece.end());
    }
    return bytes;
  }

  // What the index of a directory says: pairs of hash and address.
  using Index = std::multiset<std::pair<std::uint32_t, std::uint32_t>>;

  void walk_directory(const InodeCore& core, InodeNumber ino, const std::vector<Extent>& extents) {
    const Geometry& g = geometry_;
    const DirRegions regions = DirRegions::of(g);
    const BlockMap map = map_of(extents);
    const std::uint32_t step = 1u << g.dir_block_log;
    const bool has_leaf = map.lower_bound(regions.leaf.value()) != map.end();
    const bool has_free = map.lower_bound(regions.free.value()) != map.end();
    Index names;
    Index index;
    for (const auto& [file_block, block] : map) {
      if (file_block % step != 0) continue;
      const DaExpectation expected{.owner = ino, .block = block, .file_block = FileBlock(file_block)};
      if (file_block >= regions.free.value()) {
        check("dir free", dir_block(map, file_block),
              [&g, expected](ByteSpan b) { return verify_dir_free(b, g, expected); });
      } else if (file_block < regions.leaf.value()) {
        const DirDataForm form = has_leaf ? DirDataForm::kData : DirDataForm::kBlock;
        const Bytes bytes = dir_block(map, file_block);
        if (check(has_leaf ? "dir data" : "dir block", bytes,
                  [&g, expected, form](ByteSpan b) { return verify_dir_data(b, g, form, expected); })) {
          collect_names(bytes, form, file_block, names);
        }
      }
    }
    if (!has_leaf) return;
    if (has_free) {
      walk_dir_index(map, ino, regions.leaf.value(), std::nullopt, index);
    } else {
      const DaExpectation expected{.owner = ino, .block = map.at(regions.leaf.value()), .file_block = regions.leaf};
      const Bytes bytes = dir_block(map, regions.leaf.value());
      if (check("dir leaf1", bytes,
                [&g, expected](ByteSpan b) { return verify_dir_leaf(b, g, DirLeafForm::kLeaf1, expected); })) {
        collect_index(bytes, index);
      }
    }
    if (names != index) problem("directory " + std::to_string(ino.value()) + ": index and entries differ");
    if (core.size % g.dir_block_bytes() != 0) problem("directory of an odd size");
  }

  void collect_names(const Bytes& bytes, DirDataForm form, std::uint64_t file_block, Index& names) const {
    DirDataCursor cursor(bytes, form, geometry_.features.ftype());
    while (cursor.next()) {
      const DirDataItem& item = cursor.item();
      if (!item.is_entry) continue;
      const std::uint64_t byte = (file_block << geometry_.block_log) + item.at_bytes;
      names.emplace(dir_name_hash(item.entry.name, geometry_.features),
                    static_cast<std::uint32_t>(byte / kDirAlignBytes));
    }
  }
  static void collect_index(const Bytes& bytes, Index& index) {
    for (const DirLeafEntry& entry : dir_leaf_entries(bytes)) {
      if (!entry.stale()) index.emplace(entry.hashval, entry.address);
    }
  }

  void walk_dir_index(const BlockMap& map, InodeNumber ino, std::uint64_t file_block,
                      std::optional<std::uint32_t> level, Index& index) {
    const Geometry& g = geometry_;
    const DaExpectation expected{.owner = ino, .block = map.at(file_block), .file_block = FileBlock(file_block)};
    const Bytes bytes = dir_block(map, file_block);
    const bool leaf = level ? *level == 0 : view<DaBlockInfo>(bytes).magic == DirLeafHeader::kLeafNMagic;
    if (leaf) {
      if (check("dir leafn", bytes,
                [&g, expected](ByteSpan b) { return verify_dir_leaf(b, g, DirLeafForm::kLeafN, expected); })) {
        collect_index(bytes, index);
      }
      return;
    }
    if (!check("dir da node", bytes,
               [&g, expected, level](ByteSpan b) { return verify_da_node(b, g, Fork::kData, expected, level); })) {
      return;
    }
    const std::uint32_t below = view<DaNodeHeader>(bytes).level - 1u;
    for (const DaNodeEntry& entry : da_node_entries(bytes)) walk_dir_index(map, ino, entry.before, below, index);
  }

  void walk_attr_fork(const Bytes& inode, InodeNumber ino) {
    const auto& core = view<InodeCore>(inode);
    if (fork_format(core, Fork::kAttr) == ForkFormat::kLocal) {
      const ByteSpan fork = fork_bytes(inode, Fork::kAttr);
      check(
          "attr shortform", Bytes(fork.begin(), fork.end()),
          [this](ByteSpan b) { return verify_attr_shortform(b, geometry_); }, false);
      AttrShortformCursor cursor(fork);
      while (const auto entry = cursor.next()) count_parent(*entry);
      return;
    }
    const BlockMap map = map_of(extents_of(inode, ino, Fork::kAttr));
    if (map.contains(0)) walk_attr_tree(map, ino, 0, std::nullopt);
  }
  void count_parent(const AttrEntry& entry) {
    if (entry.parent()) ++census_["parent pointer"];
  }

  void walk_attr_tree(const BlockMap& map, InodeNumber ino, std::uint64_t file_block,
                      std::optional<std::uint32_t> level) {
    const Geometry& g = geometry_;
    const DaExpectation expected{.owner = ino, .block = map.at(file_block), .file_block = FileBlock(file_block)};
    const Bytes bytes = image_.block(map.at(file_block));
    const bool leaf = level ? *level == 0 : view<DaBlockInfo>(bytes).magic == AttrLeafHeader::kMagic;
    if (leaf) {
      if (!check("attr leaf", bytes, [&g, expected](ByteSpan b) { return verify_attr_leaf(b, g, expected); })) return;
      for (const AttrLeafEntry& entry : attr_leaf_entries(bytes)) {
        const auto name = attr_leaf_name(bytes, entry);
        count_parent(*name);
        if (name->remote) walk_attr_value(map, ino, *name);
      }
      return;
    }
    if (!check("attr da node", bytes,
               [&g, expected, level](ByteSpan b) { return verify_da_node(b, g, Fork::kAttr, expected, level); })) {
      return;
    }
    const std::uint32_t below = view<DaNodeHeader>(bytes).level - 1u;
    for (const DaNodeEntry& entry : da_node_entries(bytes)) walk_attr_tree(map, ino, entry.before, below);
  }

  void walk_attr_value(const BlockMap& map, InodeNumber ino, const AttrEntry& name) {
    const std::uint32_t blocks = attr_remote_blocks(name.value_bytes, geometry_.block_bytes);
    for (std::uint32_t i = 0; i < blocks; ++i) {
      const RemoteExpectation expected{.owner = ino,
                                       .block = map.at(name.remote_block + i),
                                       .offset_bytes = i * remote_capacity_bytes(geometry_.block_bytes),
                                       .value_bytes = name.value_bytes};
      check("attr remote", image_.block(expected.block),
            [this, expected](ByteSpan b) { return verify_attr_remote(b, geometry_, expected); });
    }
  }

  const Image& image_;
  const Geometry& geometry_;
  std::map<std::string, std::uint64_t> census_;
  std::vector<Sample> samples_;
  std::vector<std::string> problems_;
};

}  // namespace xdax::test

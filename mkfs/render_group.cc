// The bytes of a new group's header sectors and tree roots.
#include <algorithm>
#include <cstring>

#include "libfs/base/crc32c.h"
#include "libfs/format/agf.h"
#include "libfs/format/agfl.h"
#include "libfs/format/agi.h"
#include "libfs/format/btree_block.h"
#include "mkfs/layout.h"

namespace xdax::mkfs {
namespace {

constexpr std::uint32_t kUsedInodes = 3;  // root directory, realtime bitmap and summary

void render_superblock_copy(const Plan& plan, MutableByteSpan sector, bool finished) {
  auto& superblock = mutable_view<Superblock>(sector);
  superblock = plan.superblock;
  superblock.inprogress = finished ? 0 : 1;
  seal(sector, offsetof(Superblock, crc));
}

class GroupRenderer {
 public:
  GroupRenderer(const Plan& plan, AgNumber ag, const AgLayout& layout, MutableByteSpan blocks)
      : plan_(plan), geometry_(plan.geometry), ag_(ag), layout_(layout), blocks_(blocks) {}

  void headers() {
    render_superblock_copy(plan_, header_sector(0), false);
    agf(header_sector(1));
    agi(header_sector(2));
    agfl(header_sector(3));
  }

  void roots() {
    free_space_roots();
    const std::vector<InodeChunkRecord> chunks = inode_chunks();
    root<InodeChunkRecord>(BtreeKind::kInobt, layout_.inobt_root, chunks);
    if (layout_.finobt_root != 0) root<InodeChunkRecord>(BtreeKind::kFinobt, layout_.finobt_root, chunks);
    if (layout_.rmap_root != 0) root<RmapRecord>(BtreeKind::kRmap, layout_.rmap_root, reverse_map());
    if (layout_.refcount_root != 0) root<RefcountRecord>(BtreeKind::kRefcount, layout_.refcount_root, {});
  }

 private:
  [[nodiscard]] MutableByteSpan header_sector(std::size_t index) const {
    return blocks_.subspan(index * geometry_.sector_bytes, geometry_.sector_bytes);
  }

  void agf(MutableByteSpan sector) const {
    auto& agf = mutable_view<Agf>(sector);
    agf.magicnum = Agf::kMagic;
    agf.versionnum = Agf::kVersion;
    agf.seqno = ag_.value();
    agf.length = layout_.length;
    agf.roots[Agf::kBno] = layout_.bno_root;
    agf.roots[Agf::kCnt] = layout_.cnt_root;
    agf.levels[Agf::kBno] = 1;
    agf.levels[Agf::kCnt] = 1;
    if (layout_.rmap_root != 0) {
      agf.roots[Agf::kRmap] = layout_.rmap_root;
      agf.levels[Agf::kRmap] = 1;
      agf.rmap_blocks = 1;
    }
    if (layout_.refcount_root != 0) {
      agf.refcount_root = layout_.refcount_root;
      agf.refcount_level = 1;
      agf.refcount_blocks = 1;
    }
    // The ring starts at its second entry: an untouched first one is where the kernel's empty ring ends.
    agf.flfirst = 1;
    agf.fllast = layout_.free_list.length;
    agf.flcount = layout_.free_list.length;
    agf.freeblks = static_cast<std::uint32_t>(layout_.free_blocks());
    agf.longest = layout_.longest_free();
    agf.uuid = geometry_.uuid;
    seal(sector, offsetof(Agf, crc));
  }

  void agi(MutableByteSpan sector) const {
    auto& agi = mutable_view<Agi>(sector);
    const bool has_inodes = layout_.inodes.length != 0;
    agi.magicnum = Agi::kMagic;
    agi.versionnum = Agi::kVersion;
    agi.seqno = ag_.value();
    agi.length = layout_.length;
    agi.count = has_inodes ? first_inode_count(geometry_) : 0;
    agi.freecount = has_inodes ? first_inode_count(geometry_) - kUsedInodes : 0;
    agi.root = layout_.inobt_root;
    agi.level = 1;
    agi.newino = has_inodes ? geometry_.first_inode_of(AgBlock(layout_.inodes.start)).value() : kNullAgInode.value();
    agi.dirino = kNullAgInode.value();
    std::ranges::fill(agi.unlinked, be32(kNullAgInode.value()));
    agi.uuid = geometry_.uuid;
    if (layout_.finobt_root != 0) {
      agi.free_root = layout_.finobt_root;
      agi.free_level = 1;
    }
    if (geometry_.features.inobtcount()) {
      agi.iblocks = 1;
      agi.fblocks = layout_.finobt_root != 0 ? 1 : 0;
    }
    seal(sector, offsetof(Agi, crc));
  }

  void agfl(MutableByteSpan sector) const {
    auto& header = mutable_view<AgflHeader>(sector);
    header.magicnum = AgflHeader::kMagic;
    header.seqno = ag_.value();
    header.uuid = geometry_.uuid;
    const std::span<be32> entries = agfl_entries(sector);
    std::ranges::fill(entries, be32(kNullAgBlock.value()));
    for (std::uint32_t i = 0; i < layout_.free_list.length; ++i) entries[1 + i] = layout_.free_list.start + i;
    seal(sector, offsetof(AgflHeader, crc));
  }

  template <class Record>
  void root(BtreeKind kind, std::uint32_t at, const std::vector<Record>& records) const {
    const BtreeLayout tree(kind, geometry_.block_bytes);
    XDAX_ASSERT(sizeof(Record) == tree.spec().record_bytes && records.size() <= tree.max_records());
    const MutableByteSpan block = blocks_.subspan(std::size_t{at} << geometry_.block_log, geometry_.block_bytes);
    auto& header = mutable_view<ShortBtreeHeader>(block);
    header.magic = tree.spec().magic;
    header.level = 0;
    header.numrecs = static_cast<std::uint16_t>(records.size());
    header.leftsib = kNullAgBlock.value();
    header.rightsib = kNullAgBlock.value();
    header.blkno = geometry_.disk_address(ag_, AgBlock(at)).value();
    header.uuid = geometry_.uuid;
    header.owner = ag_.value();
    std::ranges::copy(records, mutable_view_array<Record>(block, tree.header_bytes(), records.size()).begin());
    seal(block, offsetof(ShortBtreeHeader, crc));
  }

  void free_space_roots() const {
    std::vector<BlockRun> runs = layout_.free;
    const auto records = [](const std::vector<BlockRun>& from) {
      std::vector<FreeRecord> to;
      for (const BlockRun& run : from) to.push_back({.startblock = run.start, .blockcount = run.length});
      return to;
    };
    root<FreeRecord>(BtreeKind::kBno, layout_.bno_root, records(runs));
    std::ranges::stable_sort(runs, {}, &BlockRun::length);
    root<FreeRecord>(BtreeKind::kCnt, layout_.cnt_root, records(runs));
  }

  [[nodiscard]] std::vector<InodeChunkRecord> inode_chunks() const {
    std::vector<InodeChunkRecord> records;
    if (layout_.inodes.length == 0) return records;
    const AgInode first = geometry_.first_inode_of(AgBlock(layout_.inodes.start));
    for (std::uint32_t done = 0; done < first_inode_count(geometry_); done += limits::kInodesPerChunk) {
      const std::uint32_t used = done == 0 ? kUsedInodes : 0;
      const InodeChunk chunk{.start = first + done,
                             .holemask = 0,
                             .count = limits::kInodesPerChunk,
                             .freecount = limits::kInodesPerChunk - used,
                             .free_mask = ~0ull << used};
      records.push_back(chunk.encode(geometry_.features.sparse()));
    }
    return records;
  }

  [[nodiscard]] std::vector<RmapRecord> reverse_map() const {
    struct Owned {
      BlockRun run;
      std::uint64_t owner;
    };
    const std::uint32_t inode_roots = layout_.finobt_root != 0 ? 2 : 1;
    std::vector<Owned> all = {{{0, geometry_.ag_header_blocks()}, rmap::kOwnerFs},
                              {{layout_.bno_root, 2}, rmap::kOwnerAg},
                              {{layout_.inobt_root, inode_roots}, rmap::kOwnerInobt},
                              {{layout_.rmap_root, 1}, rmap::kOwnerAg},
                              {{layout_.refcount_root, layout_.refcount_root != 0 ? 1u : 0u}, rmap::kOwnerRefcount},
                              {layout_.log, rmap::kOwnerLog},
                              {layout_.free_list, rmap::kOwnerAg},
                              {layout_.inodes, rmap::kOwnerInodes}};
    std::erase_if(all, [](const Owned& owned) { return owned.run.length == 0; });
    std::ranges::sort(all, {}, [](const Owned& owned) { return owned.run.start; });
    std::vector<RmapRecord> records;
    for (const Owned& owned : all) {
      // Neighbours of one owner are one record, as the kernel keeps them.
      if (!records.empty() && records.back().owner == owned.owner &&
          records.back().startblock + records.back().blockcount == owned.run.start) {
        records.back().blockcount += owned.run.length;
        continue;
      }
      records.push_back(
          {.startblock = owned.run.start, .blockcount = owned.run.length, .owner = owned.owner, .offset = 0});
    }
    return records;
  }

  const Plan& plan_;
  const Geometry& geometry_;
  AgNumber ag_;
  const AgLayout& layout_;
  MutableByteSpan blocks_;
};

}  // namespace

void render_group(const Plan& plan, AgNumber ag, const AgLayout& layout, MutableByteSpan blocks) {
  XDAX_ASSERT(blocks.size() == std::size_t{layout.fixed} << plan.geometry.block_log);
  GroupRenderer renderer(plan, ag, layout, blocks);
  renderer.headers();
  renderer.roots();
}

void render_primary_superblock(const Plan& plan, MutableByteSpan sector) { render_superblock_copy(plan, sector, true); }

}  // namespace xdax::mkfs

// Damage to the trees of a group: their shape, their records, and what they say about each other.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string_view>

#include "tests/oracle/fsck_rows.h"

namespace xdax::test {

inline constexpr BtreeKind kAllTrees[] = {BtreeKind::kBno,    BtreeKind::kCnt,  BtreeKind::kInobt,
                                          BtreeKind::kFinobt, BtreeKind::kRmap, BtreeKind::kRefcount};

using HeaderEdit = std::function<void(ShortBtreeHeader&)>;

/// Edits the header of the second leaf of a tree of group 0.
inline Row leaf_row(BtreeKind kind, const char* id, const HeaderEdit& edit, bool reseal = true) {
  return {.id = id, .name = btree_spec(kind).name, .damage = [=](ImageEditor& image) {
            image.edit_tree_header(0, image.levels(kind, 0).back().at(1), edit, reseal);
          }};
}

/// Edits the entries of the root of a tree of group 0, which is a node of at least four.
using NodeEdit = std::function<void(MutableByteSpan block, const BtreeLayout& layout)>;
inline Row node_row(BtreeKind kind, const char* id, const NodeEdit& edit) {
  return {.id = id, .name = btree_spec(kind).name, .damage = [=](ImageEditor& image) {
            const auto levels = image.levels(kind, 0);
            const BtreeLayout layout(kind, image.geometry().block_bytes);
            // The node above the leaves, whose entries lead to them.
            image.edit_block(0, levels.at(levels.size() - 2).front(), [&](MutableByteSpan block) {
              if (view<ShortBtreeHeader>(block).numrecs < 4) throw std::logic_error("the tree is too small");
              edit(block, layout);
            });
          }};
}

/// What a record that speaks of a file's blocks breaks besides: the file says otherwise.
inline void add_companions(std::vector<Row>& rows, const char* id, const char* name,
                           const std::vector<const char*>& companions) {
  bool found = false;
  for (Row& row : rows) {
    if (std::string_view(row.id) != id || std::string_view(row.name) != name) continue;
    row.companions.insert(row.companions.end(), companions.begin(), companions.end());
    found = true;
  }
  if (!found) throw std::logic_error(std::string("no row ") + id + " (" + name + ")");
}

inline std::vector<Row> tree_rows() {
  std::vector<Row> rows;
  for (const BtreeKind kind : kAllTrees) {
    rows.push_back(leaf_row(kind, "btree.magic", [](ShortBtreeHeader& header) { header.magic = 0x41414141; }));
    rows.push_back(
        leaf_row(kind, "btree.checksum", [](ShortBtreeHeader& header) { header.crc = header.crc ^ 2; }, false));
    rows.push_back(leaf_row(kind, "btree.uuid", [](ShortBtreeHeader& header) { header.uuid.bytes[7] ^= 1; }));
    rows.push_back(leaf_row(kind, "btree.self_address", [](ShortBtreeHeader& header) { header.blkno += 8; }));
    rows.push_back(leaf_row(kind, "btree.owner", [](ShortBtreeHeader& header) { header.owner = 1; }));
    rows.push_back(leaf_row(kind, "btree.count", [](ShortBtreeHeader& header) { header.numrecs = 1; }));
    rows.push_back(leaf_row(kind, "btree.count", [](ShortBtreeHeader& header) { header.numrecs = 0xffff; }));
    rows.push_back(leaf_row(kind, "btree.sibling", [](ShortBtreeHeader& header) { header.rightsib = 0xffffffff; }));
    rows.push_back(leaf_row(kind, "btree.sibling", [](ShortBtreeHeader& header) { header.leftsib = 0xffffffff; }));
    rows.push_back(leaf_row(kind, "btree.pointer", [](ShortBtreeHeader& header) { header.leftsib = 0xfffffff0; }));
    rows.push_back(node_row(kind, "btree.pointer", [](MutableByteSpan block, const BtreeLayout& layout) {
      mutable_view<be32>(block, layout.pointer_offset(1)) = 0;
    }));
    rows.push_back(node_row(kind, "btree.revisited", [](MutableByteSpan block, const BtreeLayout& layout) {
      mutable_view<be32>(block, layout.pointer_offset(2)) = view<be32>(block, layout.pointer_offset(1)).get();
    }));
    // Every key begins with its most significant word, and for this tree the second has the size in it.
    rows.push_back(node_row(kind, "btree.order", [](MutableByteSpan block, const BtreeLayout& layout) {
      const std::size_t at = layout.key_offset(1);
      const std::size_t bytes = layout.key_offset(2) - at;
      std::swap_ranges(block.begin() + static_cast<std::ptrdiff_t>(at),
                       block.begin() + static_cast<std::ptrdiff_t>(at + bytes),
                       block.begin() + static_cast<std::ptrdiff_t>(at + bytes));
    }));
    rows.push_back(node_row(kind, "btree.key", [](MutableByteSpan block, const BtreeLayout& layout) {
      // Both keep the order: a little less before the next, or a little more where only the size must not shrink.
      auto& start = mutable_view<be32>(block, layout.key_offset(1));
      start = layout.spec().kind == BtreeKind::kCnt ? start + 1 : start - 1;
    }));
  }
  rows.push_back(node_row(BtreeKind::kRmap, "btree.key", [](MutableByteSpan block, const BtreeLayout& layout) {
    auto& high = mutable_view<RmapKey>(block, layout.key_offset(1) + layout.spec().key_bytes);
    high.startblock += 1;
  }));
  rows.push_back({.id = "btree.level", .name = "header says more", .damage = [](ImageEditor& image) {
                    image.edit_agf(0, [](Agf& agf) { agf.levels[Agf::kBno] += 1; });
                  }});
  rows.push_back({.id = "io.unreadable",
                  .name = "leaf of bnobt",
                  .damage = [](ImageEditor&) {},
                  .unreadable =
                      [](ImageEditor& image) {
                        const AgBlock leaf = image.levels(BtreeKind::kBno, 0).back().at(1);
                        return std::pair<std::uint64_t, std::uint64_t>(image.geometry().byte_of(AgNumber(0), leaf), 1);
                      }});
  rows.push_back({.id = "io.unreadable",
                  .name = "agf",
                  .damage = [](ImageEditor&) {},
                  .unreadable =
                      [](ImageEditor& image) {
                        return std::pair<std::uint64_t, std::uint64_t>(image.geometry().header_byte(AgNumber(1), 1),
                                                                       512);
                      }});
  return rows;
}

/// Edits one record inside a leaf of group 0 for which `wanted` holds; `edit` gets the list and the index.
template <class Record>
Row record_row(BtreeKind kind, const char* id, const char* name,
               const std::function<bool(const std::vector<Record>&, std::size_t)>& wanted,
               const std::function<void(std::vector<Record>&, std::size_t)>& edit,
               const std::vector<const char*>& companions = {}) {
  return {.id = id,
          .name = name,
          .damage =
              [=](ImageEditor& image) {
                const auto place = image.find<Record>(kind, 0, wanted);
                image.edit_records<Record>(0, place.leaf, [&](std::vector<Record>& list) { edit(list, place.index); });
              },
          .companions = companions};
}

using Frees = std::vector<FreeRecord>;
using Chunks = std::vector<InodeChunkRecord>;
using Maps = std::vector<RmapRecord>;
using Counts = std::vector<RefcountRecord>;

template <class Record>
bool any_record(const std::vector<Record>&, std::size_t) {
  return true;
}
template <class Record>
std::ptrdiff_t at(std::size_t index, const std::vector<Record>&) {
  return static_cast<std::ptrdiff_t>(index);
}

/// A mapping that no other overlaps, that does not end its leaf's range, and whose neighbours touch it or not as told.
inline bool lone_mapping(const Maps& list, std::size_t i) {
  std::uint64_t furthest = 0;
  for (std::size_t j = 0; j < list.size(); ++j) {
    const std::uint64_t end = std::uint64_t{list[j].startblock} + list[j].blockcount;
    if (j < i && end > list[i].startblock) return false;
    if (j > i) furthest = std::max(furthest, end);
  }
  return list[i + 1].startblock >= list[i].startblock + list[i].blockcount &&
         furthest > list[i].startblock + list[i].blockcount;
}
inline bool data_mapping(const Maps& list, std::size_t i) {
  return lone_mapping(list, i) && !rmap::is_special(list[i].owner) &&
         (list[i].offset & (rmap::kAttrFork | rmap::kBmapBlock)) == 0;
}
inline bool inode_mapping(const Maps& list, std::size_t i) {
  return lone_mapping(list, i) && list[i].owner == rmap::kOwnerInodes;
}

inline std::vector<Row> record_rows() {
  return {
      record_row<FreeRecord>(BtreeKind::kBno, "free.range", "no length", any_record<FreeRecord>,
                             [](Frees& list, std::size_t i) { list[i].blockcount = 0; }),
      record_row<FreeRecord>(
          BtreeKind::kBno, "free.order", "touches the next", any_record<FreeRecord>,
          [](Frees& list, std::size_t i) { list[i].blockcount = list[i + 1].startblock - list[i].startblock; }),
      record_row<FreeRecord>(BtreeKind::kCnt, "free.order", "larger than the next", any_record<FreeRecord>,
                             [](Frees& list, std::size_t i) { std::swap(list[i], list[i - 1]); }),
      {.id = "free.order",
       .name = "touches the first of the next leaf",
       .damage =
           [](ImageEditor& image) {
             const std::vector<AgBlock> leaves = image.levels(BtreeKind::kBno, 0).back();
             const std::uint32_t next = image.records<FreeRecord>(0, leaves.at(2)).front().startblock;
             image.edit_records<FreeRecord>(
                 0, leaves.at(1), [&](Frees& list) { list.back().blockcount = next - list.back().startblock; });
           }},
      {.id = "refcount.order",
       .name = "overlaps the first of the next leaf",
       .damage =
           [](ImageEditor& image) {
             const std::vector<AgBlock> leaves = image.levels(BtreeKind::kRefcount, 0).back();
             const std::uint32_t next = image.records<RefcountRecord>(0, leaves.at(2)).front().startblock;
             image.edit_records<RefcountRecord>(
                 0, leaves.at(1), [&](Counts& list) { list.back().blockcount = next - list.back().startblock + 1; });
           },
       .companions = {"claim.twice"}},
      {.id = "structure.flaw",
       .name = "a whole leaf backwards",
       .damage =
           [](ImageEditor& image) {
             const AgBlock leaf = image.levels(BtreeKind::kBno, 0).back().at(1);
             image.edit_records<FreeRecord>(0, leaf, [](Frees& list) { std::reverse(list.begin(), list.end()); });
           },
       .companions = {"free.order"}},
      record_row<InodeChunkRecord>(BtreeKind::kInobt, "inobt.range", "misaligned", any_record<InodeChunkRecord>,
                                   [](Chunks& list, std::size_t i) { list[i].startino += 1; }),
      record_row<InodeChunkRecord>(BtreeKind::kInobt, "inobt.consistency", "free count", any_record<InodeChunkRecord>,
                                   [](Chunks& list, std::size_t i) { list[i].sparse.freecount ^= 1; }),
      record_row<InodeChunkRecord>(BtreeKind::kInobt, "inobt.order", "twice", any_record<InodeChunkRecord>,
                                   [](Chunks& list, std::size_t i) { list[i].startino = list[i - 1].startino.get(); }),
      record_row<InodeChunkRecord>(BtreeKind::kFinobt, "finobt.consistency", "nothing free",
                                   any_record<InodeChunkRecord>,
                                   [](Chunks& list, std::size_t i) {
                                     list[i].free = 0;
                                     list[i].sparse.freecount = 0;
                                   }),
      record_row<RmapRecord>(BtreeKind::kRmap, "rmap.range", "no length", data_mapping,
                             [](Maps& list, std::size_t i) { list[i].blockcount = 0; }),
      record_row<RmapRecord>(BtreeKind::kRmap, "rmap.order", "swapped", data_mapping,
                             [](Maps& list, std::size_t i) { std::swap(list[i], list[i + 1]); }),
      {.id = "rmap.order",
       .name = "metadata under a file's mapping that began before the last",
       .damage =
           [](ImageEditor& image) {
             const auto touches = [](const Maps& list, std::size_t i) {
               return list[i].startblock + list[i].blockcount == list[i + 1].startblock;
             };
             const auto place = image.find<RmapRecord>(BtreeKind::kRmap, 0, [&](const Maps& list, std::size_t i) {
               return i + 3 < list.size() && data_mapping(list, i) && touches(list, i) && data_mapping(list, i + 1) &&
                      touches(list, i + 1) && data_mapping(list, i + 2);
             });
             image.edit_records<RmapRecord>(0, place.leaf, [&](Maps& list) {
               const std::size_t i = place.index;
               list[i].blockcount += list[i + 1].blockcount + 1;
               list[i + 2].owner = rmap::kOwnerInobt;
               list[i + 2].offset = 0;
             });
           },
       .companions = {"extent.unmapped", "extent.unowned", "refcount.missing", "rmap.stale"}},
      record_row<RmapRecord>(BtreeKind::kRmap, "rmap.owner", "unknown owner", data_mapping,
                             [](Maps& list, std::size_t i) {
                               list[i].owner = rmap::kOwnerUnknown;
                               list[i].offset = 0;
                             }),
      record_row<RmapRecord>(BtreeKind::kRmap, "rmap.reserved", "offset of metadata", inode_mapping,
                             [](Maps& list, std::size_t i) { list[i].offset = 5; }),
      record_row<RmapRecord>(
          BtreeKind::kRmap, "rmap.unmerged", "cut in two",
          [](const Maps& list, std::size_t i) { return inode_mapping(list, i) && list[i].blockcount > 1; },
          [](Maps& list, std::size_t i) {
            RmapRecord second = list[i];
            list[i].blockcount = 1;
            second.startblock += 1;
            second.blockcount -= 1;
            list.insert(list.begin() + at(i + 1, list), second);
          }),
      record_row<RefcountRecord>(BtreeKind::kRefcount, "refcount.range", "one owner", any_record<RefcountRecord>,
                                 [](Counts& list, std::size_t i) { list[i].refcount = 1; }),
      record_row<RefcountRecord>(BtreeKind::kRefcount, "refcount.order", "swapped", any_record<RefcountRecord>,
                                 [](Counts& list, std::size_t i) { std::swap(list[i], list[i + 1]); }),
      record_row<RefcountRecord>(
          BtreeKind::kRefcount, "refcount.unmerged", "cut in two",
          [](const Counts& list, std::size_t i) { return list[i].blockcount > 1; },
          [](Counts& list, std::size_t i) {
            RefcountRecord second = list[i];
            list[i].blockcount = 1;
            second.startblock += 1;
            second.blockcount -= 1;
            list.insert(list.begin() + at(i + 1, list), second);
          }),
      {.id = "inobt.partial_block",
       .name = "half a block of holes",
       .base = Base::kPlain,
       .damage =
           [](ImageEditor& image) {
             for (const BtreeKind kind : {BtreeKind::kInobt, BtreeKind::kFinobt}) {
               image.edit_records<InodeChunkRecord>(0, image.root(kind, 0), [](Chunks& list) {
                 list[0].sparse.holemask = 0x8000;
                 list[0].sparse.count = 60;
                 list[0].sparse.freecount = static_cast<std::uint8_t>(list[0].sparse.freecount - 4);
               });
             }
           },
       .companions = {"total.inodes", "total.free_inodes", "total.sb_icount", "total.sb_ifree"}},
  };
}

/// Takes one free block, in an extent of its own, out of everything that says it is free.
inline AgBlock take_free_block(ImageEditor& image) {
  const auto single = [](const Frees& list, std::size_t i) { return list[i].blockcount == 1; };
  const auto place = image.find<FreeRecord>(BtreeKind::kBno, 0, single);
  std::uint32_t block = 0;
  image.edit_records<FreeRecord>(0, place.leaf, [&](Frees& list) {
    block = list[place.index].startblock;
    list.erase(list.begin() + at(place.index, list));
  });
  const auto same = [&](const Frees& list, std::size_t i) { return list[i].startblock == block; };
  const auto by_size = image.find<FreeRecord>(BtreeKind::kCnt, 0, same);
  image.edit_records<FreeRecord>(0, by_size.leaf,
                                 [&](Frees& list) { list.erase(list.begin() + at(by_size.index, list)); });
  image.edit_agf(0, [](Agf& agf) { agf.freeblks -= 1; });
  image.edit_superblock(0, [](Superblock& sb) { sb.fdblocks -= 1; });
  return AgBlock(block);
}

/// Blocks of group 0 that are free, by bnobt.
inline bool is_free(ImageEditor& image, std::uint32_t block) {
  const std::vector<AgBlock> leaves = image.levels(BtreeKind::kBno, 0).back();
  for (const AgBlock leaf : leaves) {
    for (const FreeRecord& record : image.records<FreeRecord>(0, leaf)) {
      if (block >= record.startblock && block < record.startblock + record.blockcount) return true;
    }
  }
  return false;
}

template <class Record>
void erase_record(std::vector<Record>& list, std::size_t i) {
  list.erase(list.begin() + at(i, list));
}

inline std::vector<Row> sharing_rows() {
  return {
      record_row<RefcountRecord>(BtreeKind::kRefcount, "refcount.missing", "record lost", any_record<RefcountRecord>,
                                 erase_record<RefcountRecord>),
      record_row<RefcountRecord>(BtreeKind::kRefcount, "refcount.wrong", "one more", any_record<RefcountRecord>,
                                 [](Counts& list, std::size_t i) { list[i].refcount += 5; }),
      {.id = "refcount.stale",
       .name = "one block longer",
       .damage =
           [](ImageEditor& image) {
             const auto place =
                 image.find<RefcountRecord>(BtreeKind::kRefcount, 0, [&](const Counts& list, std::size_t i) {
                   const std::uint32_t end = list[i].startblock + list[i].blockcount;
                   return list[i + 1].startblock > end && !is_free(image, end);
                 });
             image.edit_records<RefcountRecord>(0, place.leaf,
                                                [&](Counts& list) { list[place.index].blockcount += 1; });
           }},
      record_row<RmapRecord>(BtreeKind::kRmap, "refcount.cow_missing", "staging by the reverse map only", data_mapping,
                             [](Maps& list, std::size_t i) {
                               list[i].owner = rmap::kOwnerCow;
                               list[i].offset = 0;
                             }),
      {.id = "refcount.cow_stale",
       .name = "staging by the reference counts only",
       .damage =
           [](ImageEditor& image) {
             const AgBlock block = take_free_block(image);
             const AgBlock leaf = image.levels(BtreeKind::kRefcount, 0).back().back();
             image.edit_records<RefcountRecord>(0, leaf, [&](Counts& list) {
               list.push_back({.startblock = block.value() | refcount::kCowFlag, .blockcount = 1u, .refcount = 1u});
             });
           }},
  };
}

inline std::vector<Row> cross_rows() {
  std::vector<Row> rows = {
      record_row<FreeRecord>(
          BtreeKind::kCnt, "free.mismatch", "moved by one block",
          [](const Frees& list, std::size_t i) {
            return list[i].blockcount > 1 &&
                   (list[i + 1].blockcount > list[i].blockcount || list[i + 1].startblock > list[i].startblock + 1);
          },
          [](Frees& list, std::size_t i) { list[i].startblock += 1; }),
      record_row<InodeChunkRecord>(BtreeKind::kFinobt, "finobt.missing", "record lost", any_record<InodeChunkRecord>,
                                   erase_record<InodeChunkRecord>),
      record_row<InodeChunkRecord>(BtreeKind::kFinobt, "finobt.differs", "one more free", any_record<InodeChunkRecord>,
                                   [](Chunks& list, std::size_t i) {
                                     const std::uint64_t mask = list[i].free;
                                     const std::uint64_t lowest_used = ~mask & (mask + 1);
                                     list[i].free = mask | lowest_used;
                                     list[i].sparse.freecount = static_cast<std::uint8_t>(list[i].sparse.freecount + 1);
                                   }),
      record_row<InodeChunkRecord>(BtreeKind::kFinobt, "finobt.differs", "as many free, but others",
                                   any_record<InodeChunkRecord>,
                                   [](Chunks& list, std::size_t i) {
                                     const std::uint64_t mask = list[i].free;
                                     list[i].free = (mask | (~mask & (mask + 1))) & ~(mask & (~mask + 1));
                                   }),
      {.id = "finobt.stale",
       .name = "chunk that is not there",
       .damage =
           [](ImageEditor& image) {
             const AgBlock leaf = image.levels(BtreeKind::kFinobt, 0).back().back();
             const std::uint32_t inode = (image.geometry().ag_length_blocks(AgNumber(0)) - 64)
                                         << image.geometry().inodes_per_block_log;
             image.edit_records<InodeChunkRecord>(0, leaf, [&](Chunks& list) {
               InodeChunk chunk{.start = AgInode(inode / 64 * 64), .count = 64, .freecount = 64, .free_mask = ~0ull};
               list.push_back(chunk.encode(true));
             });
           }},
      {.id = "claim.twice",
       .name = "free list names a free block",
       .base = Base::kPlain,
       .damage =
           [](ImageEditor& image) {
             const std::uint32_t first = image.agf(1).flfirst;
             const std::uint32_t free = image.geometry().ag_length_blocks(AgNumber(1)) - 1;
             image.edit_agfl(1, [&](AgflHeader&, std::span<be32> entries) { entries[first] = free; });
           }},
      record_row<RmapRecord>(BtreeKind::kRmap, "rmap.missing", "record lost", inode_mapping, erase_record<RmapRecord>),
      record_row<RmapRecord>(
          BtreeKind::kRmap, "rmap.wrong_owner", "to the inode trees",
          [](const Maps& list, std::size_t i) {
            return inode_mapping(list, i) && list[i - 1].owner != rmap::kOwnerInobt &&
                   list[i + 1].owner != rmap::kOwnerInobt;
          },
          [](Maps& list, std::size_t i) { list[i].owner = rmap::kOwnerInobt; }),
      record_row<RmapRecord>(BtreeKind::kRmap, "rmap.wrong_owner", "to a file", inode_mapping,
                             [](Maps& list, std::size_t i) { list[i].owner = list[i].startblock << 1; }),
      record_row<RmapRecord>(BtreeKind::kRmap, "rmap.stale", "a file's blocks to the inode trees", data_mapping,
                             [](Maps& list, std::size_t i) {
                               list[i].owner = rmap::kOwnerInobt;
                               list[i].offset = 0;
                             }),
      {.id = "rmap.free_space",
       .name = "one block longer",
       .damage =
           [](ImageEditor& image) {
             const auto place = image.find<RmapRecord>(BtreeKind::kRmap, 0, [&](const Maps& list, std::size_t i) {
               const std::uint32_t end = list[i].startblock + list[i].blockcount;
               return data_mapping(list, i) && list[i + 1].startblock > end && is_free(image, end);
             });
             image.edit_records<RmapRecord>(0, place.leaf, [&](Maps& list) { list[place.index].blockcount += 1; });
           }},
      record_row<RmapRecord>(BtreeKind::kRmap, "rmap.leak", "a file's record lost", data_mapping,
                             erase_record<RmapRecord>),
  };
  rows.push_back({.id = "rmap.leak", .name = "the last block of a group", .damage = [](ImageEditor& image) {
                    for (const BtreeKind kind : {BtreeKind::kBno, BtreeKind::kCnt}) {
                      image.edit_records<FreeRecord>(3, image.root(kind, 3), [&](Frees& list) {
                        list.back().blockcount -= 1;
                        const std::uint64_t end = std::uint64_t{list.back().startblock} + list.back().blockcount;
                        if (end + 1 != image.geometry().ag_length_blocks(AgNumber(3)))
                          throw std::logic_error("the end of the group is not free");
                      });
                    }
                    image.edit_agf(3, [](Agf& agf) {
                      agf.freeblks -= 1;
                      agf.longest -= 1;
                    });
                    image.edit_superblock(0, [](Superblock& sb) { sb.fdblocks -= 1; });
                  }});
  for (Row& row : sharing_rows()) rows.push_back(std::move(row));
  add_companions(rows, "claim.twice", "free list names a free block", {"extent.leaked"});
  add_companions(rows, "rmap.wrong_owner", "to a file", {"extent.unowned"});
  add_companions(rows, "rmap.stale", "a file's blocks to the inode trees", {"extent.unmapped"});
  add_companions(rows, "rmap.free_space", "one block longer", {"extent.unowned"});
  add_companions(rows, "rmap.leak", "a file's record lost", {"extent.unmapped"});
  add_companions(rows, "refcount.cow_missing", "staging by the reverse map only", {"extent.unmapped"});
  return rows;
}

}  // namespace xdax::test

// Damage to the content of directories and attributes.
#pragma once

#include "libfs/format/attr_leaf.h"
#include "libfs/format/attr_shortform.h"
#include "libfs/format/da_node.h"
#include "libfs/format/dir_data.h"
#include "libfs/format/dir_free.h"
#include "libfs/format/dir_leaf.h"
#include "libfs/format/dir_shortform.h"
#include "libfs/format/remote_block.h"
#include "tests/oracle/fsck_rows_files.h"

namespace xdax::test {

inline std::vector<Row> directory_rows(const AllNames& names) {
  std::vector<Row> rows;
  const auto file = [&](const char* id, const char* name, const FileDamage& damage,
                        std::vector<const char*> companions = {}) {
    rows.push_back(file_row(names, id, name, damage, std::move(companions)));
  };
  const auto block = [&](const char* id, const char* name, const char* path, std::uint32_t number,
                         const ImageEditor::ByteEdit& edit, std::vector<const char*> companions = {},
                         bool reseal = true) {
    file(
        id, name,
        [=](FileEditor& e) {
          const FileBlock at{std::uint64_t{number} << e.geometry().dir_block_log};
          e.edit_block(path, Fork::kData, at, reseal ? std::optional(offsetof(DirBlockInfo, crc)) : std::nullopt, edit);
        },
        std::move(companions));
  };
  const auto header = [&](const char* id, const char* path, const std::function<void(DirDataHeader&)>& edit,
                          std::vector<const char*> companions = {}, bool reseal = true) {
    block(
        id, path, path, 0, [=](MutableByteSpan b) { edit(mutable_view<DirDataHeader>(b)); }, std::move(companions),
        reseal);
  };
  for (const char* path : {"block", "leaf", "node"}) {
    header("dir.magic", path, [](DirDataHeader& h) { h.info.magic = 1; });
    header("dir.checksum", path, [](DirDataHeader& h) { h.info.crc = h.info.crc ^ 1; }, {}, false);
    header("dir.uuid", path, [](DirDataHeader& h) { h.info.uuid.bytes[4] ^= 1; });
    header("dir.self_address", path, [](DirDataHeader& h) { h.info.blkno += 2; });
    header("dir.owner", path, [](DirDataHeader& h) { h.info.owner += 1; });
    header("dir.consistency", path, [](DirDataHeader& h) { h.best_free[0].length = 8; });
    header("lsn.ahead", path, [](DirDataHeader& h) { h.info.lsn = 1ull << 50; });
    block("dir.pointer", "the number of an entry", path, 0, [](MutableByteSpan b) {
      const std::size_t dotdot = sizeof(DirDataHeader) + dir_data_entry_bytes(1, true);
      mutable_view<be64>(b, dotdot) = 1ull << 55;
    });
    block("dir.consistency", "dot names another", path, 0,
          [](MutableByteSpan b) { mutable_view<be64>(b, sizeof(DirDataHeader)) += 1; });
    block("dir.range", "the type of an entry", path, 0,
          [](MutableByteSpan b) { b[sizeof(DirDataHeader) + sizeof(DirDataEntry) + 1] = std::byte{77}; });
    block("dir.self_address", "the tag of an entry", path, 0, [](MutableByteSpan b) {
      mutable_view<be16>(b, sizeof(DirDataHeader) + dir_data_entry_bytes(1, true) - 2) = 8;
    });
  }
  block("dir.range", "an unused region of no length", "leaf", 1, [](MutableByteSpan b) {
    mutable_view<be16>(b, sizeof(DirDataHeader)) = DirDataUnused::kFreeTag;
    mutable_view<be16>(b, sizeof(DirDataHeader) + 2) = 0;
  });
  block("dir.dot", "the dots are gone", "wide", 0,
        [](MutableByteSpan b) {
          // Their two entries become one unused region, as if they had been removed.
          const std::uint32_t bytes = dir_data_entry_bytes(1, true) + dir_data_entry_bytes(2, true);
          mutable_view<be16>(b, sizeof(DirDataHeader)) = DirDataUnused::kFreeTag;
          mutable_view<be16>(b, sizeof(DirDataHeader) + 2) = static_cast<std::uint16_t>(bytes);
          mutable_view<be16>(b, sizeof(DirDataHeader) + bytes - 2) = sizeof(DirDataHeader);
        },
        {"dir.consistency", "dir.index_stale"});
  block("dir.duplicate", "two entries of one name", "block", 0,
        [](MutableByteSpan b) {
          const auto index = dir_block_index(b);
          static_cast<void>(index);
          const std::size_t base = b.size() - sizeof(DirBlockTail) - view<DirBlockTail>(b, b.size() - 8).count * 8;
          // The last two index entries name the same entry: the name is found twice.
          const std::uint32_t count = view<DirBlockTail>(b, b.size() - 8).count;
          auto& last = mutable_view<DirLeafEntry>(b, base + (count - 1) * 8);
          auto& before = mutable_view<DirLeafEntry>(b, base + (count - 2) * 8);
          before = last;
        },
        {"dir.consistency"});
  file("dir.duplicate", "in a shortform directory", [](FileEditor& e) {
    e.edit_fork("twins", Fork::kData, [](MutableByteSpan b) {
      // Entries: namelen, offset (2), name, type, number (4). The second gets the first one's name.
      const std::size_t first = 6;
      const std::size_t length = std::to_integer<std::size_t>(b[first]);
      const std::size_t second = first + 3 + length + 5;
      std::copy_n(b.begin() + static_cast<std::ptrdiff_t>(first + 3), length,
                  b.begin() + static_cast<std::ptrdiff_t>(second + 3));
    });
  });
  file("dir.range", "a name of a shortform directory",
       [](FileEditor& e) { e.edit_fork("short", Fork::kData, [](MutableByteSpan b) { b[6 + 3] = std::byte{'/'}; }); });
  file("dir.range", "entries of a shortform directory",
       [](FileEditor& e) { e.edit_fork("short", Fork::kData, [](MutableByteSpan b) { b[0] = std::byte{200}; }); });
  file("dir.size", "one block more",
       [](FileEditor& e) { e.edit_inode("node", [&](InodeCore& c) { c.size += 4096; }); });
  file("dir.hole", "the first block is not mapped",
       [](FileEditor& e) { e.edit_extent("block", 0, [](Extent& x) { x.file_block = x.file_block + 4; }); },
       {"dir.magic", "dir.size", "extent.unmapped", "extent.unowned"});
  file("dir.stray", "a block past the end of all parts",
       [](FileEditor& e) {
         const std::uint64_t past = DirRegions::of(e.geometry()).past_end.value();
         const auto count = e.extents("leaf").size();
         e.edit_extent("leaf", count - 1, [past](Extent& x) { x.file_block = FileBlock(past); });
       },
       {"dir.hole", "extent.unmapped", "extent.unowned"});
  file("dir.revisited", "two places map the same blocks",
       [](FileEditor& e) {
         const FsBlock first = e.extents("leaf").front().start;
         const auto count = e.extents("leaf").size();
         e.edit_extent("leaf", count - 1, [first](Extent& x) { x.start = first; });
       },
       {"extent.unmapped", "extent.unowned"});
  // The index.
  const auto index = [&](const char* id, const char* name, const char* path, const ImageEditor::ByteEdit& edit,
                         std::vector<const char*> companions = {}, std::uint32_t number = 0) {
    file(
        id, name,
        [=](FileEditor& e) {
          const FileBlock at = e.leaf_region() + (std::uint64_t{number} << e.geometry().dir_block_log);
          e.edit_block(path, Fork::kData, at, offsetof(DaBlockInfo, crc), edit);
        },
        std::move(companions));
  };
  index("dir.order", "hashes of a leaf", "leaf", [](MutableByteSpan b) {
    std::swap(mutable_view<DirLeafEntry>(b, 64 + 8 * 10), mutable_view<DirLeafEntry>(b, 64 + 8 * 40));
  });
  index("dir.count", "stale entries of a leaf", "leaf",
        [](MutableByteSpan b) { mutable_view<DirLeafHeader>(b).stale += 1; });
  index("dir.index_missing", "an entry of the index made stale", "leaf", [](MutableByteSpan b) {
    for (std::size_t i = 0;; ++i) {
      auto& entry = mutable_view<DirLeafEntry>(b, 64 + 8 * i);
      if (entry.stale()) continue;
      entry.address = DirLeafEntry::kStale;
      mutable_view<DirLeafHeader>(b).stale += 1;
      return;
    }
  });
  index("dir.index_stale", "an address of the index", "leaf",
        [](MutableByteSpan b) {
          for (std::size_t i = 0;; ++i) {
            auto& entry = mutable_view<DirLeafEntry>(b, 64 + 8 * i);
            if (entry.stale()) continue;
            entry.address += 1;
            return;
          }
        },
        {"dir.index_missing"});
  index("dir.bests", "of a leaf form", "leaf", [](MutableByteSpan b) { mutable_view<be16>(b, b.size() - 6) = 8; });
  index("dir.level", "of a node", "node", [](MutableByteSpan b) { mutable_view<DaNodeHeader>(b).level = 6; });
  index("dir.order", "the hash a node has for a leaf", "node",
        [](MutableByteSpan b) { mutable_view<DaNodeEntry>(b, sizeof(DaNodeHeader)).hashval -= 1; });
  index("dir.pointer", "a child of a node", "node",
        [](MutableByteSpan b) { mutable_view<DaNodeEntry>(b, sizeof(DaNodeHeader) + 8).before = 3; });
  index("dir.revisited", "a child of a node twice", "node", [](MutableByteSpan b) {
    mutable_view<DaNodeEntry>(b, sizeof(DaNodeHeader) + 8).before =
        view<DaNodeEntry>(b, sizeof(DaNodeHeader)).before.get();
  });
  index("dir.sibling", "of a leaf", "node", [](MutableByteSpan b) { mutable_view<DaBlockInfo>(b).forw = 0; }, {}, 1);
  index("dir.hole", "a child that is not mapped", "node", [](MutableByteSpan b) {
    const std::uint32_t last = view<DaNodeEntry>(b, sizeof(DaNodeHeader)).before + 4096u;
    mutable_view<DaNodeEntry>(b, sizeof(DaNodeHeader) + 8).before = last;
  });
  index("dir.stray", "a child left out", "node", [](MutableByteSpan b) { mutable_view<DaNodeHeader>(b).count -= 1; },
        {"dir.sibling", "dir.index_missing"});
  const auto free_index = [&](const char* id, const char* name, const std::function<void(MutableByteSpan)>& edit,
                              std::vector<const char*> companions = {}) {
    file(
        id, name,
        [=](FileEditor& e) { e.edit_block("node", Fork::kData, e.free_region(), offsetof(DirBlockInfo, crc), edit); },
        std::move(companions));
  };
  free_index("dir.bests", "of a free index", [](MutableByteSpan b) {
    auto& best = mutable_view<be16>(b, sizeof(DirFreeHeader));
    best = static_cast<std::uint16_t>(best == 8 ? 16 : 8);
  });
  free_index("dir.count", "blocks a free index counts",
             [](MutableByteSpan b) { mutable_view<DirFreeHeader>(b).nused += 1; });
  free_index("dir.self_address", "the first block of a free index",
             [](MutableByteSpan b) { mutable_view<DirFreeHeader>(b).firstdb = 1; });
  free_index("dir.range", "a best past a block",
             [](MutableByteSpan b) { mutable_view<be16>(b, sizeof(DirFreeHeader)) = 0xfff0; }, {"dir.bests"});
  file("dir.abandoned", "all blocks belong to another",
       [](FileEditor& e) {
         for (std::uint64_t at = 0; at < 70; ++at) {
           e.edit_block("wide", Fork::kData, FileBlock(at << e.geometry().dir_block_log), offsetof(DirBlockInfo, crc),
                        [](MutableByteSpan b) { mutable_view<DirBlockInfo>(b).owner += 1; });
         }
       },
       {"dir.owner"});
  return rows;
}

inline std::vector<Row> attribute_rows(const AllNames& names) {
  std::vector<Row> rows;
  const auto file = [&](const char* id, const char* name, const FileDamage& damage,
                        std::vector<const char*> companions = {}) {
    rows.push_back(file_row(names, id, name, damage, std::move(companions)));
  };
  const auto leaf = [&](const char* id, const char* name, const ImageEditor::ByteEdit& edit,
                        std::vector<const char*> companions = {}, bool reseal = true) {
    file(
        id, name,
        [=](FileEditor& e) {
          e.edit_block("attr_leaf", Fork::kAttr, FileBlock(0),
                       reseal ? std::optional(offsetof(DaBlockInfo, crc)) : std::nullopt, edit);
        },
        std::move(companions));
  };
  const auto info = [&](const char* id, const std::function<void(DaBlockInfo&)>& edit, bool reseal = true) {
    leaf(id, "header", [=](MutableByteSpan b) { edit(mutable_view<DaBlockInfo>(b)); }, {}, reseal);
  };
  info("attr.magic", [](DaBlockInfo& i) { i.magic = 7; });
  info("attr.checksum", [](DaBlockInfo& i) { i.crc = i.crc ^ 1; }, false);
  info("attr.uuid", [](DaBlockInfo& i) { i.uuid.bytes[2] ^= 1; });
  info("attr.self_address", [](DaBlockInfo& i) { i.blkno += 2; });
  info("attr.owner", [](DaBlockInfo& i) { i.owner += 1; });
  info("lsn.ahead", [](DaBlockInfo& i) { i.lsn = 1ull << 50; });
  leaf("attr.count", "entries", [](MutableByteSpan b) { mutable_view<AttrLeafHeader>(b).count = 0xfff; });
  leaf("attr.range", "first name", [](MutableByteSpan b) { mutable_view<AttrLeafHeader>(b).firstused = 3; });
  leaf("attr.consistency", "bytes used", [](MutableByteSpan b) { mutable_view<AttrLeafHeader>(b).usedbytes += 4; });
  leaf("attr.pointer", "a name outside",
       [](MutableByteSpan b) { mutable_view<AttrLeafEntry>(b, sizeof(AttrLeafHeader)).nameidx = 2; },
       {"attr.consistency"});
  leaf("attr.consistency", "two namespaces", [](MutableByteSpan b) {
    auto& entry = mutable_view<AttrLeafEntry>(b, sizeof(AttrLeafHeader));
    entry.flags = static_cast<std::uint8_t>(entry.flags | attr_flags::kRoot | attr_flags::kSecure);
  });
  leaf("attr.reserved", "unknown flags", [](MutableByteSpan b) {
    auto& entry = mutable_view<AttrLeafEntry>(b, sizeof(AttrLeafHeader));
    entry.flags = static_cast<std::uint8_t>(entry.flags | 0x40);
  });
  leaf("attr.consistency", "a hash",
       [](MutableByteSpan b) { mutable_view<AttrLeafEntry>(b, sizeof(AttrLeafHeader)).hashval -= 1; });
  file("attr.order", "entries swapped", [](FileEditor& e) {
    e.edit_block("attr_remote", Fork::kAttr, FileBlock(0), offsetof(DaBlockInfo, crc), [](MutableByteSpan b) {
      std::swap(mutable_view<AttrLeafEntry>(b, sizeof(AttrLeafHeader)),
                mutable_view<AttrLeafEntry>(b, sizeof(AttrLeafHeader) + 8));
    });
  });
  leaf("attr.duplicate", "one name twice",
       [](MutableByteSpan b) {
         const auto first = view<AttrLeafEntry>(b, sizeof(AttrLeafHeader));
         mutable_view<AttrLeafEntry>(b, sizeof(AttrLeafHeader) + 8) = first;
       },
       {"attr.order", "attr.consistency"});
  leaf("attr.incomplete", "a value that was not finished", [](MutableByteSpan b) {
    auto& entry = mutable_view<AttrLeafEntry>(b, sizeof(AttrLeafHeader));
    entry.flags = static_cast<std::uint8_t>(entry.flags | attr_flags::kIncomplete);
  });
  file("attr.range", "size of attributes in the inode", [](FileEditor& e) {
    e.edit_fork("attr_short", Fork::kAttr,
                [](MutableByteSpan b) { mutable_view<AttrShortformHeader>(b).totsize += 4; });
  });
  file("attr.duplicate", "one name twice in the inode", [](FileEditor& e) {
    e.edit_fork("attr_twins", Fork::kAttr, [](MutableByteSpan b) {
      // namelen, valuelen, flags, name of 3, value of 1: the second gets the first one's name.
      std::copy_n(b.begin() + 4 + 3, 3, b.begin() + 4 + 7 + 3);
    });
  });
  const auto node = [&](const char* id, const char* name, const ImageEditor::ByteEdit& edit,
                        std::vector<const char*> companions = {}) {
    file(
        id, name,
        [=](FileEditor& e) { e.edit_block("attr_node", Fork::kAttr, FileBlock(0), offsetof(DaBlockInfo, crc), edit); },
        std::move(companions));
  };
  node("attr.level", "of a node", [](MutableByteSpan b) { mutable_view<DaNodeHeader>(b).level = 9; });
  node("attr.order", "the hash a node has for a leaf",
       [](MutableByteSpan b) { mutable_view<DaNodeEntry>(b, sizeof(DaNodeHeader)).hashval -= 1; });
  node("attr.pointer", "a child is the root",
       [](MutableByteSpan b) { mutable_view<DaNodeEntry>(b, sizeof(DaNodeHeader) + 8).before = 0; },
       {"attr.revisited"});
  node("attr.revisited", "a child twice", [](MutableByteSpan b) {
    mutable_view<DaNodeEntry>(b, sizeof(DaNodeHeader) + 8).before =
        view<DaNodeEntry>(b, sizeof(DaNodeHeader)).before.get();
  });
  node("attr.hole", "a child that is not mapped",
       [](MutableByteSpan b) { mutable_view<DaNodeEntry>(b, sizeof(DaNodeHeader) + 8).before = 100000; });
  node("attr.stray", "a child left out", [](MutableByteSpan b) { mutable_view<DaNodeHeader>(b).count -= 1; },
       {"attr.sibling"});
  file("attr.sibling", "of a leaf", [](FileEditor& e) {
    const auto bytes = [&] {
      std::vector<std::byte> block(e.geometry().block_bytes);
      e.image().device().read(e.geometry().byte_of(e.address("attr_node", Fork::kAttr, FileBlock(0))), block);
      return block;
    }();
    const std::uint32_t child = view<DaNodeEntry>(bytes, sizeof(DaNodeHeader)).before;
    e.edit_block("attr_node", Fork::kAttr, FileBlock(child), offsetof(DaBlockInfo, crc),
                 [](MutableByteSpan b) { mutable_view<DaBlockInfo>(b).forw = 0; });
  });
  // Values in blocks of their own: the last block of the fork holds the end of one.
  const auto value = [&](const char* id, const std::function<void(RemoteHeader&)>& edit, bool reseal = true) {
    file(id, "attribute value", [=](FileEditor& e) {
      const Extent last = e.extents("attr_remote", Fork::kAttr).back();
      const FsBlock block = last.start + (last.length_blocks - 1);
      e.image().edit_bytes(e.geometry().byte_of(block), e.geometry().block_bytes,
                           reseal ? std::optional(offsetof(RemoteHeader, crc)) : std::nullopt,
                           [&](MutableByteSpan b) { edit(mutable_view<RemoteHeader>(b)); });
    });
  };
  value("remote.magic", [](RemoteHeader& h) { h.magic = 1; });
  value("remote.checksum", [](RemoteHeader& h) { h.crc = h.crc ^ 1; }, false);
  value("remote.uuid", [](RemoteHeader& h) { h.uuid.bytes[9] ^= 1; });
  value("remote.self_address", [](RemoteHeader& h) { h.blkno += 2; });
  value("remote.owner", [](RemoteHeader& h) { h.owner += 1; });
  value("remote.count", [](RemoteHeader& h) { h.bytes -= 1; });
  value("remote.consistency", [](RemoteHeader& h) { h.offset += 1; });
  file("attr.value_twice", "two values in the same blocks", [](FileEditor& e) {
    e.edit_block("attr_remote", Fork::kAttr, FileBlock(0), offsetof(DaBlockInfo, crc), [](MutableByteSpan b) {
      const auto entries = attr_leaf_entries(b);
      const std::uint32_t first = view<AttrLeafRemote>(b, entries[0].nameidx).valueblk;
      mutable_view<AttrLeafRemote>(b, entries[1].nameidx).valueblk = first;
    });
  });
  file("attr.hole", "a value that is not mapped", [](FileEditor& e) {
    e.edit_block("attr_remote", Fork::kAttr, FileBlock(0), offsetof(DaBlockInfo, crc), [](MutableByteSpan b) {
      const auto entries = attr_leaf_entries(b);
      mutable_view<AttrLeafRemote>(b, entries[0].nameidx).valueblk = 100000;
    });
  });
  file("attr.revisited", "two places map the same blocks",
       [](FileEditor& e) {
         const FsBlock first = e.extents("attr_split_1", Fork::kAttr).front().start;
         static_cast<void>(first);
         const auto block = e.map_block("attr_split_1", 0, Fork::kAttr);
         e.edit_map_block(block, [](MutableByteSpan b) {
           auto& second = mutable_view<ExtentRecord>(b, sizeof(LongBtreeHeader) + sizeof(ExtentRecord));
           const Extent one = Extent::decode(view<ExtentRecord>(b, sizeof(LongBtreeHeader)));
           Extent two = Extent::decode(second);
           two.start = one.start;
           second = two.encode();
         });
       },
       {"extent.unmapped", "extent.unowned"});
  file("attr.abandoned", "all leaves belong to another",
       [](FileEditor& e) {
         for (const Extent& extent : e.extents("attr_many", Fork::kAttr)) {
           for (std::uint32_t i = 0; i < extent.length_blocks; ++i) {
             const FileBlock at = extent.file_block + i;
             if (at == FileBlock(0)) continue;
             e.edit_block("attr_many", Fork::kAttr, at, offsetof(DaBlockInfo, crc),
                          [](MutableByteSpan b) { mutable_view<DaBlockInfo>(b).owner += 1; });
           }
         }
       },
       {"attr.owner"});
  return rows;
}

}  // namespace xdax::test

// Damage to inodes and their forks, and to what names and counts say of them.
#pragma once

#include "libfs/format/agi.h"
#include "libfs/format/btree_block.h"
#include "libfs/format/dquot.h"
#include "libfs/format/extent.h"
#include "libfs/format/remote_block.h"
#include "tests/oracle/fsck_file_editor.h"
#include "tests/oracle/fsck_rows.h"

namespace xdax::test {

using FileDamage = std::function<void(FileEditor&)>;

/// A file with nothing in it.
inline constexpr const char* kPlainFile = "inodes/101";

/// The names of each base that has files.
struct AllNames {
  FileNames files;
  FileNames parents;
  FileNames counted;

  [[nodiscard]] const FileNames& of(Base base) const {
    if (base == Base::kParents) return parents;
    return base == Base::kCounted ? counted : files;
  }
};

inline Row file_row(const AllNames& names, const char* id, const char* name, const FileDamage& damage,
                    std::vector<const char*> companions = {}, Base base = Base::kFiles) {
  return {.id = id,
          .name = name,
          .base = base,
          .damage =
              [&names, damage, base](ImageEditor& image) {
                FileEditor editor(image, names.of(base));
                damage(editor);
              },
          .companions = std::move(companions)};
}

/// Edits a field of an inode's core.
inline Row core_row(const AllNames& names, const char* id, const char* name, const char* path,
                    const std::function<void(InodeCore&)>& edit, std::vector<const char*> companions = {}) {
  return file_row(names, id, name, [=](FileEditor& e) { e.edit_inode(path, edit); }, std::move(companions));
}

[[nodiscard]] std::vector<Row> inode_rows(const AllNames& names);
[[nodiscard]] std::vector<Row> fork_rows(const AllNames& names);
[[nodiscard]] std::vector<Row> name_rows(const AllNames& names);
[[nodiscard]] std::vector<Row> directory_rows(const AllNames& names);
[[nodiscard]] std::vector<Row> attribute_rows(const AllNames& names);

[[nodiscard]] inline std::vector<Row> inode_rows(const AllNames& names) {
  std::vector<Row> rows;
  const auto core = [&](const char* id, const char* name, const std::function<void(InodeCore&)>& edit,
                        std::vector<const char*> companions = {}, const char* path = kPlainFile) {
    rows.push_back(core_row(names, id, name, path, edit, std::move(companions)));
  };
  core("inode.magic", "magic", [](InodeCore& c) { c.magic = 0x4141; });
  core("inode.version", "version", [](InodeCore& c) { c.version = 2; });
  core("inode.uuid", "uuid", [](InodeCore& c) { c.uuid.bytes[3] ^= 1; });
  core("inode.self_address", "ino", [](InodeCore& c) { c.ino += 1; });
  rows.push_back(file_row(names, "inode.checksum", "a bit of a time", [](FileEditor& e) {
    e.edit_inode(kPlainFile, [](InodeCore& c) { c.atime = c.atime ^ 1; }, false);
  }));
  core("inode.count", "nextents past the fork", [](InodeCore& c) { set_data_extent_count(c, 1000); },
       {"inode.consistency"});
  core(
      "inode.count", "anextents past the fork", [](InodeCore& c) { set_attr_extent_count(c, 1000); },
      {"inode.consistency"}, "attr_leaf");
  core("inode.range", "forkoff", [](InodeCore& c) { c.forkoff = 200; });
  core("inode.range", "size", [](InodeCore& c) { c.size = 1ull << 63; });
  core("inode.range", "type of file", [](InodeCore& c) { c.mode = 0x3000 | 0600; });
  core("inode.range", "links", [](InodeCore& c) { c.nlink = 0x80000000u; }, {"inode.links"});
  core("inode.range", "extent size hint", [](InodeCore& c) { c.extsize = 3; });
  core("inode.range", "copy on write hint", [](InodeCore& c) { c.cowextsize = 3; });
  core("inode.range", "nanoseconds", [](InodeCore& c) {
    c.flags2 = c.flags2 & ~inode_flags2::kBigtime;
    c.mtime = 0xffffffffull;
  });
  core("inode.pointer", "next unlinked", [](InodeCore& c) { c.next_unlinked = 0x7fffffffu; });
  core("inode.reserved", "flags", [](InodeCore& c) { c.flags = 0x8000; });
  core("inode.reserved", "flags2", [](InodeCore& c) { c.flags2 = c.flags2 | 1ull << 40; });
  core("inode.reserved", "padding", [](InodeCore& c) { c.pad2[5] = 1; });
  core("inode.reserved", "old link count", [](InodeCore& c) { c.onlink = 1; });
  core("inode.consistency", "next_unlinked of a linked file", [](InodeCore& c) { c.next_unlinked = 130; });
  core("inode.consistency", "blocks without extents", [](InodeCore& c) { c.nblocks = 7; });
  core("inode.consistency", "flag of the realtime bitmap", [](InodeCore& c) { c.flags = inode_flags::kNewRtBitmap; });
  core("inode.consistency", "metadata flag", [](InodeCore& c) { c.flags2 = c.flags2 | inode_flags2::kMetadata; });
  core("inode.consistency", "nblocks of extents in the inode", [](InodeCore& c) { c.nblocks += 1; }, {}, "unwritten");
  core("inode.blocks", "nblocks of a tree", [](InodeCore& c) { c.nblocks += 1; }, {}, "fragmented");
  core(
      "inode.extents", "nextents of a tree", [](InodeCore& c) { set_data_extent_count(c, data_extent_count(c) + 1); },
      {}, "fragmented");
  core("inode.size", "smaller than what is written", [](InodeCore& c) { c.size = 100; }, {}, "fragmented");
  core("inode.reflink", "flag lost", [](InodeCore& c) { c.flags2 = c.flags2 & ~inode_flags2::kReflink; }, {}, "clone");
  core("inode.links", "one more", [](InodeCore& c) { c.nlink = 2; });
  core("inode.links", "of a directory", [](InodeCore& c) { c.nlink += 1; }, {}, "a");
  core("inode.free", "mode lost", [](InodeCore& c) { c.mode = 0; }, {"inode.consistency"}, "inodes/102");
  rows.push_back(file_row(names, "inode.allocated", "in use, and free in the trees", [](FileEditor& e) {
    // Number 70 was removed; its inode is free. What is in use is copied over it.
    std::vector<std::byte> source = e.inode(kPlainFile);
    const InodeNumber target = e.ino("?free");
    e.image().edit_bytes(e.geometry().byte_of(target), e.geometry().inode_bytes, offsetof(InodeCore, crc),
                         [&](MutableByteSpan bytes) {
                           std::copy(source.begin(), source.end(), bytes.begin());
                           mutable_view<InodeCore>(bytes).ino = target.value();
                         });
  }));
  rows.push_back(file_row(names, "inode.special", "root named elsewhere",
                          [](FileEditor& e) {
                            const std::uint64_t ino = e.ino(kPlainFile).value();
                            e.image().edit_superblock(0, [ino](Superblock& sb) { sb.rootino = ino; });
                          },
                          {"inode.lost", "entry.free"}));
  rows.push_back(file_row(names, "quota.inode", "quota file is a directory", [](FileEditor& e) {
    const std::uint64_t ino = e.ino("a").value();
    e.image().edit_superblock(0, [ino](Superblock& sb) { sb.gquotino = ino; });
  }));
  return rows;
}

inline std::vector<Row> fork_rows(const AllNames& names) {
  std::vector<Row> rows;
  const auto file = [&](const char* id, const char* name, const FileDamage& damage,
                        std::vector<const char*> companions = {}) {
    rows.push_back(file_row(names, id, name, damage, std::move(companions)));
  };
  file("extent.range", "past the last file block",
       [](FileEditor& e) {
         e.edit_extent("unwritten", 3, [](Extent& x) { x.file_block = FileBlock(limits::kMaxFileBlock); });
       },
       {});
  file("extent.order", "over the one before",
       [](FileEditor& e) { e.edit_extent("unwritten", 1, [](Extent& x) { x.file_block = FileBlock(3); }); }, {});
  file("extent.pointer", "outside the filesystem",
       [](FileEditor& e) { e.edit_extent("unwritten", 1, [](Extent& x) { x.start = FsBlock(1ull << 40); }); }, {});
  file("extent.unmapped", "moved by a block",
       [](FileEditor& e) { e.edit_extent("unwritten", 3, [](Extent& x) { x.start = x.start + 1; }); },
       {"extent.unowned"});
  file("extent.unowned", "said to be written",
       [](FileEditor& e) { e.edit_extent("unwritten", 0, [](Extent& x) { x.unwritten = false; }); },
       {"extent.unmapped"});
  file("bmap_root.level", "height", [](FileEditor& e) {
    e.edit_fork("punched", Fork::kData, [](MutableByteSpan b) { mutable_view<BmapRootHeader>(b).level = 100; });
  });
  file("bmap_root.count", "entries", [](FileEditor& e) {
    e.edit_fork("punched", Fork::kData, [](MutableByteSpan b) { mutable_view<BmapRootHeader>(b).numrecs = 1000; });
  });
  file("bmap_root.order", "keys",
       [](FileEditor& e) {
         e.edit_fork("punched", Fork::kData, [](MutableByteSpan b) {
           const BmapRootLayout layout(static_cast<std::uint32_t>(b.size()));
           mutable_view<be64>(b, layout.key_offset(1)) = 0;
         });
       },
       {"btree.key", "btree.order"});
  file("bmap_root.pointer", "outside", [](FileEditor& e) {
    e.edit_fork("punched", Fork::kData, [](MutableByteSpan b) {
      const BmapRootLayout layout(static_cast<std::uint32_t>(b.size()));
      mutable_view<be64>(b, layout.pointer_offset(0)) = 1ull << 50;
    });
  });
  const auto leaf = [&](const char* id, const char* name, const std::function<void(LongBtreeHeader&)>& edit,
                        std::vector<const char*> companions = {}, bool reseal = true) {
    file(
        id, name,
        [=](FileEditor& e) {
          e.edit_map_block(
              e.map_block("punched", 0), [&](MutableByteSpan b) { edit(mutable_view<LongBtreeHeader>(b)); }, reseal);
        },
        std::move(companions));
  };
  leaf("btree.magic", "of an extent map", [](LongBtreeHeader& h) { h.magic = 1; });
  leaf("btree.checksum", "of an extent map", [](LongBtreeHeader& h) { h.pad = h.pad ^ 1; }, {}, false);
  leaf("btree.uuid", "of an extent map", [](LongBtreeHeader& h) { h.uuid.bytes[0] ^= 1; });
  leaf("btree.self_address", "of an extent map", [](LongBtreeHeader& h) { h.blkno += 2; });
  leaf("btree.owner", "of an extent map", [](LongBtreeHeader& h) { h.owner += 1; });
  leaf("btree.level", "of an extent map", [](LongBtreeHeader& h) { h.level += 1; }, {"btree.order", "structure.flaw"});
  leaf("btree.count", "of an extent map", [](LongBtreeHeader& h) { h.numrecs = 0xffff; });
  leaf("btree.sibling", "of an extent map", [](LongBtreeHeader& h) { h.rightsib = ~0ull; });
  leaf("btree.pointer", "of an extent map", [](LongBtreeHeader& h) { h.leftsib = 1ull << 50; }, {"btree.sibling"});
  leaf("lsn.ahead", "of an extent map", [](LongBtreeHeader& h) { h.lsn = 1ull << 50; });
  file("symlink.range", "zero in the target", [](FileEditor& e) {
    const FsBlock block = e.address("link_700", Fork::kData, FileBlock(0));
    e.image().edit_bytes(e.geometry().byte_of(block), e.geometry().block_bytes, offsetof(RemoteHeader, crc),
                         [](MutableByteSpan b) { b[100] = std::byte{0}; });
  });
  file("symlink.hole", "blocks behind the target",
       [](FileEditor& e) { e.edit_inode("link_1023", [](InodeCore& c) { c.size = 600; }); }, {"remote.count"});
  const auto record = [&](const char* id, const char* name, const std::function<void(Dquot&)>& edit,
                          std::vector<const char*> companions = {}, bool reseal = true) {
    file(
        id, name,
        [=](FileEditor& e) {
          const FsBlock block = e.address("quota", Fork::kData, FileBlock(0));
          e.image().edit_bytes(e.geometry().byte_of(block) + 2 * sizeof(Dquot), sizeof(Dquot),
                               reseal ? std::optional(offsetof(Dquot, crc)) : std::nullopt,
                               [&](MutableByteSpan b) { edit(mutable_view<Dquot>(b)); });
        },
        std::move(companions));
  };
  record("dquot.magic", "", [](Dquot& d) { d.magic = 1; });
  record("dquot.version", "", [](Dquot& d) { d.version = 9; });
  record("dquot.checksum", "", [](Dquot& d) { d.icount += 1; }, {}, false);
  record("dquot.uuid", "", [](Dquot& d) { d.uuid.bytes[1] ^= 1; });
  record("dquot.self_address", "", [](Dquot& d) { d.id = 77; });
  record("dquot.consistency", "", [](Dquot& d) { d.type = 4; });
  return rows;
}

inline std::vector<Row> name_rows(const AllNames& names) {
  std::vector<Row> rows;
  const auto file = [&](const char* id, const char* name, const FileDamage& damage,
                        std::vector<const char*> companions = {}, Base base = Base::kFiles) {
    rows.push_back(file_row(names, id, name, damage, std::move(companions), base));
  };
  // The entry "b" of the shortform directory "a": its number.
  const auto set_entry = [](FileEditor& e, const char* directory, std::uint64_t ino) {
    e.edit_fork(directory, Fork::kData, [&](MutableByteSpan b) {
      // header of 6 bytes, then namelen, offset (2), a name of one byte, type, number
      mutable_view<be32>(b, 6 + 3 + 1 + 1) = static_cast<std::uint32_t>(ino);
    });
  };
  file("inode.lost", "its only entry now names another",
       [=](FileEditor& e) { set_entry(e, "a/b/c", e.ino("attr_short").value()); }, {"entry.type", "inode.links"});
  file("entry.free", "names an inode that is free",
       [=](FileEditor& e) { set_entry(e, "a/b/c", e.ino("?free").value()); }, {"inode.lost", "inode.links"});
  file("entry.type", "a directory said to be a file",
       [](FileEditor& e) { e.edit_fork("a", Fork::kData, [](MutableByteSpan b) { b[6 + 3 + 1] = std::byte{1}; }); });
  file("entry.twice", "two entries for one directory",
       [=](FileEditor& e) { set_entry(e, "a/b/c", e.ino("short").value()); }, {"inode.lost", "inode.links"});
  file("entry.parent", "dotdot", [](FileEditor& e) {
    const std::uint64_t other = e.ino("short").value();
    e.edit_fork("a/b", Fork::kData,
                [other](MutableByteSpan b) { mutable_view<be32>(b, 2) = static_cast<std::uint32_t>(other); });
  });
  file("tree.detached", "a circle",
       [=](FileEditor& e) {
         // a/b/c has d; d was empty and gets nothing: c names a instead of d, and the root forgets nothing.
         set_entry(e, "a/b/c", e.ino("a/b").value());
         set_entry(e, "a", e.ino("a/b/c/d").value());
       },
       {"entry.parent"});
  const auto unlink = [](FileEditor& e, const char* path, std::uint32_t bucket_shift) {
    const InodeNumber ino = e.ino(path);
    const AgInode agino = e.geometry().ag_inode_of(ino);
    e.image().edit_agi(e.geometry().ag_of(ino).value(), [&](Agi& agi) {
      agi.unlinked[(agino.value() + bucket_shift) % Agi::kUnlinkedBuckets] = agino.value();
    });
  };
  file("unlinked.linked", "a list names an inode with links", [=](FileEditor& e) { unlink(e, "inodes/101", 0); });
  const auto chain = [=](FileEditor& e, const char* first, std::uint32_t next) {
    unlink(e, first, 0);
    e.edit_inode(first, [next](InodeCore& c) { c.next_unlinked = next; });
  };
  file("unlinked.bucket", "in the list of others",
       [=](FileEditor& e) { chain(e, "inodes/101", e.geometry().ag_inode_of(e.ino("inodes/103")).value()); },
       {"unlinked.linked", "inode.consistency"});
  file("unlinked.loop", "a list runs in a circle",
       [=](FileEditor& e) {
         const InodeNumber first = e.ino("inodes/101");
         const std::string second = e.in_same_bucket("inodes/101");
         chain(e, "inodes/101", e.geometry().ag_inode_of(e.ino(second)).value());
         const AgInode back = e.geometry().ag_inode_of(first);
         e.edit_inode(second, [back](InodeCore& c) { c.next_unlinked = back.value(); });
       },
       {"unlinked.linked", "inode.consistency"});
  file("unlinked.range", "a list leads to a free inode",
       [=](FileEditor& e) { chain(e, "attr_short", e.geometry().ag_inode_of(e.ino("?free")).value()); },
       {"unlinked.linked", "inode.consistency"});
  file("unlinked.missing", "no links and no list",
       [=](FileEditor& e) {
         set_entry(e, "a/b/c", e.ino("attr_short").value());
         e.edit_inode("a/b/c/d", [](InodeCore& c) { c.nlink = 0; });
       },
       {"entry.type", "inode.links"});
  file(
      "parent.missing", "parent pointer renamed",
      [](FileEditor& e) {
        e.edit_fork("inodes/101", Fork::kAttr, [](MutableByteSpan b) { b[4 + 3] ^= std::byte{1}; });
      },
      {"parent.stale"}, Base::kParents);
  file(
      "parent.stale", "parent pointer of another generation",
      [](FileEditor& e) {
        e.edit_fork("inodes/101", Fork::kAttr, [](MutableByteSpan b) { b[4 + 3 + 3 + 11] ^= std::byte{1}; });
      },
      {"parent.missing"}, Base::kParents);
  // Without a reverse map, blocks are counted.
  file(
      "extent.twice", "two files map one block",
      [](FileEditor& e) {
        const FsBlock taken = e.extents("attr_data").front().start;
        e.edit_extent("unwritten", 0, [taken](Extent& x) { x.start = taken; });
      },
      {"extent.leaked"}, Base::kCounted);
  file(
      "extent.leaked", "an extent that ends early",
      [](FileEditor& e) {
        e.edit_inode_bytes("unwritten", [](MutableByteSpan bytes) {
          auto& record = mutable_view<ExtentRecord>(bytes, sizeof(InodeCore));
          Extent extent = Extent::decode(record);
          extent.length_blocks -= 1;
          record = extent.encode();
          mutable_view<InodeCore>(bytes).nblocks -= 1;
        });
      },
      {}, Base::kCounted);
  file(
      "extent.shared", "a clone that lost a block",
      [](FileEditor& e) {
        e.edit_inode_bytes("small_clone", [](MutableByteSpan bytes) {
          auto& record = mutable_view<ExtentRecord>(bytes, sizeof(InodeCore));
          Extent extent = Extent::decode(record);
          extent.length_blocks -= 1;
          record = extent.encode();
          mutable_view<InodeCore>(bytes).nblocks -= 1;
        });
      },
      {}, Base::kCounted);
  return rows;
}

}  // namespace xdax::test

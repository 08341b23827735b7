// Damage to superblocks, headers, counters and the log.
#pragma once

#include "libfs/format/log_record.h"
#include "tests/oracle/fsck_rows.h"

namespace xdax::test {

inline Row superblock_row(const char* id, const char* name, const std::function<void(Superblock&)>& edit,
                          std::vector<const char*> companions = {}, bool reseal = true) {
  return {.id = id,
          .name = name,
          .damage = [=](ImageEditor& image) { image.edit_superblock(0, edit, reseal); },
          .companions = std::move(companions)};
}
inline Row copy_row(const char* id, const char* name, const std::function<void(Superblock&)>& edit,
                    bool reseal = true) {
  return {.id = id, .name = name, .damage = [=](ImageEditor& image) { image.edit_superblock(1, edit, reseal); }};
}
inline Row agf_row(const char* id, const char* name, const std::function<void(Agf&)>& edit,
                   std::vector<const char*> companions = {}, bool reseal = true) {
  return {.id = id,
          .name = name,
          .damage = [=](ImageEditor& image) { image.edit_agf(1, edit, reseal); },
          .companions = std::move(companions)};
}
inline Row agi_row(const char* id, const char* name, const std::function<void(Agi&)>& edit,
                   std::vector<const char*> companions = {}, bool reseal = true) {
  return {.id = id,
          .name = name,
          .damage = [=](ImageEditor& image) { image.edit_agi(1, edit, reseal); },
          .companions = std::move(companions)};
}
inline Row agfl_row(const char* id, const char* name, const std::function<void(AgflHeader&, std::span<be32>)>& edit,
                    std::vector<const char*> companions = {}, bool reseal = true) {
  return {.id = id,
          .name = name,
          .damage = [=](ImageEditor& image) { image.edit_agfl(1, edit, reseal); },
          .companions = std::move(companions)};
}

inline std::vector<Row> superblock_rows() {
  std::vector<Row> rows = {
      superblock_row("sb.magic", "other magic", [](Superblock& sb) { sb.magicnum = 0x12345678; }, {"sb.copy_used"}),
      superblock_row(
          "sb.magic", "wiped", [](Superblock& sb) { std::memset(static_cast<void*>(&sb), 0, sizeof sb); },
          {"sb.copy_used"}, false),
      superblock_row("sb.version", "no lazy counters",
                     [](Superblock& sb) {
                       sb.features2 = sb.features2 & ~features2_bits::kLazyCount;
                       sb.bad_features2 = sb.features2.get();
                     },
                     {"sb.copy_used"}),
      superblock_row(
          "sb.checksum", "one bit", [](Superblock& sb) { sb.crc = sb.crc ^ 0x100; }, {}, false),
      superblock_row("sb.range", "imax_pct", [](Superblock& sb) { sb.imax_pct = 101; }, {"sb.copy_used"}),
      superblock_row("sb.range", "agcount", [](Superblock& sb) { sb.agcount = 0xffffffff; }, {"sb.copy_used"}),
      superblock_row("sb.consistency", "inprogress", [](Superblock& sb) { sb.inprogress = 1; }, {"sb.copy_used"}),
      superblock_row("sb.consistency", "inopblock", [](Superblock& sb) { sb.inopblock = 7; }, {"sb.copy_used"}),
      superblock_row("sb.pointer", "rootino", [](Superblock& sb) { sb.rootino = 0xffffffffffull; },
                     {"inode.special", "inode.lost"}),
      superblock_row("sb.reserved", "shared_vn", [](Superblock& sb) { sb.shared_vn = 1; }),
      superblock_row("sb.count", "frextents", [](Superblock& sb) { sb.frextents = 9; }),
      superblock_row("sb.count", "ifree above icount", [](Superblock& sb) { sb.ifree = sb.icount + 1; },
                     {"total.sb_ifree"}),
      superblock_row("sb.needsrepair", "bit",
                     [](Superblock& sb) { sb.features_incompat = sb.features_incompat | incompat_bits::kNeedsRepair; }),
      superblock_row("sb.copy_used", "block size of zero", [](Superblock& sb) { sb.blocksize = 0; },
                     {"sb.range", "sb.consistency"}),
      copy_row("copy.magic", "other magic", [](Superblock& sb) { sb.magicnum = 0; }),
      copy_row(
          "copy.version", "no version 2 directories",
          [](Superblock& sb) { sb.versionnum = sb.versionnum & static_cast<std::uint16_t>(~version_bits::kDirV2); }),
      copy_row(
          "copy.checksum", "one bit", [](Superblock& sb) { sb.crc = sb.crc ^ 1; }, false),
      copy_row("copy.range", "imax_pct", [](Superblock& sb) { sb.imax_pct = 200; }),
      copy_row("copy.consistency", "dblocks", [](Superblock& sb) { sb.dblocks = 1; }),
      copy_row("copy.pointer", "logstart", [](Superblock& sb) { sb.logstart = 0xffffffffffull; }),
      copy_row("copy.reserved", "shared_vn", [](Superblock& sb) { sb.shared_vn = 9; }),
      copy_row("copy.differs", "uuid", [](Superblock& sb) { sb.uuid.bytes[3] ^= 1; }),
      copy_row("copy.differs", "features", [](Superblock& sb) { sb.features_compat = 4; }),
  };
  rows.push_back({.id = "fs.truncated", .name = "one block", .damage = [](ImageEditor&) {}, .cut_bytes = 1024});
  return rows;
}

inline std::vector<Row> header_rows() {
  return {
      agf_row("agf.magic", "other magic", [](Agf& agf) { agf.magicnum = 0; }),
      agf_row("agf.version", "version 2", [](Agf& agf) { agf.versionnum = 2; }),
      agf_row(
          "agf.checksum", "one bit", [](Agf& agf) { agf.crc = agf.crc ^ 1; }, {}, false),
      agf_row("agf.uuid", "other uuid", [](Agf& agf) { agf.uuid.bytes[0] ^= 1; }),
      agf_row("agf.sequence", "other group", [](Agf& agf) { agf.seqno = 2; }),
      agf_row("agf.range", "length", [](Agf& agf) { agf.length += 1; }),
      agf_row("agf.range", "flfirst", [](Agf& agf) { agf.flfirst = 5000; }),
      agf_row("agf.pointer", "bno root", [](Agf& agf) { agf.roots[Agf::kBno] = 0; }),
      agf_row("agf.pointer", "rmap root", [](Agf& agf) { agf.roots[Agf::kRmap] = 0xfffffff0; }),
      agf_row("agf.level", "no levels", [](Agf& agf) { agf.levels[Agf::kCnt] = 0; }),
      agf_row("agf.level", "too many levels", [](Agf& agf) { agf.refcount_level = 200; }),
      agf_row("agf.count", "freeblks", [](Agf& agf) { agf.freeblks = agf.length + 1; }, {"total.freeblks"}),
      agf_row("agf.consistency", "flcount", [](Agf& agf) { agf.flcount += 1; }),
      agi_row("agi.magic", "other magic", [](Agi& agi) { agi.magicnum = 1; }),
      agi_row("agi.version", "version 0", [](Agi& agi) { agi.versionnum = 0; }),
      agi_row(
          "agi.checksum", "one bit", [](Agi& agi) { agi.crc = agi.crc ^ 0x80000000; }, {}, false),
      agi_row("agi.uuid", "other uuid", [](Agi& agi) { agi.uuid.bytes[15] ^= 1; }),
      agi_row("agi.sequence", "other group", [](Agi& agi) { agi.seqno = 0; }),
      agi_row("agi.range", "length", [](Agi& agi) { agi.length -= 1; }),
      agi_row("agi.pointer", "newino", [](Agi& agi) { agi.newino = 0xfffffff0; }),
      agi_row("agi.pointer", "wrong bucket", [](Agi& agi) { agi.unlinked[3] = 0xfffffff0; }),
      agi_row("agi.level", "no levels", [](Agi& agi) { agi.free_level = 0; }),
      agi_row("agi.count", "freecount", [](Agi& agi) { agi.freecount = agi.count + 1; }, {"total.free_inodes"}),
      {.id = "agi.unlinked",
       .name = "inode of no chunk",
       .damage =
           [](ImageEditor& image) {
             const std::uint32_t inode = (image.geometry().ag_length_blocks(AgNumber(1)) - 1)
                                         << image.geometry().inodes_per_block_log;
             image.edit_agi(1, [&](Agi& agi) { agi.unlinked[inode % Agi::kUnlinkedBuckets] = inode; });
           }},
      {.id = "agi.unlinked",
       .name = "free inode",
       .damage =
           [](ImageEditor& image) {
             const AgBlock leaf = image.levels(BtreeKind::kFinobt, 0).back().front();
             const auto chunk = InodeChunk::decode(image.records<InodeChunkRecord>(0, leaf).front(), true);
             const auto free = static_cast<std::uint32_t>(std::countr_zero(chunk.free_mask));
             const std::uint32_t inode = chunk.start.value() + free;
             image.edit_agi(0, [&](Agi& agi) { agi.unlinked[inode % Agi::kUnlinkedBuckets] = inode; });
           }},
      agfl_row("agfl.magic", "other magic", [](AgflHeader& agfl, std::span<be32>) { agfl.magicnum = 0; }),
      agfl_row(
          "agfl.checksum", "one bit", [](AgflHeader& agfl, std::span<be32>) { agfl.crc = agfl.crc ^ 4; }, {}, false),
      agfl_row("agfl.uuid", "other uuid", [](AgflHeader& agfl, std::span<be32>) { agfl.uuid.bytes[1] ^= 1; }),
      agfl_row("agfl.sequence", "other group", [](AgflHeader& agfl, std::span<be32>) { agfl.seqno = 7; }),
      {.id = "agfl.pointer",
       .name = "header block",
       .damage =
           [](ImageEditor& image) {
             const std::uint32_t first = image.agf(1).flfirst;
             image.edit_agfl(1, [&](AgflHeader&, std::span<be32> entries) { entries[first] = 0; });
           }},
      {.id = "agfl.duplicate",
       .name = "entry twice",
       .damage =
           [](ImageEditor& image) {
             const Agf agf = image.agf(1);
             image.edit_agfl(1, [&](AgflHeader&, std::span<be32> entries) {
               entries[agf.flfirst] = entries[(agf.flfirst + 1) % entries.size()].get();
             });
           },
       // The block that fell out of the list is still its by the reverse map.
       .companions = {"rmap.stale"}},
      {.id = "lsn.ahead",
       .name = "agf",
       .damage = [](ImageEditor& image) { image.edit_agf(2, [](Agf& agf) { agf.lsn = 9999ull << 32; }); }},
      {.id = "lsn.ahead",
       .name = "tree block",
       .damage =
           [](ImageEditor& image) {
             image.edit_tree_header(0, image.levels(BtreeKind::kInobt, 0).back()[1],
                                    [](ShortBtreeHeader& header) { header.lsn = 9999ull << 32; });
           }},
      {.id = "lsn.ahead",
       .name = "superblock",
       .damage = [](ImageEditor& image) { image.edit_superblock(0, [](Superblock& sb) { sb.lsn = 9999ull << 32; }); }},
  };
}

inline std::vector<Row> counter_rows() {
  return {
      {.id = "total.freeblks",
       .name = "one less",
       .damage = [](ImageEditor& image) { image.edit_agf(0, [](Agf& agf) { agf.freeblks -= 1; }); }},
      agf_row("total.longest", "one less", [](Agf& agf) { agf.longest -= 1; }),
      agf_row("total.btreeblks", "one more", [](Agf& agf) { agf.btreeblks += 1; }),
      agf_row("total.rmap_blocks", "one more", [](Agf& agf) { agf.rmap_blocks += 1; }),
      agf_row("total.refcount_blocks", "one more", [](Agf& agf) { agf.refcount_blocks += 1; }),
      {.id = "total.inodes",
       .name = "64 more",
       .damage = [](ImageEditor& image) { image.edit_agi(0, [](Agi& agi) { agi.count += 64; }); }},
      {.id = "total.free_inodes",
       .name = "one less",
       .damage = [](ImageEditor& image) { image.edit_agi(0, [](Agi& agi) { agi.freecount -= 1; }); }},
      agi_row("total.iblocks", "one more", [](Agi& agi) { agi.iblocks += 1; }),
      agi_row("total.fblocks", "one more", [](Agi& agi) { agi.fblocks += 1; }),
      superblock_row("total.sb_icount", "64 more", [](Superblock& sb) { sb.icount += 64; }),
      superblock_row("total.sb_ifree", "one less", [](Superblock& sb) { sb.ifree -= 1; }),
      superblock_row("total.sb_fdblocks", "one more", [](Superblock& sb) { sb.fdblocks += 1; }),
  };
}

inline std::uint64_t log_byte(const ImageEditor& image) { return image.geometry().byte_of(image.geometry().log_start); }

inline std::vector<Row> log_rows() {
  return {
      {.id = "log.dirty", .name = "shut down", .base = Base::kDirty, .damage = [](ImageEditor&) {}},
      {.id = "log.dirty",
       .name = "what waits is not judged",
       .base = Base::kDirty,
       .damage = [](ImageEditor& image) { image.edit_agf(0, [](Agf& agf) { agf.btreeblks += 1; }); }},
      {.id = "log.damaged",
       .name = "first block of another time",
       .damage =
           [](ImageEditor& image) {
             image.edit_bytes(log_byte(image), kBasicBlockBytes, std::nullopt,
                              [](MutableByteSpan bytes) { mutable_view<be32>(bytes) = 77; });
           }},
      {.id = "log.damaged",
       .name = "record in the middle",
       .base = Base::kDirty,
       .damage =
           [](ImageEditor& image) {
             // The first record holds what mkfs wrote; the second is the tail of the dirty log or follows it.
             image.edit_bytes(log_byte(image) + 2 * kBasicBlockBytes, kBasicBlockBytes, std::nullopt,
                              [](MutableByteSpan bytes) { mutable_view<LogRecordHeader>(bytes).version = 9; });
           }},
      {.id = "log.checksum",
       .name = "one bit of a record",
       .base = Base::kDirty,
       .damage =
           [](ImageEditor& image) {
             image.edit_bytes(log_byte(image) + 3 * kBasicBlockBytes, kBasicBlockBytes, std::nullopt,
                              [](MutableByteSpan bytes) { bytes[100] ^= std::byte{1}; });
           },
       .companions = {"log.dirty"}},
      {.id = "log.uuid",
       .name = "record of mkfs",
       .base = Base::kPlain,
       .damage =
           [](ImageEditor& image) {
             image.edit_bytes(log_byte(image), kBasicBlockBytes, std::nullopt, [](MutableByteSpan bytes) {
               mutable_view<LogRecordHeader>(bytes).fs_uuid.bytes[5] ^= 1;
             });
           }},
      {.id = "log.zeroed",
       .name = "wiped",
       .damage =
           [](ImageEditor& image) {
             const std::uint64_t bytes = std::uint64_t{image.geometry().log_blocks} << image.geometry().block_log;
             image.device().zero(log_byte(image), bytes, ZeroMode::kFastest);
           }},
  };
}

}  // namespace xdax::test

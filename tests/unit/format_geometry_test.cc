// Geometry: packing of block and inode numbers, and the limits of the format.

#include "libfs/format/geometry.h"

#include <gtest/gtest.h>

#include "libfs/format/extent.h"
#include "libfs/format/timestamp.h"
#include "tests/unit/format_support.h"

namespace xdax::test {
namespace {

TEST(Geometry, BlocksPackGroupAndBlock) {
  const Geometry g = test_geometry();
  const FsBlock block = g.fs_block(AgNumber(3), AgBlock(5));
  EXPECT_EQ(block.value(), (3ull << 14) | 5);
  EXPECT_EQ(g.ag_of(block), AgNumber(3));
  EXPECT_EQ(g.ag_block_of(block), AgBlock(5));
  EXPECT_EQ(g.byte_of(block), (3ull * 16384 + 5) * 4096);
  EXPECT_EQ(g.disk_address(block).value(), (3ull * 16384 + 5) * 8);
}

// A group whose length is no power of two leaves numbers unused between groups.
TEST(Geometry, BlocksOfOddGroupsAreNotLinear) {
  const Geometry g = test_geometry([](Superblock& sb) {
    sb.agblocks = 10000;
    sb.dblocks = 35000;
  });
  EXPECT_EQ(g.byte_of(g.fs_block(AgNumber(1), AgBlock(0))), 10000ull * 4096);
  EXPECT_TRUE(g.valid_fs_block(FsBlock(9999)));
  EXPECT_FALSE(g.valid_fs_block(FsBlock(10000)));
  EXPECT_FALSE(g.valid_fs_block(FsBlock(16383)));
  EXPECT_TRUE(g.valid_fs_block(FsBlock(16384)));
}

TEST(Geometry, OnlyTheLastGroupIsShorter) {
  const Geometry g = test_geometry();
  EXPECT_EQ(g.ag_length_blocks(AgNumber(2)), 16384u);
  EXPECT_EQ(g.ag_length_blocks(AgNumber(3)), 10000u);
  EXPECT_TRUE(g.valid_fs_block(g.fs_block(AgNumber(3), AgBlock(9999))));
  EXPECT_FALSE(g.valid_fs_block(g.fs_block(AgNumber(3), AgBlock(10000))));
  EXPECT_FALSE(g.valid_fs_block(g.fs_block(AgNumber(4), AgBlock(0))));
  EXPECT_FALSE(g.valid_fs_block(kNullFsBlock));
}

TEST(Geometry, ExtentsStayInsideOneGroup) {
  const Geometry g = test_geometry();
  EXPECT_TRUE(g.valid_extent(FsBlock(0), 16384));
  EXPECT_FALSE(g.valid_extent(FsBlock(0), 16385));
  EXPECT_FALSE(g.valid_extent(FsBlock(16383), 2));
  EXPECT_FALSE(g.valid_extent(FsBlock(5), 0));
  EXPECT_FALSE(g.valid_extent(FsBlock(5), ~0ull));
  EXPECT_FALSE(g.valid_extent(kNullFsBlock, 1));
}

TEST(Geometry, InodesPackGroupBlockAndIndex) {
  const Geometry g = test_geometry();
  const InodeNumber ino = g.inode_number(AgNumber(2), AgInode(8 * 100 + 3));
  EXPECT_EQ(ino.value(), (2ull << 17) | 803);
  EXPECT_EQ(g.ag_of(ino), AgNumber(2));
  EXPECT_EQ(g.ag_inode_of(ino), AgInode(803));
  EXPECT_EQ(g.ag_block_of(g.ag_inode_of(ino)), AgBlock(100));
  EXPECT_EQ(g.first_inode_of(AgBlock(100)), AgInode(800));
  EXPECT_EQ(g.byte_of(ino), (2ull * 16384 + 100) * 4096 + 3 * 512);
}

TEST(Geometry, InodesLieBehindTheHeaderOfAnExistingGroup) {
  const Geometry g = test_geometry();
  EXPECT_FALSE(g.valid_inode(InodeNumber(0)));
  EXPECT_FALSE(g.valid_inode(InodeNumber(7)));
  EXPECT_TRUE(g.valid_inode(InodeNumber(8)));
  EXPECT_TRUE(g.valid_inode(g.inode_number(AgNumber(3), AgInode(9999 * 8 + 7))));
  EXPECT_FALSE(g.valid_inode(g.inode_number(AgNumber(3), AgInode(10000 * 8))));
  EXPECT_FALSE(g.valid_inode(InodeNumber(4ull << 17)));
  EXPECT_FALSE(g.valid_inode(kNullInode));
  EXPECT_FALSE(g.valid_inode(InodeNumber(1ull << 56)));
}

// Four sectors at the start of a group, in blocks of any size.
TEST(Geometry, HeaderTakesFourSectors) {
  EXPECT_EQ(test_geometry().ag_header_blocks(), 1u);
  const Geometry small = test_geometry([](Superblock& sb) {
    sb.blocksize = 1024;
    sb.blocklog = 10;
  });
  EXPECT_EQ(small.ag_header_blocks(), 2u);
  const Geometry sectors = test_geometry([](Superblock& sb) {
    sb.sectsize = 4096;
    sb.sectlog = 12;
  });
  EXPECT_EQ(sectors.ag_header_blocks(), 4u);
  EXPECT_EQ(sectors.header_byte(AgNumber(1), 2), 16384ull * 4096 + 2 * 4096);
}

// The largest filesystem that numbers allow: nothing wraps.
TEST(Geometry, LargestFilesystem) {
  const Geometry g = test_geometry([](Superblock& sb) {
    sb.blocksize = 65536;
    sb.blocklog = 16;
    sb.inodesize = 2048;
    sb.inodelog = 11;
    sb.inopblock = 32;
    sb.inopblog = 5;
    sb.agblocks = 1u << 24;
    sb.agblklog = 24;
    sb.agcount = 1u << 23;
    sb.dblocks = 1ull << 47;
  });
  const AgNumber last{(1u << 23) - 1};
  const FsBlock end = g.fs_block(last, AgBlock((1u << 24) - 1));
  EXPECT_TRUE(g.valid_fs_block(end));
  EXPECT_EQ(g.byte_of(end), (1ull << 63) - 65536);
  EXPECT_EQ(g.size_bytes(), 1ull << 63);
  EXPECT_EQ(g.disk_address(end).value(), ((1ull << 63) - 65536) / 512);
  EXPECT_TRUE(g.valid_inode(g.inode_number(last, AgInode((1u << 29) - 1))));
}

TEST(Geometry, FilesEndBelow2To63) {
  EXPECT_EQ(test_geometry().max_file_blocks(), 1ull << 51);
  const Geometry small = test_geometry([](Superblock& sb) {
    sb.blocksize = 1024;
    sb.blocklog = 10;
  });
  EXPECT_EQ(small.max_file_blocks(), 1ull << 53);
}

TEST(Geometry, ChunksAndClusters) {
  EXPECT_EQ(test_geometry().inode_chunk_blocks(), 8u);
  EXPECT_EQ(test_geometry().inode_cluster_bytes(), 16384u);
  const Geometry large = test_geometry([](Superblock& sb) {
    sb.blocksize = 65536;
    sb.blocklog = 16;
    sb.inopblock = 128;
    sb.inopblog = 7;
  });
  EXPECT_EQ(large.inode_chunk_blocks(), 1u);
  EXPECT_EQ(large.inode_cluster_bytes(), 65536u);
}

TEST(Geometry, AgBlockLogRoundsUp) {
  EXPECT_EQ(ag_block_log_for(64), 6u);
  EXPECT_EQ(ag_block_log_for(65), 7u);
  EXPECT_EQ(ag_block_log_for(1u << 30), 30u);
  EXPECT_EQ(ag_block_log_for((1u << 30) - 1), 30u);
}

TEST(Geometry, MetadataCarriesTheOlderUuid) {
  const Uuid other = *Uuid::parse("ffffffff-0000-0000-0000-000000000000");
  const Geometry g = test_geometry([&](Superblock& sb) {
    sb.features_incompat = sb.features_incompat | incompat_bits::kMetaUuid;
    sb.meta_uuid = other;
  });
  EXPECT_EQ(g.uuid, other);
  EXPECT_EQ(g.user_uuid, kTestUuid);
}

TEST(Extent, EncodesEveryBit) {
  const Extent all{.file_block = FileBlock((1ull << 54) - 1),
                   .start = FsBlock((1ull << 52) - 1),
                   .length_blocks = (1u << 21) - 1,
                   .unwritten = true};
  const ExtentRecord record = all.encode();
  EXPECT_EQ(record.l0, ~0ull);
  EXPECT_EQ(record.l1, ~0ull);
  EXPECT_EQ(Extent::decode(record), all);
}

TEST(Extent, FieldsDoNotMix) {
  for (const Extent extent :
       {Extent{.file_block = FileBlock(1), .length_blocks = 0}, Extent{.start = FsBlock(1)},
        Extent{.start = FsBlock(1ull << 43)}, Extent{.length_blocks = 1}, Extent{.unwritten = true},
        Extent{.file_block = FileBlock(1ull << 53), .start = FsBlock(1ull << 51)}}) {
    EXPECT_EQ(Extent::decode(extent.encode()), extent);
  }
}

TEST(Extent, RulesOfAList) {
  const Geometry g = test_geometry();
  struct Case {
    const char* name;
    std::vector<Extent> extents;
    bool attribute;
    std::vector<FlawKind> kinds;
  };
  const Extent a{.file_block = FileBlock(0), .start = FsBlock(100), .length_blocks = 10};
  const Extent b{.file_block = FileBlock(10), .start = FsBlock(200), .length_blocks = 5, .unwritten = true};
  const std::uint64_t end = g.max_file_blocks();
  const Case cases[] = {
      {"good", {a, b}, false, {}},
      {"empty", {}, false, {}},
      {"last block of a file",
       {{.file_block = FileBlock(end - 1), .start = FsBlock(9), .length_blocks = 1}},
       false,
       {}},
      {"past the end",
       {{.file_block = FileBlock(end - 1), .start = FsBlock(9), .length_blocks = 2}},
       false,
       {FlawKind::kRange}},
      {"unwritten attribute", {a, b}, true, {FlawKind::kRange}},
      {"order", {b, a}, false, {FlawKind::kOrder}},
      {"overlap",
       {a, {.file_block = FileBlock(9), .start = FsBlock(300), .length_blocks = 1}},
       false,
       {FlawKind::kOrder}},
      {"zero length",
       {{.file_block = FileBlock(0), .start = FsBlock(9), .length_blocks = 0}},
       false,
       {FlawKind::kPointer}},
      {"over a group's end",
       {{.file_block = FileBlock(0), .start = FsBlock(16380), .length_blocks = 5}},
       false,
       {FlawKind::kPointer}},
  };
  for (const Case& test_case : cases) {
    SCOPED_TRACE(test_case.name);
    std::vector<ExtentRecord> records;
    for (const Extent& extent : test_case.extents) records.push_back(extent.encode());
    const Flaws flaws = verify_extents(records, g, test_case.attribute, 0);
    ASSERT_EQ(flaws.total(), test_case.kinds.size()) << describe(flaws);
    for (std::size_t i = 0; i < test_case.kinds.size(); ++i) EXPECT_EQ(flaws[i].kind, test_case.kinds[i]);
  }
}

TEST(Timestamp, LegacyAndBigtime) {
  EXPECT_EQ(encode_timestamp({.seconds = -1, .nanoseconds = 5}, false), 0xffffffff00000005ull);
  EXPECT_EQ(encode_timestamp({.seconds = Timestamp::kMinSeconds}, true), 0u);
  EXPECT_EQ(decode_timestamp(0, true), (Timestamp{.seconds = Timestamp::kMinSeconds}));
  for (const bool bigtime : {false, true}) {
    for (const std::int64_t seconds :
         {Timestamp::kMinSeconds, std::int64_t{-1}, std::int64_t{0}, Timestamp::kMaxLegacySeconds}) {
      const Timestamp time{.seconds = seconds, .nanoseconds = 999'999'999};
      EXPECT_EQ(decode_timestamp(encode_timestamp(time, bigtime), bigtime), time);
    }
  }
}

TEST(Timestamp, OutsideBecomesTheNearestInside) {
  EXPECT_EQ(decode_timestamp(encode_timestamp({.seconds = 1ll << 40, .nanoseconds = 7}, false), false),
            (Timestamp{.seconds = Timestamp::kMaxLegacySeconds}));
  EXPECT_EQ(decode_timestamp(encode_timestamp({.seconds = -(1ll << 40), .nanoseconds = 7}, true), true),
            (Timestamp{.seconds = Timestamp::kMinSeconds}));
  EXPECT_EQ(decode_timestamp(encode_timestamp({.seconds = 1ll << 40}, true), true),
            (Timestamp{.seconds = Timestamp::kMaxBigtimeSeconds}));
  // 2^64 - 1 nanoseconds end inside the last second.
  const Timestamp last = decode_timestamp(~0ull, true);
  EXPECT_EQ(last.seconds, Timestamp::kMaxBigtimeSeconds);
  EXPECT_EQ(encode_timestamp(last, true), ~0ull);
  EXPECT_EQ(decode_timestamp(encode_timestamp({.seconds = last.seconds, .nanoseconds = 999'999'999}, true), true),
            (Timestamp{.seconds = last.seconds}));
}

TEST(Flaws, KeepSixteenAndCountTheRest) {
  Flaws flaws;
  for (int i = 0; i < 100; ++i) flaws.add({FlawKind::kRange, "x"});
  EXPECT_EQ(flaws.size(), Flaws::kMax);
  EXPECT_EQ(flaws.total(), 100u);
  Flaws more;
  more.add_all(flaws);
  more.add_all(flaws);
  EXPECT_EQ(more.size(), Flaws::kMax);
  EXPECT_EQ(more.total(), 200u);
}

}  // namespace
}  // namespace xdax::test

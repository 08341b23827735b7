// Blocks of all seven trees and their records: layout arithmetic, and every rule of their verifiers alone.

#include "libfs/format/btree_block.h"

#include "libfs/format/btree_records.h"
#include "libfs/format/extent.h"
#include "tests/unit/format_support.h"

namespace xdax::test {
namespace {

const Geometry kGeometry = test_geometry();
constexpr AgNumber kAg{1};
constexpr AgBlock kBlock{50};

void reseal_short(Bytes& bytes) { seal(bytes, offsetof(ShortBtreeHeader, crc)); }
void reseal_long(Bytes& bytes) { seal(bytes, offsetof(LongBtreeHeader, crc)); }

Bytes short_block(BtreeKind kind, std::uint16_t level, std::uint16_t count) {
  Bytes bytes(kGeometry.block_bytes);
  auto& header = mutable_view<ShortBtreeHeader>(bytes);
  header.magic = btree_spec(kind).magic;
  header.level = level;
  header.numrecs = count;
  header.leftsib = kNullAgBlock.value();
  header.rightsib = kNullAgBlock.value();
  header.blkno = kGeometry.disk_address(kAg, kBlock).value();
  header.uuid = kTestUuid;
  header.owner = kAg.value();
  return bytes;
}

template <class Record>
Bytes leaf(BtreeKind kind, const std::vector<Record>& records) {
  Bytes bytes = short_block(kind, 0, static_cast<std::uint16_t>(records.size()));
  for (std::size_t i = 0; i < records.size(); ++i) {
    mutable_view<Record>(bytes, sizeof(ShortBtreeHeader) + i * sizeof(Record)) = records[i];
  }
  reseal_short(bytes);
  return bytes;
}

std::function<Flaws(ByteSpan)> verify_as(BtreeKind kind, bool root = true) {
  return [=](ByteSpan bytes) {
    return verify_short_btree_block(bytes, kGeometry,
                                    {.kind = kind, .ag = kAg, .block = kBlock, .level = std::nullopt, .root = root});
  };
}

template <class Record>
Mutation record(std::string name, std::size_t index, const std::function<void(Record&)>& change, FlawKind kind,
                std::string_view field) {
  return {std::move(name),
          [=](Bytes& bytes) { change(mutable_view<Record>(bytes, sizeof(ShortBtreeHeader) + index * sizeof(Record))); },
          kind, field};
}

TEST(FormatBtree, EntriesOfABlock) {
  struct Case {
    BtreeKind kind;
    std::uint32_t block_bytes, records, keys;
  };
  for (const Case& c : {Case{BtreeKind::kBno, 4096, 505, 336}, Case{BtreeKind::kInobt, 4096, 252, 505},
                        Case{BtreeKind::kRmap, 4096, 168, 91}, Case{BtreeKind::kRefcount, 4096, 336, 505},
                        Case{BtreeKind::kBmap, 4096, 251, 251}, Case{BtreeKind::kBno, 1024, 121, 80},
                        Case{BtreeKind::kBmap, 65536, 4091, 4091}}) {
    const BtreeLayout layout(c.kind, c.block_bytes);
    EXPECT_EQ(layout.max_records(), c.records) << layout.spec().name;
    EXPECT_EQ(layout.max_keys(), c.keys) << layout.spec().name;
    EXPECT_LE(layout.pointer_offset(layout.max_keys()), c.block_bytes);
    EXPECT_LE(layout.record_offset(layout.max_records()), c.block_bytes);
    EXPECT_LE(layout.key_offset(layout.max_keys()), layout.pointer_offset(0));
  }
}

TEST(FormatBtree, WorstCases) {
  const BtreeLayout layout(BtreeKind::kBno, 4096);
  EXPECT_EQ(worst_case_levels(layout, 0), 1u);
  EXPECT_EQ(worst_case_blocks(layout, 0), 1u);
  EXPECT_EQ(worst_case_levels(layout, 252), 1u);
  EXPECT_EQ(worst_case_levels(layout, 253), 2u);
  EXPECT_EQ(worst_case_blocks(layout, 253), 3u);
}

TEST(FormatBtree, HeaderRules) {
  const auto header = [](std::string name, std::function<void(ShortBtreeHeader&)> change, FlawKind kind,
                         std::string_view field) {
    return mutate<ShortBtreeHeader>(std::move(name), std::move(change), kind, field);
  };
  const Bytes good = leaf<FreeRecord>(BtreeKind::kBno, {{100u, 10u}, {200u, 5u}});
  using enum FlawKind;
  expect_each_alone(good, verify_as(BtreeKind::kBno), reseal_short,
                    {
                        header(
                            "magic of another tree", [](auto& h) { h.magic = btree_spec(BtreeKind::kCnt).magic; },
                            kMagic, "btree.magic"),
                        header(
                            "uuid", [](auto& h) { h.uuid = {}; }, kUuid, "btree.uuid"),
                        header(
                            "address", [](auto& h) { h.blkno = 8ull; }, kSelfAddress, "btree.blkno"),
                        header(
                            "owner", [](auto& h) { h.owner = 2u; }, kOwner, "btree.owner"),
                        header(
                            "level", [](auto& h) { h.level = 9; }, kLevel, "btree.level"),
                        header(
                            "count", [](auto& h) { h.numrecs = 506; }, kCount, "btree.numrecs"),
                        header(
                            "sibling of a root", [](auto& h) { h.leftsib = 51u; }, kPointer, "btree.leftsib"),
                    });
  expect_every_bit_counts(good, verify_as(BtreeKind::kBno), 61);
  EXPECT_TRUE(verify_as(BtreeKind::kBno, false)(good).has(kCount)) << "two records are no half of a block";
}

TEST(FormatBtree, FreeSpaceRecords) {
  using enum FlawKind;
  const auto r = record<FreeRecord>;
  expect_each_alone(leaf<FreeRecord>(BtreeKind::kBno, {{100u, 10u}, {200u, 5u}}), verify_as(BtreeKind::kBno),
                    reseal_short,
                    {
                        r(
                            "in the header", 0, [](auto& x) { x.startblock = 0u; }, kRange, "free.startblock"),
                        r(
                            "empty", 1, [](auto& x) { x.blockcount = 0u; }, kRange, "free.startblock"),
                        r(
                            "past the end", 1, [](auto& x) { x.blockcount = 16384u - 199; }, kRange, "free.startblock"),
                        r(
                            "touching", 1, [](auto& x) { x.startblock = 110u; }, kOrder, "free.startblock"),
                        r(
                            "before", 1, [](auto& x) { x.startblock = 20u; }, kOrder, "free.startblock"),
                    });
  expect_each_alone(leaf<FreeRecord>(BtreeKind::kCnt, {{300u, 5u}, {400u, 5u}, {10u, 7u}}), verify_as(BtreeKind::kCnt),
                    reseal_short,
                    {
                        r(
                            "size", 2, [](auto& x) { x.blockcount = 4u; }, kOrder, "free.blockcount"),
                        r(
                            "block", 1, [](auto& x) { x.startblock = 300u; }, kOrder, "free.blockcount"),
                    });
}

InodeChunkRecord chunk(std::uint32_t start, std::uint64_t free_mask, std::uint32_t freecount) {
  return InodeChunk{.start = AgInode(start), .count = 64, .freecount = freecount, .free_mask = free_mask}.encode(true);
}

TEST(FormatBtree, InodeChunkRecords) {
  using enum FlawKind;
  const auto r = record<InodeChunkRecord>;
  const Bytes good = leaf<InodeChunkRecord>(BtreeKind::kInobt, {chunk(128, 0, 0), chunk(192, 0xf0, 4)});
  expect_each_alone(good, verify_as(BtreeKind::kInobt), reseal_short,
                    {
                        r(
                            "alignment", 1, [](auto& x) { x.startino = 200u; }, kRange, "inobt.startino"),
                        r(
                            "in the header", 0, [](auto& x) { x.startino = 0u; }, kRange, "inobt.startino"),
                        r(
                            "outside", 1, [](auto& x) { x.startino = 16384u * 8; }, kRange, "inobt.startino"),
                        r(
                            "order", 1, [](auto& x) { x.startino = 128u; }, kOrder, "inobt.startino"),
                        r(
                            "free count", 1, [](auto& x) { x.sparse.freecount = 5; }, kConsistency, "inobt.freecount"),
                        r(
                            "count", 1, [](auto& x) { x.sparse.count = 60; }, kConsistency, "inobt.count"),
                        r(
                            "hole not free", 0,
                            [](auto& x) {
                              x.sparse.holemask = 1;
                              x.sparse.count = 60;
                            },
                            kConsistency, "inobt.free"),
                    });
  expect_each_alone(leaf<InodeChunkRecord>(BtreeKind::kFinobt, {chunk(192, 0xf0, 4)}), verify_as(BtreeKind::kFinobt),
                    reseal_short,
                    {r("nothing free", 0, [](auto& x) { x = chunk(192, 0, 0); }, kConsistency, "finobt.freecount")});
}

TEST(FormatBtree, InodeChunkDecodesBothForms) {
  const InodeChunk sparse{.start = AgInode(64), .holemask = 0xff00, .count = 32, .freecount = 3, .free_mask = 7};
  const InodeChunk again = InodeChunk::decode(sparse.encode(true), true);
  EXPECT_EQ(again.holemask, sparse.holemask);
  EXPECT_EQ(again.freecount, 3u);
  EXPECT_EQ(again.existing_mask(), 0xffffffffull);
  const InodeChunk whole = InodeChunk::decode(InodeChunk{.freecount = 64, .free_mask = ~0ull}.encode(false), false);
  EXPECT_EQ(whole.count, 64u);
  EXPECT_EQ(whole.freecount, 64u);
}

TEST(FormatBtree, ReverseMapRecords) {
  using enum FlawKind;
  const auto r = record<RmapRecord>;
  const Bytes good = leaf<RmapRecord>(BtreeKind::kRmap, {{0u, 1u, rmap::kOwnerFs, 0ull},
                                                         {2u, 2u, rmap::kOwnerAg, 0ull},
                                                         {100u, 10u, 128ull, 5ull},
                                                         {120u, 10u, 129ull, rmap::kUnwritten | 7},
                                                         {125u, 10u, 128ull, 90ull},
                                                         {200u, 1u, 130ull, rmap::kBmapBlock},
                                                         {300u, 4u, rmap::kOwnerCow, rmap::kUnwritten}});
  expect_each_alone(
      good, verify_as(BtreeKind::kRmap), reseal_short,
      {
          r(
              "header\'s length", 0, [](auto& x) { x.blockcount = 2u; }, kRange, "rmap.blockcount"),
          r(
              "unknown owner", 1, [](auto& x) { x.owner = rmap::kOwnerMinSpecial; }, kOwner, "rmap.owner"),
          r(
              "owner outside", 2, [](auto& x) { x.owner = 1ull; }, kOwner, "rmap.owner"),
          r(
              "offset of metadata", 1, [](auto& x) { x.offset = 1ull; }, kReserved, "rmap.offset"),
          r(
              "offset past 2^63", 2, [](auto& x) { x.offset = rmap::kOffsetMask; }, kRange, "rmap.offset"),
          r(
              "reserved bits", 2, [](auto& x) { x.offset = 1ull << 60; }, kReserved, "rmap.offset"),
          r(
              "offset of a tree block", 5, [](auto& x) { x.offset = rmap::kBmapBlock | 1; }, kReserved, "rmap.offset"),
          r(
              "unwritten attribute", 2, [](auto& x) { x.offset = rmap::kAttrFork | rmap::kUnwritten; }, kReserved,
              "rmap.offset"),
          r(
              "order", 4, [](auto& x) { x.startblock = 103u; }, kOrder, "rmap.startblock"),
          r(
              "past the end", 6, [](auto& x) { x.blockcount = 16384u; }, kRange, "rmap.startblock"),
      });
}

TEST(FormatBtree, ReferenceCountRecords) {
  using enum FlawKind;
  const auto r = record<RefcountRecord>;
  const Bytes good =
      leaf<RefcountRecord>(BtreeKind::kRefcount, {{100u, 10u, 2u}, {110u, 5u, 3u}, {refcount::kCowFlag | 50u, 8u, 1u}});
  expect_each_alone(good, verify_as(BtreeKind::kRefcount), reseal_short,
                    {
                        r(
                            "one owner", 0, [](auto& x) { x.refcount = 1u; }, kRange, "refcount.refcount"),
                        r(
                            "staging shared", 2, [](auto& x) { x.refcount = 2u; }, kRange, "refcount.refcount"),
                        r(
                            "overlap", 1, [](auto& x) { x.startblock = 109u; }, kOrder, "refcount.startblock"),
                        r(
                            "header", 0, [](auto& x) { x.startblock = 0u; }, kRange, "refcount.startblock"),
                        r(
                            "empty", 1, [](auto& x) { x.blockcount = 0u; }, kRange, "refcount.startblock"),
                    });
}

TEST(FormatBtree, NodesOfEveryTree) {
  using enum FlawKind;
  for (const BtreeKind kind : {BtreeKind::kBno, BtreeKind::kCnt, BtreeKind::kInobt, BtreeKind::kFinobt,
                               BtreeKind::kRmap, BtreeKind::kRefcount}) {
    const BtreeLayout layout(kind, kGeometry.block_bytes);
    SCOPED_TRACE(layout.spec().name);
    Bytes good = short_block(kind, 1, 3);
    for (std::uint32_t i = 0; i < 3; ++i) {
      // The most significant field of every key is a block or inode number; of the size tree, the second is.
      const std::uint32_t at = layout.key_offset(i) + (kind == BtreeKind::kCnt ? 4 : 0);
      mutable_view<be32>(good, at) = 100 * (i + 1);
      if (layout.spec().overlapping) mutable_view<be32>(good, at + layout.spec().key_bytes) = 100 * (i + 1) + 50;
      mutable_view<be32>(good, layout.pointer_offset(i)) = 60 + i;
    }
    reseal_short(good);
    const auto key = [&](std::uint32_t value) {
      return [=](Bytes& bytes) {
        mutable_view<be32>(bytes, layout.key_offset(1) + (kind == BtreeKind::kCnt ? 4 : 0)) = value;
      };
    };
    const auto pointer = [&](std::uint32_t value) {
      return [=](Bytes& bytes) { mutable_view<be32>(bytes, layout.pointer_offset(2)) = value; };
    };
    expect_each_alone(
        good, verify_as(kind), reseal_short,
        {
            {"key order", key(100), kOrder, "btree.keys"},
            {"pointer to itself", pointer(kBlock.value()), kPointer, "btree.ptrs"},
            {"pointer outside", pointer(16384), kPointer, "btree.ptrs"},
            {"pointer to the header", pointer(0), kPointer, "btree.ptrs"},
            {"lonely root", [](Bytes& b) { mutable_view<ShortBtreeHeader>(b).numrecs = 1; }, kCount, "btree.numrecs"},
        });
    if (!layout.spec().overlapping) continue;
    const Mutation high{"high key below low key",
                        [&](Bytes& b) { mutable_view<be32>(b, layout.key_offset(0) + layout.spec().key_bytes) = 99u; },
                        kOrder, "btree.high_keys"};
    expect_each_alone(good, verify_as(kind), reseal_short, {high});
  }
}

TEST(FormatBtree, ExtentMapBlocks) {
  using enum FlawKind;
  const FsBlock here = kGeometry.fs_block(kAg, kBlock);
  const InodeNumber owner{128};
  const auto verify = [&](ByteSpan bytes) {
    return verify_long_btree_block(bytes, kGeometry, {.block = here, .owner = owner, .level = std::nullopt});
  };
  Bytes good(kGeometry.block_bytes);
  auto& header = mutable_view<LongBtreeHeader>(good);
  header.magic = btree_spec(BtreeKind::kBmap).magic;
  header.numrecs = 2;
  header.leftsib = kNullFsBlock.value();
  header.rightsib = 77ull;
  header.blkno = kGeometry.disk_address(here).value();
  header.uuid = kTestUuid;
  header.owner = owner.value();
  const auto extents = mutable_view_array<ExtentRecord>(good, sizeof(LongBtreeHeader), 2);
  extents[0] = Extent{.file_block = FileBlock(0), .start = FsBlock(100), .length_blocks = 4}.encode();
  extents[1] = Extent{.file_block = FileBlock(9), .start = FsBlock(200), .length_blocks = 4}.encode();
  reseal_long(good);
  const auto h = mutate<LongBtreeHeader>;
  expect_each_alone(good, verify, reseal_long,
                    {
                        h(
                            "magic", [](auto& x) { x.magic = 0u; }, kMagic, "btree.magic"),
                        h(
                            "uuid", [](auto& x) { x.uuid = {}; }, kUuid, "btree.uuid"),
                        h(
                            "address", [](auto& x) { x.blkno = 0ull; }, kSelfAddress, "btree.blkno"),
                        h(
                            "owner", [](auto& x) { x.owner = 129ull; }, kOwner, "btree.owner"),
                        h(
                            "sibling", [=](auto& x) { x.rightsib = here.value(); }, kPointer, "btree.rightsib"),
                        h(
                            "left sibling", [](auto& x) { x.leftsib = 1ull << 40; }, kPointer, "btree.leftsib"),
                        h(
                            "empty", [](auto& x) { x.numrecs = 0; }, kCount, "btree.numrecs"),
                        h(
                            "full", [](auto& x) { x.numrecs = 252; }, kCount, "btree.numrecs"),
                        {"extent order",
                         [](Bytes& b) {
                           mutable_view_array<ExtentRecord>(b, sizeof(LongBtreeHeader), 2)[1] =
                               Extent{.file_block = FileBlock(3), .start = FsBlock(200), .length_blocks = 4}.encode();
                         },
                         kOrder, "extent.startoff"},
                    });
  expect_every_bit_counts(good, verify, 61);
}

TEST(FormatBtree, ExtentMapNodes) {
  using enum FlawKind;
  const FsBlock here = kGeometry.fs_block(kAg, kBlock);
  const BtreeLayout layout(BtreeKind::kBmap, kGeometry.block_bytes);
  const auto verify = [&](ByteSpan bytes) {
    return verify_long_btree_block(bytes, kGeometry, {.block = here, .owner = InodeNumber(128), .level = 1});
  };
  Bytes good(kGeometry.block_bytes);
  auto& header = mutable_view<LongBtreeHeader>(good);
  header.magic = layout.spec().magic;
  header.level = 1;
  header.numrecs = 2;
  header.leftsib = kNullFsBlock.value();
  header.rightsib = kNullFsBlock.value();
  header.blkno = kGeometry.disk_address(here).value();
  header.uuid = kTestUuid;
  header.owner = 128ull;
  for (std::uint32_t i = 0; i < 2; ++i) {
    mutable_view<be64>(good, layout.key_offset(i)) = 10ull * i;
    mutable_view<be64>(good, layout.pointer_offset(i)) = 70ull + i;
  }
  reseal_long(good);
  const auto set = [](std::uint32_t at, std::uint64_t value) {
    return [=](Bytes& bytes) { mutable_view<be64>(bytes, at) = value; };
  };
  expect_each_alone(good, verify, reseal_long,
                    {
                        {"key order", set(layout.key_offset(1), 0), kOrder, "btree.keys"},
                        {"pointer outside", set(layout.pointer_offset(1), 1ull << 50), kPointer, "btree.ptrs"},
                        {"pointer to itself", set(layout.pointer_offset(0), here.value()), kPointer, "btree.ptrs"},
                    });
}

}  // namespace
}  // namespace xdax::test

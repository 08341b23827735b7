// Inodes: every rule of the core and of the forks inside it, one field at a time.

#include "libfs/format/inode.h"

#include "libfs/format/inode_fork.h"
#include "tests/unit/format_support.h"

namespace xdax::test {
namespace {

const Geometry kGeometry = test_geometry();
constexpr InodeNumber kIno{200};
constexpr std::uint16_t kFile = 0x81a4, kFolder = 0x41ed, kLink = 0xa1ff, kDevice = 0x2180;

void reseal(Bytes& bytes) { seal(bytes, offsetof(InodeCore, crc)); }
Flaws verify(ByteSpan bytes) { return verify_inode(bytes, kGeometry, {kIno}); }

Bytes inode(std::uint16_t mode, ForkFormat format) {
  Bytes bytes(kGeometry.inode_bytes);
  auto& core = mutable_view<InodeCore>(bytes);
  core.magic = InodeCore::kMagic;
  core.mode = mode;
  core.version = InodeCore::kVersion;
  core.format = static_cast<std::uint8_t>(format);
  core.nlink = mode != 0 ? 1u : 0u;
  core.aformat = static_cast<std::uint8_t>(ForkFormat::kExtents);
  core.next_unlinked = kNullAgInode.value();
  core.flags2 = mode != 0 ? inode_flags2::kBigtime : 0;
  core.ino = kIno.value();
  core.uuid = kTestUuid;
  reseal(bytes);
  return bytes;
}

void put_extents(Bytes& bytes, Fork fork, const std::vector<Extent>& extents) {
  const ForkArea area = fork_area(view<InodeCore>(bytes), kGeometry.inode_bytes, fork);
  const auto records = mutable_view_array<ExtentRecord>(bytes, area.offset_bytes, extents.size());
  for (std::size_t i = 0; i < extents.size(); ++i) records[i] = extents[i].encode();
}

// A file of two extents and an attribute fork of one.
Bytes file() {
  Bytes bytes = inode(kFile, ForkFormat::kExtents);
  auto& core = mutable_view<InodeCore>(bytes);
  core.size = 9 * 4096ull;
  core.nblocks = 9ull;
  core.forkoff = 20;
  set_data_extent_count(core, 2);
  set_attr_extent_count(core, 1);
  put_extents(bytes, Fork::kData,
              {{.file_block = FileBlock(0), .start = FsBlock(100), .length_blocks = 5},
               {.file_block = FileBlock(6), .start = FsBlock(200), .length_blocks = 3, .unwritten = true}});
  put_extents(bytes, Fork::kAttr, {{.file_block = FileBlock(0), .start = FsBlock(300), .length_blocks = 1}});
  reseal(bytes);
  return bytes;
}

Mutation core(const char* name, std::function<void(InodeCore&)> change, FlawKind kind, std::string_view field) {
  return mutate<InodeCore>(name, std::move(change), kind, field);
}

TEST(FormatInode, EachRuleOfTheCoreAlone) {
  using enum FlawKind;
  namespace f = inode_flags;
  namespace f2 = inode_flags2;
  expect_each_alone(
      file(), verify, reseal,
      {
          core(
              "magic", [](auto& c) { c.magic = 0; }, kMagic, "inode.magic"),
          core(
              "version", [](auto& c) { c.version = 2; }, kVersion, "inode.version"),
          core(
              "uuid", [](auto& c) { c.uuid = {}; }, kUuid, "inode.uuid"),
          core(
              "number", [](auto& c) { c.ino = 201ull; }, kSelfAddress, "inode.ino"),
          core(
              "next unlinked is itself", [](auto& c) { c.next_unlinked = 200u; }, kPointer, "inode.next_unlinked"),
          core(
              "next unlinked outside", [](auto& c) { c.next_unlinked = 1u; }, kPointer, "inode.next_unlinked"),
          core(
              "next unlinked of a linked inode", [](auto& c) { c.next_unlinked = 264u; }, kConsistency,
              "inode.next_unlinked"),
          core(
              "old link count", [](auto& c) { c.onlink = 1; }, kReserved, "inode.onlink"),
          core(
              "sign bit", [](auto& c) { c.size = 1ull << 63; }, kRange, "inode.size"),
          core(
              "unknown flag", [](auto& c) { c.flags = 0x8000; }, kReserved, "inode.flags"),
          core(
              "unknown flag2", [](auto& c) { c.flags2 = c.flags2 | 1ull << 40; }, kReserved, "inode.flags2"),
          core(
              "padding", [](auto& c) { c.pad2[5] = 1; }, kReserved, "inode.pad2"),
          core(
              "counted twice", [](auto& c) { c.big_nextents = 2ull; }, kReserved, "inode.pad"),
          core(
              "metadata", [](auto& c) { c.flags2 = c.flags2 | f2::kMetadata; }, kConsistency, "inode.flags2"),
          core(
              "links", [](auto& c) { c.nlink = 0x80000000u; }, kRange, "inode.nlink"),
          core(
              "realtime", [](auto& c) { c.flags = f::kRealtime; }, kConsistency, "inode.flags"),
          core(
              "inherited hint of a file",
              [](auto& c) {
                c.flags = f::kExtszInherit;
                c.extsize = 4u;
              },
              kConsistency, "inode.flags"),
          core(
              "hint without flag", [](auto& c) { c.extsize = 1u; }, kRange, "inode.extsize"),
          core(
              "flag without hint", [](auto& c) { c.flags = f::kExtsize; }, kRange, "inode.extsize"),
          core(
              "hint too large",
              [](auto& c) {
                c.flags = f::kExtsize;
                c.extsize = 8193u;
              },
              kRange, "inode.extsize"),
          core(
              "cow hint without flag", [](auto& c) { c.cowextsize = 1u; }, kRange, "inode.cowextsize"),
          core(
              "unknown type", [](auto& c) { c.mode = 0x1000 | 0x8000 | 0x1ff; }, kRange, "inode.mode"),
          core(
              "too few blocks", [](auto& c) { c.nblocks = 8ull; }, kConsistency, "inode.nblocks"),
          core(
              "too many blocks", [](auto& c) { c.nblocks = 10ull; }, kConsistency, "inode.nblocks"),
          core(
              "attribute format", [](auto& c) { c.aformat = 4; }, kRange, "inode.aformat"),
      });
  expect_every_bit_counts(file(), verify, 5);
}

// Some wrong values break a count and what hangs on it.
TEST(FormatInode, RulesThatBreakTogether) {
  struct Case {
    const char* name;
    std::function<void(InodeCore&)> change;
    FlawKind kind;
  };
  using enum FlawKind;
  const Case cases[] = {
      {"extents beyond the fork", [](auto& c) { c.nextents = 11u, c.nblocks = 100ull; }, kCount},
      {"extents beyond the format", [](auto& c) { c.nextents = 0x80000000u; }, kCount},
      {"attribute extents", [](auto& c) { c.anextents = 0x8000; }, kCount},
      {"fork past the end", [](auto& c) { c.forkoff = 255; }, kRange},
      {"more extents than blocks", [](auto& c) { c.nextents = 11u; }, kConsistency},
      {"content in a file", [](auto& c) { c.format = 1; }, kConsistency},
      {"device in a file", [](auto& c) { c.format = 0; }, kConsistency},
      {"tree of nothing", [](auto& c) { c.format = 3; }, kCount},
      {"realtime tree", [](auto& c) { c.format = 5; }, kRange},
      {"folder of unwritten blocks", [](auto& c) { c.mode = kFolder; }, kRange},
  };
  for (const Case& test_case : cases) {
    SCOPED_TRACE(test_case.name);
    Bytes bytes = file();
    test_case.change(mutable_view<InodeCore>(bytes));
    reseal(bytes);
    EXPECT_TRUE(verify(bytes).has(test_case.kind)) << describe(verify(bytes));
  }
}

TEST(FormatInode, FeaturesOfFlags) {
  const Geometry plain = test_geometry([](Superblock& sb) {
    sb.features_incompat = sb.features_incompat & ~(incompat_bits::kBigtime | incompat_bits::kNrext64);
    sb.features_ro_compat = sb.features_ro_compat & ~ro_compat_bits::kReflink;
  });
  for (const std::uint64_t flag : {inode_flags2::kBigtime, inode_flags2::kReflink, inode_flags2::kNrext64}) {
    Bytes bytes = inode(kFile, ForkFormat::kExtents);
    mutable_view<InodeCore>(bytes).flags2 = flag;
    reseal(bytes);
    EXPECT_TRUE(verify(bytes).empty()) << flag << describe(verify(bytes));
    const Flaws flaws = verify_inode(bytes, plain, {kIno});
    EXPECT_EQ(flaws.total(), 1u) << describe(flaws);
    EXPECT_TRUE(flaws.has(FlawKind::kConsistency));
  }
}

TEST(FormatInode, LegacyTimesHaveLessThanASecondOfNanoseconds) {
  Bytes good = inode(kFile, ForkFormat::kExtents);
  mutable_view<InodeCore>(good).flags2 = 0ull;
  reseal(good);
  using enum FlawKind;
  expect_each_alone(good, verify, reseal,
                    {
                        core(
                            "atime", [](auto& c) { c.atime = 1'000'000'000ull; }, kRange, "inode.atime"),
                        core(
                            "mtime", [](auto& c) { c.mtime = 0xffffffffull; }, kRange, "inode.mtime"),
                        core(
                            "ctime", [](auto& c) { c.ctime = 1'000'000'000ull; }, kRange, "inode.ctime"),
                        core(
                            "crtime", [](auto& c) { c.crtime = 1'000'000'000ull; }, kRange, "inode.crtime"),
                    });
}

TEST(FormatInode, CountsLieWhereTheInodesFlagSays) {
  InodeCore c{};
  set_data_extent_count(c, limits::kMaxDataExtents);
  set_attr_extent_count(c, limits::kMaxAttrExtents);
  EXPECT_EQ(c.nextents, 0x7fffffffu);
  EXPECT_EQ(c.anextents, 0x7fffu);
  EXPECT_EQ(data_extent_count(c), limits::kMaxDataExtents);
  InodeCore large{};
  large.flags2 = inode_flags2::kNrext64;
  set_data_extent_count(large, limits::kMaxDataExtentsNrext64);
  set_attr_extent_count(large, limits::kMaxAttrExtentsNrext64);
  EXPECT_EQ(large.big_nextents, (1ull << 48) - 1);
  EXPECT_EQ(large.nextents, 0xffffffffu);
  EXPECT_EQ(large.anextents, 0u);
  EXPECT_EQ(attr_extent_count(large), limits::kMaxAttrExtentsNrext64);
}

TEST(FormatInode, FreeInodesHoldNothing) {
  using enum FlawKind;
  expect_each_alone(inode(0, ForkFormat::kExtents), verify, reseal,
                    {
                        core(
                            "links", [](auto& c) { c.nlink = 1u; }, kConsistency, "inode.nlink"),
                        core(
                            "blocks", [](auto& c) { c.nblocks = 1ull; }, kConsistency, "inode.nblocks"),
                        core(
                            "extents", [](auto& c) { c.nextents = 1u; }, kConsistency, "inode.nextents"),
                        core(
                            "attributes", [](auto& c) { c.anextents = 1; }, kConsistency, "inode.anextents"),
                        core(
                            "fork", [](auto& c) { c.forkoff = 10; }, kConsistency, "inode.forkoff"),
                    });
  Bytes fresh = inode(0, ForkFormat::kDev);
  mutable_view<InodeCore>(fresh).aformat = 0;
  reseal(fresh);
  EXPECT_TRUE(verify(fresh).empty()) << "never used";
}

TEST(FormatInode, InodesWithoutLinksAreLegal) {
  Bytes bytes = file();
  mutable_view<InodeCore>(bytes).nlink = 0u;
  mutable_view<InodeCore>(bytes).next_unlinked = 264u;
  reseal(bytes);
  EXPECT_TRUE(verify(bytes).empty());
  Bytes empty_link = inode(kLink, ForkFormat::kExtents);
  mutable_view<InodeCore>(empty_link).nlink = 0u;
  reseal(empty_link);
  EXPECT_TRUE(verify(empty_link).empty()) << "torn down as far as its blocks";
}

TEST(FormatInode, Devices) {
  using enum FlawKind;
  Bytes good = inode(kDevice, ForkFormat::kDev);
  mutable_view<be32>(good, sizeof(InodeCore)) = (4u << 18) | 1;
  mutable_view<InodeCore>(good).forkoff = 1;
  mutable_view<InodeCore>(good).aformat = static_cast<std::uint8_t>(ForkFormat::kExtents);
  reseal(good);
  expect_each_alone(
      good, verify, reseal,
      {
          core(
              "size", [](auto& c) { c.size = 1ull; }, kRange, "inode.size"),
          core(
              "format", [](auto& c) { c.format = 2; }, kConsistency, "inode.format"),
          core(
              "fork", [](auto& c) { c.forkoff = 2; }, kRange, "inode.forkoff"),
          core(
              "reflink", [](auto& c) { c.flags2 = c.flags2 | inode_flags2::kReflink; }, kConsistency, "inode.flags2"),
          core(
              "dax", [](auto& c) { c.flags2 = c.flags2 | inode_flags2::kDax; }, kConsistency, "inode.flags2"),
      });
}

TEST(FormatInode, SymbolicLinksInside) {
  using enum FlawKind;
  Bytes good = inode(kLink, ForkFormat::kLocal);
  mutable_view<InodeCore>(good).size = 6ull;
  for (std::size_t i = 0; i < 6; ++i) good[sizeof(InodeCore) + i] = std::byte{'t'};
  reseal(good);
  expect_each_alone(
      good, verify, reseal,
      {
          core(
              "empty", [](auto& c) { c.size = 0ull; }, kRange, "inode.size"),
          core(
              "larger than the fork", [](auto& c) { c.size = 337ull; }, kRange, "inode.size"),
          core(
              "extents", [](auto& c) { c.nextents = 1u, c.nblocks = 1ull; }, kConsistency, "inode.nextents"),
          {"zero byte", [](Bytes& b) { b[sizeof(InodeCore) + 3] = std::byte{0}; }, kRange, "symlink.target"},
      });
}

TEST(FormatInode, ForkAreas) {
  InodeCore c{};
  EXPECT_EQ(fork_area(c, 512, Fork::kData).size_bytes, 336u);
  EXPECT_EQ(fork_area(c, 512, Fork::kAttr).size_bytes, 0u);
  c.forkoff = 15;
  EXPECT_EQ(fork_area(c, 512, Fork::kData).size_bytes, 120u);
  EXPECT_EQ(fork_area(c, 512, Fork::kAttr).offset_bytes, 176u + 120);
  EXPECT_EQ(fork_area(c, 512, Fork::kAttr).size_bytes, 216u);
  c.forkoff = 255;
  EXPECT_EQ(fork_area(c, 512, Fork::kAttr).offset_bytes, 512u) << "hostile, but inside";
  EXPECT_EQ(fork_area(c, 512, Fork::kAttr).size_bytes, 0u);
  EXPECT_EQ(fork_area(c, 2048, Fork::kData).size_bytes, 1872u) << "at most all that follows the core";
}

TEST(FormatInode, TreeRoots) {
  EXPECT_EQ(BmapRootLayout(336).max_entries(), 20u);
  EXPECT_EQ(BmapRootLayout(336).pointer_offset(0), 4u + 20 * 8);
  EXPECT_EQ(BmapRootLayout(3).max_entries(), 0u);
  using enum FlawKind;
  Bytes good(336);
  const BmapRootLayout layout(336);
  mutable_view<BmapRootHeader>(good).level = 1;
  mutable_view<BmapRootHeader>(good).numrecs = 2;
  for (std::uint32_t i = 0; i < 2; ++i) {
    mutable_view<be64>(good, layout.key_offset(i)) = 100ull * i;
    mutable_view<be64>(good, layout.pointer_offset(i)) = 50ull + i;
  }
  const auto root = mutate<BmapRootHeader>;
  const auto set = [](std::uint32_t at, std::uint64_t value) {
    return [=](Bytes& bytes) { mutable_view<be64>(bytes, at) = value; };
  };
  expect_each_alone(
      good, [](ByteSpan b) { return verify_bmap_root(b, kGeometry, 0); }, [](Bytes&) {},
      {
          root(
              "leaf", [](auto& r) { r.level = 0; }, kLevel, "bmap_root.level"),
          root(
              "level", [](auto& r) { r.level = 9; }, kLevel, "bmap_root.level"),
          root(
              "empty", [](auto& r) { r.numrecs = 0; }, kCount, "bmap_root.numrecs"),
          root(
              "full", [](auto& r) { r.numrecs = 21; }, kCount, "bmap_root.numrecs"),
          {"order", set(layout.key_offset(1), 0), kOrder, "bmap_root.keys"},
          {"past 2^63", set(layout.key_offset(1), 1ull << 51), kOrder, "bmap_root.keys"},
          {"pointer", set(layout.pointer_offset(0), ~0ull), kPointer, "bmap_root.ptrs"},
      });
}

}  // namespace
}  // namespace xdax::test

// Superblock, AGF, AGI and AGFL: every rule of their verifiers, one field at a time.

#include "libfs/format/agf.h"
#include "libfs/format/agfl.h"
#include "libfs/format/agi.h"
#include "tests/unit/format_support.h"

namespace xdax::test {
namespace {

constexpr std::size_t kSectorBytes = 512;
const Geometry kGeometry = test_geometry();
constexpr AgNumber kAg{1};

Bytes good_superblock() {
  Bytes sector(kSectorBytes);
  mutable_view<Superblock>(sector) = test_superblock();
  seal(sector, offsetof(Superblock, crc));
  return sector;
}

Mutation sb(const char* name, std::function<void(Superblock&)> change, FlawKind kind, std::string_view field) {
  return mutate<Superblock>(name, std::move(change), kind, field);
}

TEST(FormatSuperblock, EachRuleAlone) {
  const auto verify = [](ByteSpan bytes) { return verify_superblock(bytes, {.ag = AgNumber(0)}); };
  const auto reseal = [](Bytes& bytes) { seal(bytes, offsetof(Superblock, crc)); };
  using enum FlawKind;
  expect_each_alone(
      good_superblock(), verify, reseal,
      {
          sb(
              "magic", [](auto& s) { s.magicnum = 1u; }, kMagic, "sb.magicnum"),
          sb(
              "version 4", [](auto& s) { s.versionnum = (s.versionnum & 0xfff0) | 4; }, kVersion, "sb.versionnum"),
          sb(
              "no unwritten extents", [](auto& s) { s.versionnum = s.versionnum & ~version_bits::kExtFlag; }, kVersion,
              "sb.versionnum"),
          sb(
              "no lazy counters",
              [](auto& s) {
                s.features2 = s.features2 & ~features2_bits::kLazyCount;
                s.bad_features2 = s.features2.get();
              },
              kVersion, "sb.features2"),
          sb(
              "bad features2", [](auto& s) { s.bad_features2 = 0u; }, kReserved, "sb.bad_features2"),
          sb(
              "sectors", [](auto& s) { s.sectlog = 10; }, kRange, "sb.sectsize"),
          sb(
              "inodes of a block", [](auto& s) { s.inopblock = 4; }, kConsistency, "sb.inopblock"),
          sb(
              "inode exponent", [](auto& s) { s.inopblog = 2; }, kConsistency, "sb.inopblog"),
          sb(
              "directory blocks", [](auto& s) { s.dirblklog = 5; }, kRange, "sb.dirblklog"),
          sb(
              "no groups", [](auto& s) { s.agcount = 0u; }, kRange, "sb.agcount"),
          sb(
              "tiny groups", [](auto& s) { s.agblocks = 63u; }, kRange, "sb.agblocks"),
          sb(
              "too many blocks", [](auto& s) { s.dblocks = 4ull * 16384 + 1; }, kConsistency, "sb.dblocks"),
          sb(
              "too few blocks", [](auto& s) { s.dblocks = 3ull * 16384 + 63; }, kConsistency, "sb.dblocks"),
          sb(
              "stripe without width",
              [](auto& s) {
                s.versionnum = s.versionnum | version_bits::kDalign;
                s.unit = 8u;
                s.width = 12u;
              },
              kConsistency, "sb.width"),
          sb(
              "no log", [](auto& s) { s.logblocks = 0u; }, kRange, "sb.logblocks"),
          sb(
              "log over two groups", [](auto& s) { s.logstart = (1ull << 14) | 16000; }, kPointer, "sb.logstart"),
          sb(
              "log stripe", [](auto& s) { s.logsunit = 1000u; }, kRange, "sb.logsunit"),
          sb(
              "percentage", [](auto& s) { s.imax_pct = 101; }, kRange, "sb.imax_pct"),
          sb(
              "in progress", [](auto& s) { s.inprogress = 1; }, kConsistency, "sb.inprogress"),
          sb(
              "shared", [](auto& s) { s.shared_vn = 1; }, kReserved, "sb.shared_vn"),
          sb(
              "meta uuid", [](auto& s) { s.meta_uuid = kTestUuid; }, kReserved, "sb.meta_uuid"),
          sb(
              "free inodes", [](auto& s) { s.ifree = 65ull; }, kCount, "sb.ifree"),
          sb(
              "free blocks", [](auto& s) { s.fdblocks = s.dblocks + 1; }, kCount, "sb.fdblocks"),
          sb(
              "root", [](auto& s) { s.rootino = 0ull; }, kPointer, "sb.rootino"),
      });
  expect_every_bit_counts(good_superblock(), verify);
}

TEST(FormatSuperblock, LargerThanItsDevice) {
  const auto flaws = verify_superblock(good_superblock(), {.device_bytes = kGeometry.size_bytes() - 1});
  EXPECT_TRUE(flaws.has(FlawKind::kRange)) << describe(flaws);
  EXPECT_TRUE(verify_superblock(good_superblock(), {.device_bytes = kGeometry.size_bytes()}).empty());
}

Bytes good_agf() {
  Bytes sector(kSectorBytes);
  auto& agf = mutable_view<Agf>(sector);
  agf.magicnum = Agf::kMagic;
  agf.versionnum = Agf::kVersion;
  agf.seqno = kAg.value();
  agf.length = kGeometry.ag_blocks;
  for (std::uint32_t i = 0; i < 3; ++i) {
    agf.roots[i] = 1 + i;
    agf.levels[i] = 1u;
  }
  agf.refcount_root = 6u;
  agf.refcount_level = 1u;
  agf.flfirst = 117u;
  agf.fllast = 2u;
  agf.flcount = 5u;
  agf.freeblks = 1000u;
  agf.longest = 900u;
  agf.uuid = kTestUuid;
  agf.rmap_blocks = 1u;
  agf.refcount_blocks = 1u;
  seal(sector, offsetof(Agf, crc));
  return sector;
}

Mutation agf(const char* name, std::function<void(Agf&)> change, FlawKind kind, std::string_view field) {
  return mutate<Agf>(name, std::move(change), kind, field);
}

TEST(FormatAgf, EachRuleAlone) {
  const auto verify = [](ByteSpan bytes) { return verify_agf(bytes, kGeometry, kAg); };
  const auto reseal = [](Bytes& bytes) { seal(bytes, offsetof(Agf, crc)); };
  using enum FlawKind;
  expect_each_alone(
      good_agf(), verify, reseal,
      {
          agf(
              "magic", [](auto& a) { a.magicnum = 1u; }, kMagic, "agf.magicnum"),
          agf(
              "version", [](auto& a) { a.versionnum = 2u; }, kVersion, "agf.versionnum"),
          agf(
              "uuid", [](auto& a) { a.uuid = {}; }, kUuid, "agf.uuid"),
          agf(
              "group", [](auto& a) { a.seqno = 2u; }, kSequence, "agf.seqno"),
          agf(
              "length", [](auto& a) { a.length = 16383u; }, kRange, "agf.length"),
          agf(
              "root in the header", [](auto& a) { a.roots[0] = 0u; }, kPointer, "agf.bnoroot"),
          agf(
              "root outside", [](auto& a) { a.roots[1] = 16384u; }, kPointer, "agf.cntroot"),
          agf(
              "no level", [](auto& a) { a.levels[2] = 0u; }, kLevel, "agf.rmaproot"),
          agf(
              "too many levels", [](auto& a) { a.refcount_level = 10u; }, kLevel, "agf.refcount_root"),
          agf(
              "list starts outside", [](auto& a) { a.flfirst = 119u; }, kRange, "agf.flfirst"),
          agf(
              "list ends outside", [](auto& a) { a.fllast = 119u; }, kRange, "agf.fllast"),
          agf(
              "list too long", [](auto& a) { a.flcount = 120u; }, kCount, "agf.flcount"),
          agf(
              "list length", [](auto& a) { a.flcount = 4u; }, kConsistency, "agf.flcount"),
          agf(
              "free blocks", [](auto& a) { a.freeblks = 16385u; }, kCount, "agf.freeblks"),
          agf(
              "longest", [](auto& a) { a.longest = 1001u; }, kCount, "agf.longest"),
          agf(
              "tree blocks", [](auto& a) { a.btreeblks = 16385u; }, kCount, "agf.btreeblks"),
          agf(
              "rmap blocks", [](auto& a) { a.rmap_blocks = 16385u; }, kCount, "agf.rmap_blocks"),
          agf(
              "refcount blocks", [](auto& a) { a.refcount_blocks = 16385u; }, kCount, "agf.refcount_blocks"),
      });
  expect_every_bit_counts(good_agf(), verify);
}

TEST(FormatAgf, EmptyAndFullLists) {
  Bytes sector = good_agf();
  auto& header = mutable_view<Agf>(sector);
  header.flfirst = 1u;
  header.fllast = 0u;
  for (const std::uint32_t count : {0u, agfl_capacity(kSectorBytes)}) {
    header.flcount = count;
    seal(sector, offsetof(Agf, crc));
    EXPECT_TRUE(verify_agf(sector, kGeometry, kAg).empty()) << count;
  }
}

Bytes good_agi() {
  Bytes sector(kSectorBytes);
  auto& agi = mutable_view<Agi>(sector);
  agi.magicnum = Agi::kMagic;
  agi.versionnum = Agi::kVersion;
  agi.seqno = kAg.value();
  agi.length = kGeometry.ag_blocks;
  agi.count = 128u;
  agi.root = 4u;
  agi.level = 1u;
  agi.freecount = 5u;
  agi.newino = 128u;
  agi.dirino = kNullAgInode.value();
  for (auto& head : agi.unlinked) head = kNullAgInode.value();
  agi.unlinked[3] = 128u + 3;
  agi.uuid = kTestUuid;
  agi.free_root = 5u;
  agi.free_level = 1u;
  seal(sector, offsetof(Agi, crc));
  return sector;
}

Mutation agi(const char* name, std::function<void(Agi&)> change, FlawKind kind, std::string_view field) {
  return mutate<Agi>(name, std::move(change), kind, field);
}

TEST(FormatAgi, EachRuleAlone) {
  const auto verify = [](ByteSpan bytes) { return verify_agi(bytes, kGeometry, kAg); };
  const auto reseal = [](Bytes& bytes) { seal(bytes, offsetof(Agi, crc)); };
  using enum FlawKind;
  expect_each_alone(
      good_agi(), verify, reseal,
      {
          agi(
              "magic", [](auto& a) { a.magicnum = 1u; }, kMagic, "agi.magicnum"),
          agi(
              "version", [](auto& a) { a.versionnum = 0u; }, kVersion, "agi.versionnum"),
          agi(
              "uuid", [](auto& a) { a.uuid = {}; }, kUuid, "agi.uuid"),
          agi(
              "group", [](auto& a) { a.seqno = 0u; }, kSequence, "agi.seqno"),
          agi(
              "length", [](auto& a) { a.length = 1u; }, kRange, "agi.length"),
          agi(
              "root", [](auto& a) { a.root = 16384u; }, kPointer, "agi.root"),
          agi(
              "level", [](auto& a) { a.level = 0u; }, kLevel, "agi.root"),
          agi(
              "free root", [](auto& a) { a.free_root = 0u; }, kPointer, "agi.free_root"),
          agi(
              "count", [](auto& a) { a.count = 16384u * 8 + 1; }, kCount, "agi.count"),
          agi(
              "free count", [](auto& a) { a.freecount = 129u; }, kCount, "agi.freecount"),
          agi(
              "new inode", [](auto& a) { a.newino = 1u; }, kPointer, "agi.newino"),
          agi(
              "unlinked in another bucket", [](auto& a) { a.unlinked[4] = 128u + 5; }, kPointer, "agi.unlinked"),
          agi(
              "unlinked outside", [](auto& a) { a.unlinked[0] = 16384u * 8; }, kPointer, "agi.unlinked"),
      });
  expect_every_bit_counts(good_agi(), verify);
}

TEST(FormatAgfl, EachRuleAlone) {
  const AgflRing ring{.first = 117, .last = 2, .count = 5};
  Bytes good(kSectorBytes);
  auto& header = mutable_view<AgflHeader>(good);
  header.magicnum = AgflHeader::kMagic;
  header.seqno = kAg.value();
  header.uuid = kTestUuid;
  for (be32& entry : agfl_entries(MutableByteSpan(good))) entry = 0xffffffffu;
  for (const std::uint32_t slot : {117u, 118u, 0u, 1u, 2u}) agfl_entries(MutableByteSpan(good))[slot] = 20 + slot;
  const auto reseal = [](Bytes& bytes) { seal(bytes, offsetof(AgflHeader, crc)); };
  reseal(good);
  const auto verify = [&](ByteSpan bytes) { return verify_agfl(bytes, kGeometry, kAg, ring); };
  const auto entry = [](std::uint32_t slot, std::uint32_t value) {
    return [=](Bytes& bytes) { agfl_entries(MutableByteSpan(bytes))[slot] = value; };
  };
  using enum FlawKind;
  expect_each_alone(good, verify, reseal,
                    {
                        mutate<AgflHeader>(
                            "magic", [](auto& a) { a.magicnum = 1u; }, kMagic, "agfl.magicnum"),
                        mutate<AgflHeader>(
                            "group", [](auto& a) { a.seqno = 0u; }, kSequence, "agfl.seqno"),
                        mutate<AgflHeader>(
                            "uuid", [](auto& a) { a.uuid = {}; }, kUuid, "agfl.uuid"),
                        {"entry in use is null", entry(118, 0xffffffffu), kPointer, "agfl.bno"},
                        {"entry around the end", entry(2, 16384), kPointer, "agfl.bno"},
                        {"entry in the header", entry(0, 0), kPointer, "agfl.bno"},
                    });
  expect_every_bit_counts(good, verify);
  // A ring outside the sector is the AGF's flaw, and safe here.
  EXPECT_TRUE(verify_agfl(good, kGeometry, kAg, {.first = 5000, .last = 7, .count = 3}).empty());
}

TEST(FormatAgfl, CapacityBySectorSize) {
  EXPECT_EQ(agfl_capacity(512), 119u);
  EXPECT_EQ(agfl_capacity(4096), 1015u);
}

}  // namespace
}  // namespace xdax::test

// Attributes in all their forms, parent pointers, remote values, and quota records: every rule alone.

#include <algorithm>

#include "libfs/format/attr_leaf.h"
#include "libfs/format/attr_shortform.h"
#include "libfs/format/da_hash.h"
#include "libfs/format/dquot.h"
#include "libfs/format/remote_block.h"
#include "tests/unit/format_support.h"

namespace xdax::test {
namespace {

const Geometry kGeometry = test_geometry();
constexpr InodeNumber kFile{200};
constexpr FsBlock kBlock{77};

Mutation at8(const char* name, std::size_t at, std::uint8_t value, FlawKind kind, std::string_view field) {
  return {name, [=](Bytes& bytes) { bytes[at] = std::byte{value}; }, kind, field};
}
Mutation at16(const char* name, std::size_t at, std::uint16_t value, FlawKind kind, std::string_view field) {
  return {name, [=](Bytes& bytes) { mutable_view<be16>(bytes, at) = value; }, kind, field};
}
Mutation at32(const char* name, std::size_t at, std::uint32_t value, FlawKind kind, std::string_view field) {
  return {name, [=](Bytes& bytes) { mutable_view<be32>(bytes, at) = value; }, kind, field};
}
Mutation at64(const char* name, std::size_t at, std::uint64_t value, FlawKind kind, std::string_view field) {
  return {name, [=](Bytes& bytes) { mutable_view<be64>(bytes, at) = value; }, kind, field};
}

std::string parent_value(std::uint64_t ino) {
  Bytes bytes(sizeof(ParentPointer));
  mutable_view<ParentPointer>(bytes).ino = ino;
  mutable_view<ParentPointer>(bytes).gen = 7u;
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

struct Attribute {
  std::string name;
  std::string value;
  std::uint8_t flags = 0;
};

Bytes shortform(const std::vector<Attribute>& attributes) {
  Bytes bytes(sizeof(AttrShortformHeader));
  const auto put = [&](std::string_view text) {
    for (const char c : text) bytes.push_back(static_cast<std::byte>(c));
  };
  for (const Attribute& attribute : attributes) {
    bytes.push_back(static_cast<std::byte>(attribute.name.size()));
    bytes.push_back(static_cast<std::byte>(attribute.value.size()));
    bytes.push_back(std::byte{attribute.flags});
    put(attribute.name);
    put(attribute.value);
  }
  mutable_view<AttrShortformHeader>(bytes).totsize = static_cast<std::uint16_t>(bytes.size());
  mutable_view<AttrShortformHeader>(bytes).count = static_cast<std::uint8_t>(attributes.size());
  bytes.resize(120);
  return bytes;
}

TEST(AttrShortform, EachRuleAlone) {
  using enum FlawKind;
  const Bytes good = shortform({{"one", "value"}, {"two", "", attr_flags::kRoot}, {"t", "x", attr_flags::kSecure}});
  // header 4, first attribute: lengths 4 and 5, flags 6, name 7..9
  expect_each_alone(
      good, [](ByteSpan b) { return verify_attr_shortform(b, kGeometry); }, [](Bytes&) {},
      {
          at16("larger than the fork", 0, 121, kRange, "attr_sf.totsize"),
          at16("smaller than its header", 0, 3, kRange, "attr_sf.totsize"),
          at16("other than its attributes", 0, 40, kRange, "attr_sf.totsize"),
          at8("count", 2, 2, kRange, "attr_sf.totsize"),
          at8("more than there are", 2, 4, kRange, "attr_sf.totsize"),
          at8("two namespaces", 6, attr_flags::kRoot | attr_flags::kSecure, kConsistency, "attr.flags"),
          at8("local", 6, attr_flags::kLocal, kReserved, "attr.flags"),
          at8("zero in the name", 8, 0, kRange, "attr.name"),
          {"no room for its header", [](Bytes& b) { b.resize(3); }, kRange, "attr_sf.hdr"},
      });
}

TEST(ParentPointers, EachRuleAlone) {
  using enum FlawKind;
  const Bytes good = shortform({{"entry", parent_value(128), attr_flags::kParent}});
  expect_each_alone(
      good, [](ByteSpan b) { return verify_attr_shortform(b, kGeometry); }, [](Bytes&) {},
      {
          at8("slash", 8, '/', kRange, "parent.name"),
          at64("parent outside", 12, 1, kPointer, "parent.ino"),
          {"short value",
           [](Bytes& b) {
             b[5] = std::byte{11};
             mutable_view<AttrShortformHeader>(b).totsize = 4 + 3 + 5 + 11;
           },
           kRange, "parent.valuelen"},
      });
  const Geometry without = test_geometry([](Superblock& sb) { sb.features_incompat = sb.features_incompat & 0x7fu; });
  EXPECT_TRUE(verify_attr_shortform(good, without).has(kConsistency));
}

Bytes da_block(std::uint16_t magic) {
  Bytes bytes(kGeometry.block_bytes);
  auto& info = mutable_view<DaBlockInfo>(bytes);
  info.magic = magic;
  info.blkno = kGeometry.disk_address(kBlock).value();
  info.uuid = kTestUuid;
  info.owner = kFile.value();
  return bytes;
}

// Three attributes: a small one, a parent pointer, and one with its value elsewhere.
Bytes leaf() {
  Bytes bytes = da_block(AttrLeafHeader::kMagic);
  std::vector<std::pair<std::uint32_t, AttrLeafEntry>> entries;
  std::uint32_t at = kGeometry.block_bytes;
  std::uint32_t used = 0;
  const auto add = [&](std::string_view name, std::string_view value, std::uint8_t flags, std::uint32_t hash) {
    const auto name_bytes = static_cast<std::uint32_t>(name.size());
    const bool local = (flags & attr_flags::kLocal) != 0;
    const std::uint32_t length =
        local ? attr_local_bytes(name_bytes, static_cast<std::uint32_t>(value.size())) : attr_remote_bytes(name_bytes);
    at -= length;
    used += length;
    if (local) {
      mutable_view<AttrLeafLocal>(bytes, at) = {static_cast<std::uint16_t>(value.size()),
                                                static_cast<std::uint8_t>(name.size())};
    } else {
      mutable_view<AttrLeafRemote>(bytes, at) = {3u, 5000u, static_cast<std::uint8_t>(name.size())};
    }
    const std::size_t text = at + (local ? sizeof(AttrLeafLocal) : sizeof(AttrLeafRemote));
    std::memcpy(bytes.data() + text, name.data(), name.size());
    std::memcpy(bytes.data() + text + name.size(), value.data(), value.size());
    entries.push_back({hash, {hash, static_cast<std::uint16_t>(at), flags, 0}});
  };
  add("a", "value", attr_flags::kLocal, name_hash("a"));
  add("entry", parent_value(130), attr_flags::kLocal | attr_flags::kParent, name_hash("entry") ^ 130);
  add("larger", "", 0, name_hash("larger"));
  std::sort(entries.begin(), entries.end(), [](const auto& l, const auto& r) { return l.first < r.first; });
  auto& header = mutable_view<AttrLeafHeader>(bytes);
  header.count = 3;
  header.usedbytes = static_cast<std::uint16_t>(used);
  header.firstused = static_cast<std::uint16_t>(at);
  for (std::size_t i = 0; i < 3; ++i) mutable_view_array<AttrLeafEntry>(bytes, 80, 3)[i] = entries[i].second;
  header.freemap[0].base = 80 + 3 * 8;
  header.freemap[0].size = static_cast<std::uint16_t>(at - 80 - 3 * 8);
  header.freemap[1].base = 12;  // empty, so that it means nothing
  seal(bytes, offsetof(DaBlockInfo, crc));
  return bytes;
}

Flaws verify_leaf(ByteSpan bytes) {
  return verify_attr_leaf(bytes, kGeometry, {.owner = kFile, .block = kBlock, .file_block = FileBlock(0)});
}
void reseal_da(Bytes& bytes) { seal(bytes, offsetof(DaBlockInfo, crc)); }

TEST(AttrLeaf, EachRuleAlone) {
  using enum FlawKind;
  const Bytes good = leaf();
  // "a" has the smallest hash, so that its entry is the first; its name is the last in the block.
  const std::uint16_t a = view<AttrLeafEntry>(good, 80).nameidx;
  const std::uint32_t first_used = attr_leaf_first_used(good);
  expect_each_alone(good, verify_leaf, reseal_da,
                    {
                        at16("magic", 8, 0, kMagic, "da.magic"),
                        at64("uuid", offsetof(DaBlockInfo, uuid), 0, kUuid, "da.uuid"),
                        at64("owner", offsetof(DaBlockInfo, owner), 1, kOwner, "da.owner"),
                        at16("count", 56, 600, kCount, "attr_leaf.count"),
                        at16("used bytes", 58, 1, kConsistency, "attr_leaf.usedbytes"),
                        at16("first used among the entries", 60, 100, kRange, "attr_leaf.firstused"),
                        at16("first used past the end", 60, 4097, kRange, "attr_leaf.firstused"),
                        at16("freemap in the entries", 64, 80, kRange, "attr_leaf.freemap"),
                        at16("freemap past the end", 66, 4092, kRange, "attr_leaf.freemap"),
                        at16("freemap unaligned", 66, 10, kRange, "attr_leaf.freemap"),
                        at16("freemap over a name", 66, static_cast<std::uint16_t>(first_used - 104 + 4), kConsistency,
                             "attr_leaf.freemap"),
                        at32("hash", 80, name_hash("a") - 1, kConsistency, "attr_leaf.hashval"),
                        at8("two namespaces", 80 + 6, attr_flags::kLocal | attr_flags::kRoot | attr_flags::kSecure,
                            kConsistency, "attr.flags"),
                        at8("unknown flag", 80 + 6, attr_flags::kLocal | 0x40, kReserved, "attr.flags"),
                    });
  EXPECT_EQ(a, 4096 - attr_local_bytes(1, 5));
  expect_every_bit_counts(good, verify_leaf, 61);
}

TEST(AttrLeaf, RulesThatBreakTogether) {
  struct Case {
    const char* name;
    std::function<void(Bytes&)> change;
    FlawKind kind;
  };
  using enum FlawKind;
  const auto entry = [](Bytes& b, std::size_t i) -> AttrLeafEntry& {
    return mutable_view_array<AttrLeafEntry>(b, 80, 3)[i];
  };
  const Case cases[] = {
      {"order", [&](Bytes& b) { entry(b, 1).hashval = 0u; }, kOrder},
      {"name past the end", [&](Bytes& b) { entry(b, 0).nameidx = 4095; }, kPointer},
      {"name among the entries", [&](Bytes& b) { entry(b, 0).nameidx = 84; }, kPointer},
      {"name unaligned", [&](Bytes& b) { entry(b, 0).nameidx = entry(b, 0).nameidx + 1; }, kPointer},
      {"two of one name", [&](Bytes& b) { entry(b, 1) = entry(b, 0); }, kOrder},
      {"value at the fork's root",
       [&](Bytes& b) {
         for (std::size_t i = 0; i < 3; ++i) {
           if (!entry(b, i).local()) mutable_view<AttrLeafRemote>(b, entry(b, i).nameidx).valueblk = 0u;
         }
       },
       kPointer},
      {"value too large",
       [&](Bytes& b) {
         for (std::size_t i = 0; i < 3; ++i) {
           if (!entry(b, i).local()) mutable_view<AttrLeafRemote>(b, entry(b, i).nameidx).valuelen = 65537u;
         }
       },
       kRange},
      {"name longer than the block", [&](Bytes& b) { b[entry(b, 0).nameidx + 2] = std::byte{255}; }, kPointer},
  };
  for (const Case& test_case : cases) {
    SCOPED_TRACE(test_case.name);
    Bytes bytes = leaf();
    test_case.change(bytes);
    reseal_da(bytes);
    EXPECT_TRUE(verify_leaf(bytes).has(test_case.kind)) << describe(verify_leaf(bytes));
  }
}

// A value still being written has no blocks yet; an empty leaf is what a crash may leave.
TEST(AttrLeaf, StatesInBetweenAreLegal) {
  Bytes incomplete = leaf();
  for (AttrLeafEntry& entry : mutable_view_array<AttrLeafEntry>(incomplete, 80, 3)) {
    if (entry.local()) continue;
    entry.flags = attr_flags::kIncomplete;
    mutable_view<AttrLeafRemote>(incomplete, entry.nameidx).valueblk = 0u;
    mutable_view<AttrLeafRemote>(incomplete, entry.nameidx).valuelen = 0u;
  }
  reseal_da(incomplete);
  EXPECT_TRUE(verify_leaf(incomplete).empty()) << describe(verify_leaf(incomplete));
  Bytes empty = da_block(AttrLeafHeader::kMagic);
  mutable_view<AttrLeafHeader>(empty).firstused = 4096;
  reseal_da(empty);
  EXPECT_TRUE(verify_leaf(empty).empty()) << describe(verify_leaf(empty));
}

TEST(AttrLeaf, FirstUsedOfTheLargestBlock) {
  const Geometry large = test_geometry([](Superblock& sb) {
    sb.blocksize = 65536;
    sb.blocklog = 16;
    sb.inopblock = 128;
    sb.inopblog = 7;
  });
  Bytes bytes(65536);
  mutable_view<DaBlockInfo>(bytes) = view<DaBlockInfo>(da_block(AttrLeafHeader::kMagic));
  mutable_view<DaBlockInfo>(bytes).blkno = large.disk_address(kBlock).value();
  reseal_da(bytes);
  EXPECT_EQ(attr_leaf_first_used(bytes), 65536u);
  EXPECT_TRUE(verify_attr_leaf(bytes, large, {.owner = kFile, .block = kBlock}).empty());
}

TEST(AttrLeaf, SizesOfNames) {
  EXPECT_EQ(attr_local_bytes(1, 0), 4u);
  EXPECT_EQ(attr_local_bytes(1, 1), 8u);
  EXPECT_EQ(attr_remote_bytes(1), 12u);
  EXPECT_EQ(attr_remote_bytes(2), 16u);
  EXPECT_EQ(attr_local_limit_bytes(4096), 3072u);
}

Bytes remote(std::uint32_t magic, std::uint32_t offset, std::uint32_t bytes) {
  Bytes block(kGeometry.block_bytes);
  auto& header = mutable_view<RemoteHeader>(block);
  header.magic = magic;
  header.offset = offset;
  header.bytes = bytes;
  header.uuid = kTestUuid;
  header.owner = kFile.value();
  header.blkno = kGeometry.disk_address(kBlock).value();
  for (std::uint32_t i = 0; i < bytes; ++i) block[sizeof(RemoteHeader) + i] = std::byte{'v'};
  seal(block, offsetof(RemoteHeader, crc));
  return block;
}
void reseal_remote(Bytes& bytes) { seal(bytes, offsetof(RemoteHeader, crc)); }

TEST(RemoteValue, EachRuleAlone) {
  using enum FlawKind;
  const auto verify = [](ByteSpan b) {
    return verify_attr_remote(b, kGeometry,
                              {.owner = kFile, .block = kBlock, .offset_bytes = 4040, .value_bytes = 5000});
  };
  const Bytes good = remote(RemoteHeader::kAttrMagic, 4040, 960);
  expect_each_alone(good, verify, reseal_remote,
                    {
                        at32("magic", 0, RemoteHeader::kSymlinkMagic, kMagic, "remote.magic"),
                        at32("offset", 4, 0, kConsistency, "remote.offset"),
                        at32("bytes", 8, 961, kCount, "remote.bytes"),
                        at64("uuid", 16, 0, kUuid, "remote.uuid"),
                        at64("owner", 32, 1, kOwner, "remote.owner"),
                        at64("address", 40, 1, kSelfAddress, "remote.blkno"),
                    });
  expect_every_bit_counts(good, verify, 61);
  EXPECT_EQ(remote_content(good).size(), 960u);
  EXPECT_EQ(attr_remote_blocks(4040, 4096), 1u);
  EXPECT_EQ(attr_remote_blocks(4041, 4096), 2u);
  EXPECT_EQ(attr_remote_blocks(65536, 1024), 68u);
}

TEST(RemoteSymlink, TargetHasNoZeroByte) {
  const auto verify = [](ByteSpan b) {
    return verify_symlink_remote(b, kGeometry, {.owner = kFile, .block = kBlock, .value_bytes = 600});
  };
  const Mutation zero{"zero byte", [](Bytes& b) { b[sizeof(RemoteHeader) + 599] = {}; }, FlawKind::kRange,
                      "symlink.target"};
  expect_each_alone(remote(RemoteHeader::kSymlinkMagic, 0, 600), verify, reseal_remote, {zero});
}

constexpr std::uint32_t kFirstId = 30;

Bytes quota_block() {
  Bytes block(kGeometry.block_bytes);
  for (std::uint32_t i = 0; i < dquots_per_block(kGeometry.block_bytes); ++i) {
    const MutableByteSpan record = MutableByteSpan(block).subspan(i * sizeof(Dquot), sizeof(Dquot));
    auto& dquot = mutable_view<Dquot>(record);
    dquot.magic = Dquot::kMagic;
    dquot.version = Dquot::kVersion;
    dquot.type = static_cast<std::uint8_t>(DquotType::kGroup);
    dquot.id = kFirstId + i;
    dquot.uuid = kTestUuid;
    seal(record, offsetof(Dquot, crc));
  }
  return block;
}

TEST(Dquot, EachRuleAlone) {
  using enum FlawKind;
  constexpr std::size_t kThird = 2 * sizeof(Dquot);
  const auto verify = [](ByteSpan b) {
    return verify_dquot_block(b, kGeometry, {.type = DquotType::kGroup, .first_id = kFirstId});
  };
  const auto reseal = [](Bytes& b) { seal(MutableByteSpan(b).subspan(kThird, sizeof(Dquot)), offsetof(Dquot, crc)); };
  const auto dquot = [](const char* name, const std::function<void(Dquot&)>& change, FlawKind kind,
                        std::string_view field) {
    return Mutation{name, [=](Bytes& b) { change(mutable_view<Dquot>(b, kThird)); }, kind, field};
  };
  EXPECT_EQ(dquots_per_block(4096), 30u);
  EXPECT_EQ(first_dquot_id(2, 4096), 60u);
  expect_each_alone(quota_block(), verify, reseal,
                    {
                        dquot(
                            "magic", [](auto& d) { d.magic = 0; }, kMagic, "dquot.magic"),
                        dquot(
                            "version", [](auto& d) { d.version = 0; }, kVersion, "dquot.version"),
                        dquot(
                            "type", [](auto& d) { d.type = 1; }, kConsistency, "dquot.type"),
                        dquot(
                            "id", [](auto& d) { d.id = kFirstId; }, kSelfAddress, "dquot.id"),
                        dquot(
                            "uuid", [](auto& d) { d.uuid = {}; }, kUuid, "dquot.uuid"),
                        dquot(
                            "blocks over the limit",
                            [](auto& d) {
                              d.blk_softlimit = 1ull;
                              d.bcount = 2ull;
                            },
                            kConsistency, "dquot.btimer"),
                        dquot(
                            "inodes over the limit",
                            [](auto& d) {
                              d.ino_softlimit = 1ull;
                              d.icount = 2ull;
                            },
                            kConsistency, "dquot.itimer"),
                        dquot(
                            "realtime blocks over the limit",
                            [](auto& d) {
                              d.rtb_softlimit = 1ull;
                              d.rtbcount = 2ull;
                            },
                            kConsistency, "dquot.rtbtimer"),
                    });
  Bytes flipped = quota_block();
  flipped[kThird + 50] ^= std::byte{4};
  EXPECT_TRUE(verify(flipped).has(kChecksum));
}

}  // namespace
}  // namespace xdax::test

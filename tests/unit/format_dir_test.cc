// Directories in all their forms, and the hash of names: every rule alone.

#include "libfs/format/da_hash.h"

#include <algorithm>

#include "libfs/format/da_node.h"
#include "libfs/format/dir_data.h"
#include "libfs/format/dir_free.h"
#include "libfs/format/dir_leaf.h"
#include "libfs/format/dir_shortform.h"
#include "tests/unit/format_support.h"

namespace xdax::test {
namespace {

const Geometry kGeometry = test_geometry();
constexpr InodeNumber kDir{200};
constexpr FsBlock kBlock{77};
const DirRegions kRegions = DirRegions::of(kGeometry);

TEST(NameHash, TurnsAndMixes) {
  EXPECT_EQ(name_hash(""), 0u);
  EXPECT_EQ(name_hash("a"), 0x61u);
  EXPECT_EQ(name_hash("."), 0x2eu);
  EXPECT_EQ(name_hash(".."), 0x172eu);
  // Longer than the hash is wide: what is turned out at the top comes in at the bottom.
  EXPECT_EQ(name_hash("abcdefgh"), 0x4c7a38f6u);
  EXPECT_NE(name_hash("ab"), name_hash("ba"));
}

TEST(NameHash, IgnoresCaseWhereNamesDo) {
  Features ci{.versionnum = version_bits::kAsciiCi};
  EXPECT_EQ(dir_name_hash("ReadMe", ci), name_hash("readme"));
  EXPECT_EQ(dir_name_hash("ReadMe", {}), name_hash("ReadMe"));
  EXPECT_EQ(dir_name_hash("\xc4\xd7\xde", ci), name_hash("\xe4\xd7\xfe")) << "letters of Latin-1, not the sign between";
  EXPECT_EQ(dir_name_hash("@[`{", ci), name_hash("@[`{"));
}

TEST(NameHash, ParentsAreMixedIn) {
  EXPECT_EQ(parent_pointer_hash("n", InodeNumber(0x500000001ull), {}), name_hash("n") ^ 5 ^ 1);
}

TEST(Names, WhatTheyMayBe) {
  EXPECT_TRUE(valid_dir_name("x"));
  EXPECT_TRUE(valid_dir_name(std::string(255, 'x')));
  EXPECT_FALSE(valid_dir_name(std::string(256, 'x')));
  EXPECT_FALSE(valid_dir_name(""));
  EXPECT_FALSE(valid_dir_name("a/b"));
  EXPECT_FALSE(valid_dir_name(std::string_view("a\0b", 3)));
  EXPECT_TRUE(valid_attr_name("a/b"));
  EXPECT_FALSE(valid_attr_name(std::string_view("a\0b", 3)));
}

// One entry behind the other, as a writer would make them.
Bytes shortform(const std::vector<std::pair<std::string, std::uint64_t>>& entries, bool wide, std::uint64_t parent) {
  Bytes bytes;
  const auto put = [&](std::uint64_t value, unsigned width) {
    for (unsigned i = width; i-- > 0;) bytes.push_back(static_cast<std::byte>(value >> (8 * i)));
  };
  put(entries.size(), 1);
  put(wide ? 1 : 0, 1);
  put(parent, wide ? 8 : 4);
  std::uint32_t offset = 96;
  for (const auto& [name, ino] : entries) {
    put(name.size(), 1);
    put(offset, 2);
    for (const char c : name) bytes.push_back(static_cast<std::byte>(c));
    put(1, 1);
    put(ino, wide ? 8 : 4);
    offset += dir_data_entry_bytes(static_cast<std::uint32_t>(name.size()), true);
  }
  return bytes;
}

TEST(DirShortform, EachRuleAlone) {
  using enum FlawKind;
  const Bytes good = shortform({{"one", 210}, {"two", 211}}, false, 128);
  const auto set = [](std::size_t at, std::uint8_t value) {
    return [=](Bytes& bytes) { bytes[at] = std::byte{value}; };
  };
  // count 0, i8count 1, parent 2..5, first entry 6: namelen 6, offset 7..8, name 9..11, type 12, number 13..16
  expect_each_alone(
      good, [](ByteSpan b) { return verify_dir_shortform(b, kGeometry); }, [](Bytes&) {},
      {
          {"parent", set(5, 1), kPointer, "dir_sf.parent"},
          {"too many", set(0, 3), kRange, "dir_sf.count"},
          {"too few", set(0, 1), kRange, "dir_sf.count"},
          {"slash", set(9, '/'), kRange, "dir_sf.name"},
          {"zero", set(10, 0), kRange, "dir_sf.name"},
          {"type", set(12, 9), kRange, "dir_sf.ftype"},
          {"number", set(16, 1), kPointer, "dir_sf.inumber"},
          {"offset in front", set(8, 88), kOrder, "dir_sf.offset"},
          {"offset unaligned", set(19, 113), kOrder, "dir_sf.offset"},
          {"cut short", [](Bytes& b) { b.pop_back(); }, kRange, "dir_sf.count"},
          {"longer", [](Bytes& b) { b.push_back({}); }, kRange, "dir_sf.count"},
          {"no room for its header", [](Bytes& b) { b.resize(5); }, kRange, "dir_sf.hdr"},
          {"empty", [](Bytes& b) { b.clear(); }, kRange, "dir_sf.hdr"},
      });
  const Bytes dots = shortform({{"..", 210}}, false, 128);
  EXPECT_TRUE(verify_dir_shortform(dots, kGeometry).has(kRange)) << "a dot name";
}

TEST(DirShortform, WideNumbers) {
  // Numbers above 32 bits need more groups than the small filesystem has.
  const Geometry large = test_geometry([](Superblock& sb) {
    sb.agcount = 1u << 20;
    sb.dblocks = 16384ull << 20;
  });
  const std::uint64_t high = (1ull << 33) + 64;
  EXPECT_TRUE(verify_dir_shortform(shortform({{"one", high}}, true, 128), large).empty());
  EXPECT_TRUE(verify_dir_shortform(shortform({{"one", 128}}, true, high), large).empty());
  EXPECT_TRUE(verify_dir_shortform(shortform({{"one", 128}}, true, 128), large).has(FlawKind::kCount));
  EXPECT_TRUE(verify_dir_shortform(shortform({{"one", high}, {"two", high}}, true, 128), large).has(FlawKind::kCount));
}

// A block form directory of "one" and "two" with an unused region between them.
class BlockForm {
 public:
  BlockForm() : bytes_(kGeometry.dir_block_bytes()) {
    auto& header = mutable_view<DirDataHeader>(bytes_);
    header.info.magic = DirDataHeader::kBlockMagic;
    header.info.blkno = kGeometry.disk_address(kBlock).value();
    header.info.uuid = kTestUuid;
    header.info.owner = kDir.value();
    entry(".", kDir.value());
    entry("..", 128);
    entry("one", 210);
    unused(32);
    entry("two", 211);
    const std::size_t index = bytes_.size() - sizeof(DirBlockTail) - 4 * sizeof(DirLeafEntry);
    unused(static_cast<std::uint32_t>(index - at_));
    std::sort(index_.begin(), index_.end());
    for (std::size_t i = 0; i < index_.size(); ++i) {
      auto& leaf = mutable_view<DirLeafEntry>(bytes_, index + i * sizeof(DirLeafEntry));
      leaf.hashval = index_[i].first;
      leaf.address = index_[i].second / 8;
    }
    mutable_view<DirBlockTail>(bytes_, bytes_.size() - sizeof(DirBlockTail)).count = 4u;
    header.best_free[0].length = static_cast<std::uint16_t>(index - last_unused_);
    header.best_free[0].offset = static_cast<std::uint16_t>(last_unused_);
    header.best_free[1].offset = static_cast<std::uint16_t>(first_unused_);
    header.best_free[1].length = 32;
    seal(bytes_, offsetof(DirBlockInfo, crc));
  }
  [[nodiscard]] const Bytes& bytes() const { return bytes_; }

  // Where things lie.
  static constexpr std::size_t kOne = 64 + 16 + 16, kUnused = kOne + 16, kTwo = kUnused + 32, kRest = kTwo + 16;

 private:
  void entry(std::string_view name, std::uint64_t ino) {
    const std::uint32_t length = dir_data_entry_bytes(static_cast<std::uint32_t>(name.size()), true);
    auto& stored = mutable_view<DirDataEntry>(bytes_, at_);
    stored.inumber = ino;
    stored.namelen = static_cast<std::uint8_t>(name.size());
    std::memcpy(bytes_.data() + at_ + sizeof(DirDataEntry), name.data(), name.size());
    bytes_[at_ + sizeof(DirDataEntry) + name.size()] = std::byte{1};
    mutable_view<be16>(bytes_, at_ + length - 2) = static_cast<std::uint16_t>(at_);
    index_.emplace_back(name_hash(name), at_);
    at_ += length;
  }
  void unused(std::uint32_t length) {
    auto& stored = mutable_view<DirDataUnused>(bytes_, at_);
    stored.freetag = DirDataUnused::kFreeTag;
    stored.length = static_cast<std::uint16_t>(length);
    mutable_view<be16>(bytes_, at_ + length - 2) = static_cast<std::uint16_t>(at_);
    (first_unused_ == 0 ? first_unused_ : last_unused_) = at_;
    at_ += length;
  }

  Bytes bytes_;
  std::uint32_t at_ = sizeof(DirDataHeader);
  std::uint32_t first_unused_ = 0;
  std::uint32_t last_unused_ = 0;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> index_;
};

Mutation at16(const char* name, std::size_t at, std::uint16_t value, FlawKind kind, std::string_view field) {
  return {name, [=](Bytes& bytes) { mutable_view<be16>(bytes, at) = value; }, kind, field};
}
Mutation at32(const char* name, std::size_t at, std::uint32_t value, FlawKind kind, std::string_view field) {
  return {name, [=](Bytes& bytes) { mutable_view<be32>(bytes, at) = value; }, kind, field};
}
Mutation at64(const char* name, std::size_t at, std::uint64_t value, FlawKind kind, std::string_view field) {
  return {name, [=](Bytes& bytes) { mutable_view<be64>(bytes, at) = value; }, kind, field};
}
Mutation at8(const char* name, std::size_t at, std::uint8_t value, FlawKind kind, std::string_view field) {
  return {name, [=](Bytes& bytes) { bytes[at] = std::byte{value}; }, kind, field};
}

TEST(DirBlock, EachRuleAlone) {
  using enum FlawKind;
  const Bytes good = BlockForm().bytes();
  const std::size_t tail = good.size() - sizeof(DirBlockTail);
  const std::size_t index = tail - 4 * sizeof(DirLeafEntry);
  const auto verify = [](ByteSpan b) {
    return verify_dir_data(b, kGeometry, DirDataForm::kBlock, {.owner = kDir, .block = kBlock});
  };
  expect_each_alone(good, verify, [](Bytes& b) { seal(b, offsetof(DirBlockInfo, crc)); },
                    {
                        at32("magic of the other form", 0, DirDataHeader::kDataMagic, kMagic, "dir.magic"),
                        at64("uuid", offsetof(DirBlockInfo, uuid), 0, kUuid, "dir.uuid"),
                        at64("address", offsetof(DirBlockInfo, blkno), 8, kSelfAddress, "dir.blkno"),
                        at16("free length", 50, 24, kConsistency, "dir.best_free.length"),
                        at16("free offset", 52, BlockForm::kTwo, kConsistency, "dir.best_free.offset"),
                        at16("free offset of none", 56, 8, kConsistency, "dir.best_free.offset"),
                        at16("tag", BlockForm::kOne + 14, 8, kSelfAddress, "dir.tag"),
                        at16("tag of unused", BlockForm::kUnused + 30, 8, kSelfAddress, "dir.tag"),
                        at16("unused past the end", BlockForm::kRest + 2, 0xfff8, kRange, "dir.length"),
                        at16("unused of no length", BlockForm::kUnused + 2, 0, kRange, "dir.length"),
                        at16("unused of odd length", BlockForm::kUnused + 2, 30, kRange, "dir.length"),
                        at64("number", BlockForm::kTwo, 1, kPointer, "dir.inumber"),
                        at64("dot of another", sizeof(DirDataHeader), 210, kConsistency, "dir.inumber"),
                        at8("type", BlockForm::kTwo + 12, 9, kRange, "dir.ftype"),
                        at32("hash order", index + 2 * sizeof(DirLeafEntry), 0, kOrder, "dir_leaf.hashval"),
                        at32("address of another", index + 3 * sizeof(DirLeafEntry) + 4, BlockForm::kUnused / 8,
                             kConsistency, "dir_leaf.address"),
                        at32("stale count", tail + 4, 1, kCount, "dir_tail.stale"),
                        at32("count beyond the block", tail, 600, kCount, "dir_tail.count"),
                    });
  expect_every_bit_counts(good, verify, 61);
}

TEST(DirBlock, RulesThatBreakTogether) {
  struct Case {
    const char* name;
    std::function<void(Bytes&)> change;
    FlawKind kind;
  };
  using enum FlawKind;
  const Case cases[] = {
      {"owner", [](Bytes& b) { mutable_view<DirBlockInfo>(b).owner = 1ull; }, kOwner},
      {"name with a slash", [](Bytes& b) { b[BlockForm::kTwo + 9] = std::byte{'/'}; }, kRange},
      {"no name", [](Bytes& b) { b[BlockForm::kTwo + 8] = std::byte{0}; }, kRange},
      {"dot twice",
       [](Bytes& b) {
         b[BlockForm::kTwo + 8] = std::byte{1};
         b[BlockForm::kTwo + 9] = std::byte{'.'};
       },
       kConsistency},
      {"unused next to unused",
       [](Bytes& b) {
         mutable_view<be16>(b, BlockForm::kUnused + 2) = 16;
         mutable_view<be16>(b, BlockForm::kUnused + 14) = BlockForm::kUnused;
         mutable_view<be16>(b, BlockForm::kUnused + 16) = DirDataUnused::kFreeTag;
         mutable_view<be16>(b, BlockForm::kUnused + 18) = 16;
         mutable_view<be16>(b, BlockForm::kUnused + 30) = BlockForm::kUnused + 16;
       },
       kOrder},
  };
  for (const Case& test_case : cases) {
    SCOPED_TRACE(test_case.name);
    Bytes bytes = BlockForm().bytes();
    test_case.change(bytes);
    seal(bytes, offsetof(DirBlockInfo, crc));
    const Flaws flaws = verify_dir_data(bytes, kGeometry, DirDataForm::kBlock, {.owner = kDir, .block = kBlock});
    EXPECT_TRUE(flaws.has(test_case.kind)) << describe(flaws);
  }
}

Bytes da_block(std::uint16_t magic) {
  Bytes bytes(kGeometry.dir_block_bytes());
  auto& info = mutable_view<DaBlockInfo>(bytes);
  info.magic = magic;
  info.blkno = kGeometry.disk_address(kBlock).value();
  info.uuid = kTestUuid;
  info.owner = kDir.value();
  return bytes;
}
void reseal_da(Bytes& bytes) { seal(bytes, offsetof(DaBlockInfo, crc)); }

TEST(DirLeaf, EachRuleAlone) {
  using enum FlawKind;
  Bytes good = da_block(DirLeafHeader::kLeaf1Magic);
  mutable_view<DirLeafHeader>(good).count = 3;
  mutable_view<DirLeafHeader>(good).stale = 1;
  const auto entries = mutable_view_array<DirLeafEntry>(good, sizeof(DirLeafHeader), 3);
  entries[0] = {5u, 8u};
  entries[1] = {5u, 0u};
  entries[2] = {9u, 20u};
  const std::size_t tail = good.size() - sizeof(DirLeafTail);
  mutable_view<DirLeafTail>(good, tail).bestcount = 2u;
  mutable_view<be16>(good, tail - 4) = 1000;
  mutable_view<be16>(good, tail - 2) = kNoDataBlock;
  reseal_da(good);
  const DaExpectation expected{.owner = kDir, .block = kBlock, .file_block = kRegions.leaf};
  const auto verify = [&](ByteSpan b) { return verify_dir_leaf(b, kGeometry, DirLeafForm::kLeaf1, expected); };
  const auto step = static_cast<std::uint32_t>(kRegions.leaf.value()) + 1;
  expect_each_alone(good, verify, reseal_da,
                    {
                        at16("magic of the other form", 8, DirLeafHeader::kLeafNMagic, kMagic, "da.magic"),
                        at64("uuid", offsetof(DaBlockInfo, uuid), 0, kUuid, "da.uuid"),
                        at64("address", offsetof(DaBlockInfo, blkno), 0, kSelfAddress, "da.blkno"),
                        at64("owner", offsetof(DaBlockInfo, owner), 1, kOwner, "da.owner"),
                        at32("sibling", 0, step, kPointer, "da.forw"),
                        at16("count", 56, 505, kCount, "dir_leaf.count"),
                        at16("stale", 58, 0, kCount, "dir_leaf.stale"),
                        at32("hash order", 64 + 8, 4, kOrder, "dir_leaf.hashval"),
                        at32("address in a header", 64 + 20, 512 + 7, kPointer, "dir_leaf.address"),
                        at32("bests", tail, 5000, kCount, "dir_leaf.bestcount"),
                        at16("best", tail - 4, 1001, kRange, "dir_leaf.bests"),
                        at16("best beyond a block", tail - 4, 4088, kRange, "dir_leaf.bests"),
                    });
  expect_every_bit_counts(good, verify, 61);
}

TEST(DirLeaf, ManyLeavesHaveSiblingsAndNoTail) {
  Bytes good = da_block(DirLeafHeader::kLeafNMagic);
  const auto first = static_cast<std::uint32_t>(kRegions.leaf.value());
  mutable_view<DaBlockInfo>(good).forw = first + 2;
  mutable_view<DaBlockInfo>(good).back = first + 3;
  mutable_view<DirLeafHeader>(good).count = 504;
  mutable_view<DirLeafHeader>(good).stale = 504;
  reseal_da(good);
  const auto verify = [&](ByteSpan b) {
    return verify_dir_leaf(b, kGeometry, DirLeafForm::kLeafN,
                           {.owner = kDir, .block = kBlock, .file_block = kRegions.leaf + 1});
  };
  using enum FlawKind;
  expect_each_alone(good, verify, reseal_da,
                    {
                        at32("itself", 0, first + 1, kPointer, "da.forw"),
                        at32("among the entries", 4, 3, kPointer, "da.back"),
                        at32("the same twice", 0, first + 3, kConsistency, "da.forw"),
                    });
}

TEST(DaNode, EachRuleAlone) {
  using enum FlawKind;
  const auto first = static_cast<std::uint32_t>(kRegions.leaf.value());
  Bytes good = da_block(DaNodeHeader::kMagic);
  mutable_view<DaNodeHeader>(good).count = 2;
  mutable_view<DaNodeHeader>(good).level = 1;
  const auto entries = mutable_view_array<DaNodeEntry>(good, sizeof(DaNodeHeader), 2);
  entries[0] = {100u, first + 1};
  entries[1] = {100u, first + 2};
  reseal_da(good);
  const DaExpectation expected{.owner = kDir, .block = kBlock, .file_block = kRegions.leaf};
  const auto verify = [&](ByteSpan b) { return verify_da_node(b, kGeometry, Fork::kData, expected, 1); };
  expect_each_alone(good, verify, reseal_da,
                    {
                        at16("magic", 8, 0, kMagic, "da.magic"),
                        at16("level", 58, 2, kLevel, "da_node.level"),
                        at16("empty", 56, 0, kCount, "da_node.count"),
                        at16("full", 56, 505, kCount, "da_node.count"),
                        at32("order", 64 + 8, 99, kOrder, "da_node.hashval"),
                        at32("child is the root", 64 + 4, first, kPointer, "da_node.before"),
                        at32("child among the entries", 64 + 4, 1, kPointer, "da_node.before"),
                        at32("child in the free index", 64 + 4, 2 * first, kPointer, "da_node.before"),
                    });
  EXPECT_TRUE(
      verify_da_node(good, kGeometry, Fork::kAttr, {.owner = kDir, .block = kBlock, .file_block = FileBlock(0)}, 1)
          .empty())
      << "an attribute fork's tree may lie anywhere in it";
}

TEST(DirFree, EachRuleAlone) {
  using enum FlawKind;
  Bytes good(kGeometry.dir_block_bytes());
  auto& header = mutable_view<DirFreeHeader>(good);
  header.info.magic = DirFreeHeader::kMagic;
  header.info.blkno = kGeometry.disk_address(kBlock).value();
  header.info.uuid = kTestUuid;
  header.info.owner = kDir.value();
  header.firstdb = dir_free_capacity(kGeometry.dir_block_bytes());
  header.nvalid = 3u;
  header.nused = 2u;
  mutable_view<be16>(good, 64) = 16;
  mutable_view<be16>(good, 66) = kNoDataBlock;
  mutable_view<be16>(good, 68) = 0;
  const auto reseal = [](Bytes& b) { seal(b, offsetof(DirBlockInfo, crc)); };
  reseal(good);
  const auto verify = [](ByteSpan b) {
    return verify_dir_free(b, kGeometry, {.owner = kDir, .block = kBlock, .file_block = kRegions.free + 1});
  };
  expect_each_alone(good, verify, reseal,
                    {
                        at32("magic", 0, 1, kMagic, "dir.magic"),
                        at32("first", 48, 0, kSelfAddress, "dir_free.firstdb"),
                        at32("valid", 52, 2017, kCount, "dir_free.nvalid"),
                        at32("used", 56, 3, kCount, "dir_free.nused"),
                        at16("best", 64, 17, kRange, "dir_free.bests"),
                        at16("best beyond a block", 64, 4096, kRange, "dir_free.bests"),
                    });
  expect_every_bit_counts(good, verify, 61);
}

}  // namespace
}  // namespace xdax::test

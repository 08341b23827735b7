// Log records, operations and items: every rule alone, and the stamping of cycles.

#include "libfs/format/btree_records.h"
#include "libfs/format/log_items.h"
#include "libfs/format/log_record.h"
#include "tests/unit/format_support.h"

namespace xdax::test {
namespace {

const Geometry kGeometry = test_geometry();
constexpr std::uint32_t kLogBlocks = 20480;

struct RecordOptions {
  std::uint32_t block = 100;
  std::uint32_t size = 32768;
  std::uint32_t len = 1024;
};

LogRecordExpectation at(std::uint32_t block) {
  return {.user_uuid = kTestUuid, .block = block, .log_blocks = kLogBlocks};
}

void seal_record(Bytes& record) {
  auto& header = mutable_view<LogRecordHeader>(record);
  const std::size_t header_bytes = std::size_t{log_header_blocks(header.size)} * kBasicBlockBytes;
  header.crc = log_record_checksum(ByteSpan(record).first(header_bytes),
                                   ByteSpan(record).subspan(header_bytes, header.len), kLogHeaderBytes64);
}

Bytes record_of(const RecordOptions& options) {
  const std::size_t header_bytes = std::size_t{log_header_blocks(options.size)} * kBasicBlockBytes;
  Bytes record(header_bytes + options.len);
  auto& header = mutable_view<LogRecordHeader>(record);
  header.magicno = LogRecordHeader::kMagic;
  header.cycle = 3u;
  header.version = LogRecordHeader::kVersion;
  header.len = options.len;
  header.lsn = Lsn{.cycle = 3, .block = options.block}.encode();
  header.tail_lsn = Lsn{.cycle = 2, .block = 9000}.encode();
  header.prev_block = 64u;
  header.num_logops = 4u;
  header.fmt = log_formats::kLinuxLittle;
  header.fs_uuid = kTestUuid;
  header.size = options.size;
  const MutableByteSpan data = MutableByteSpan(record).subspan(header_bytes);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 7);
  stamp_cycle_words(data, MutableByteSpan(record).first(header_bytes),
                    {.cycle = 3, .blocks_to_end = kLogBlocks - options.block});
  seal_record(record);
  return record;
}

TEST(LogRecord, EachRuleAlone) {
  using enum FlawKind;
  const auto header = mutate<LogRecordHeader>;
  const auto verify = [](ByteSpan b) { return verify_log_record(b, at(100)); };
  const auto reseal = [](Bytes& b) {
    // Where the size itself is damaged, the checksum is not reached.
    const auto& changed = view<LogRecordHeader>(b);
    if (changed.size == 32768 && changed.len <= 1024) seal_record(b);
  };
  expect_each_alone(
      record_of({}), verify, reseal,
      {
          header(
              "magic", [](auto& h) { h.magicno = 0u; }, kMagic, "log.magicno"),
          header(
              "version", [](auto& h) { h.version = 1u; }, kVersion, "log.version"),
          header(
              "byte order", [](auto& h) { h.fmt = 4u; }, kRange, "log.fmt"),
          header(
              "uuid", [](auto& h) { h.fs_uuid = {}; }, kUuid, "log.fs_uuid"),
          header(
              "place", [](auto& h) { h.lsn = Lsn{.cycle = 3, .block = 101}.encode(); }, kSelfAddress, "log.lsn"),
          header(
              "cycle of the lsn",
              [](auto& h) {
                h.lsn = Lsn{.cycle = 4, .block = 100}.encode();
                h.tail_lsn = h.lsn.get();
              },
              kConsistency, "log.lsn"),
          header(
              "tail ahead", [](auto& h) { h.tail_lsn = h.lsn + 1; }, kRange, "log.tail_lsn"),
          header(
              "tail two turns behind", [](auto& h) { h.tail_lsn = Lsn{.cycle = 1, .block = 5}.encode(); }, kRange,
              "log.tail_lsn"),
          header(
              "tail outside", [](auto& h) { h.tail_lsn = Lsn{.cycle = 2, .block = kLogBlocks}.encode(); }, kRange,
              "log.tail_lsn"),
          header(
              "previous outside", [](auto& h) { h.prev_block = kLogBlocks; }, kPointer, "log.prev_block"),
          header(
              "size", [](auto& h) { h.size = 32769u; }, kRange, "log.size"),
          header(
              "length", [](auto& h) { h.len = 32768u + 512; }, kRange, "log.len"),
          header(
              "odd length", [](auto& h) { h.len = 1000u; }, kRange, "log.len"),
          header(
              "no operations", [](auto& h) { h.num_logops = 0u; }, kCount, "log.num_logops"),
          header(
              "too many operations", [](auto& h) { h.num_logops = 86u; }, kCount, "log.num_logops"),
          header(
              "cut short", [](auto& h) { h.len = 1536u; }, kRange, "log.len"),
          {"torn", [](Bytes& b) { mutable_view<be32>(b, 1024) = 2u; }, kSequence, "log.cycle"},
          {"data",
           [](Bytes& b) {
             b[700] ^= std::byte{1};
             mutable_view<LogRecordHeader>(b).size = 32256u;
           },
           kChecksum, "log.crc"},
      });
}

TEST(LogRecord, EveryBitCounts) {
  const Bytes good = record_of({});
  for (std::size_t bit = 0; bit < good.size() * 8; bit += 3) {
    // What lies between the header's end and the first data block is not checksummed; nobody reads it.
    if (bit / 8 >= kLogHeaderBytes64 && bit / 8 < kBasicBlockBytes) continue;
    Bytes bad = good;
    bad[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_FALSE(verify_log_record(bad, at(100)).empty()) << "bit " << bit;
  }
}

TEST(LogRecord, ChecksumOfOtherMachinesAndOfNone) {
  Bytes record = record_of({});
  auto& header = mutable_view<LogRecordHeader>(record);
  header.crc = log_record_checksum(ByteSpan(record).first(512), ByteSpan(record).subspan(512), kLogHeaderBytes32);
  EXPECT_TRUE(verify_log_record(record, at(100)).empty());
  header.crc = 0u;
  EXPECT_TRUE(verify_log_record(record, at(100)).has(FlawKind::kChecksum));
  header.num_logops = 1u;
  EXPECT_TRUE(verify_log_record(record, at(100)).empty()) << "as mkfs leaves it";
}

TEST(LogRecord, BlankHeaders) {
  Bytes block(512);
  auto& header = mutable_view<LogRecordHeader>(block);
  header.magicno = LogRecordHeader::kMagic;
  header.version = LogRecordHeader::kVersion;
  header.fmt = log_formats::kLinuxLittle;
  header.fs_uuid = kTestUuid;
  header.lsn = 100ull;
  header.tail_lsn = Lsn{.cycle = 1}.encode();
  EXPECT_TRUE(header.blank());
  EXPECT_TRUE(verify_log_record(block, at(100)).empty());
  EXPECT_TRUE(verify_log_record(block, at(101)).has(FlawKind::kSelfAddress));
}

// 256 KiB of data need eight headers; the words come back where they were.
TEST(LogRecord, FurtherHeaders) {
  const Bytes record = record_of({.size = 262144, .len = 262144});
  EXPECT_EQ(log_header_blocks(262144), 8u);
  EXPECT_EQ(log_header_blocks(32768), 1u);
  EXPECT_EQ(log_header_blocks(32769), 2u);
  EXPECT_TRUE(verify_log_record(record, at(100)).empty());
  Bytes data(record.begin() + 4096, record.end());
  restore_cycle_words(data, ByteSpan(record).first(4096));
  for (std::size_t i = 0; i < data.size(); ++i) ASSERT_EQ(data[i], static_cast<std::byte>(i * 7)) << i;
  Bytes bad = record;
  mutable_view<LogExtendedHeader>(bad, 512).cycle = 4u;
  seal_record(bad);
  EXPECT_TRUE(verify_log_record(bad, at(100)).has(FlawKind::kSequence));
  // The checksum leaves out headers that the data does not need.
  Bytes small = record_of({.size = 262144, .len = 512});
  mutable_view<LogExtendedHeader>(small, 512).cycle_data[5] = 99u;
  EXPECT_TRUE(verify_log_record(small, at(100)).empty());
}

TEST(LogRecord, AroundTheEndTheCycleIsTheNext) {
  const std::uint32_t block = kLogBlocks - 2;
  Bytes record = record_of({.block = block, .len = 2048});
  EXPECT_EQ(view<be32>(record, 512), 3u);
  EXPECT_EQ(view<be32>(record, 1024), 4u);
  EXPECT_TRUE(verify_log_record(record, at(block)).empty());
  mutable_view<be32>(record, 1024) = 3u;
  seal_record(record);
  EXPECT_TRUE(verify_log_record(record, at(block)).has(FlawKind::kSequence));
  EXPECT_EQ(next_log_cycle(LogRecordHeader::kMagic - 1), LogRecordHeader::kMagic + 1) << "never the magic";
}

TEST(LogRecord, LsnsAreOrderedByAge) {
  EXPECT_LT((Lsn{.cycle = 1, .block = 9}), (Lsn{.cycle = 2, .block = 1}));
  EXPECT_EQ(Lsn::decode(0x0000000500000007ull), (Lsn{.cycle = 5, .block = 7}));
}

TEST(LogOp, EachRuleAlone) {
  using enum FlawKind;
  Bytes good(sizeof(LogOpHeader) + 20);
  mutable_view<LogOpHeader>(good).len = 20u;
  mutable_view<LogOpHeader>(good).clientid = log_clients::kTransaction;
  const auto op = mutate<LogOpHeader>;
  expect_each_alone(good, verify_log_op, [](Bytes&) {},
                    {
                        op(
                            "client", [](auto& o) { o.clientid = 1; }, kRange, "op.clientid"),
                        op(
                            "flags", [](auto& o) { o.flags = 0x40; }, kReserved, "op.flags"),
                        op(
                            "length", [](auto& o) { o.len = 24u; }, kRange, "op.len"),
                        op(
                            "odd length", [](auto& o) { o.len = 18u; }, kRange, "op.len"),
                        op(
                            "huge length", [](auto& o) { o.len = ~0u; }, kRange, "op.len"),
                        {"cut short", [](Bytes& b) { b.resize(11); }, kRange, "op"},
                    });
}

TEST(LogBodies, UnmountAndTransaction) {
  Bytes unmount(8);
  mutable_view<UnmountRecord>(unmount).magic = UnmountRecord::kMagic;
  EXPECT_EQ(unmount[0], std::byte{0x6e}) << "in the writer's order";
  EXPECT_TRUE(verify_unmount_record(unmount).empty());
  EXPECT_TRUE(verify_unmount_record({}).empty());
  EXPECT_TRUE(verify_unmount_record(ByteSpan(unmount).first(4)).has(FlawKind::kRange));
  mutable_view<UnmountRecord>(unmount).magic = 1;
  EXPECT_TRUE(verify_unmount_record(unmount).has(FlawKind::kMagic));
  Bytes transaction(16);
  EXPECT_TRUE(verify_transaction_header(transaction).has(FlawKind::kMagic));
  mutable_view<TransactionHeader>(transaction).magic = TransactionHeader::kMagic;
  EXPECT_TRUE(verify_transaction_header(transaction).empty());
  EXPECT_TRUE(verify_transaction_header(ByteSpan(transaction).first(12)).has(FlawKind::kRange));
}

template <class T>
Bytes item(LogItemType type, std::uint16_t regions, std::size_t bytes = sizeof(T)) {
  Bytes region(bytes);
  mutable_view<LogItemHeader>(region).type = static_cast<std::uint16_t>(type);
  mutable_view<LogItemHeader>(region).size = regions;
  return region;
}

void expect_item(const Bytes& good, LogItemType type, const std::vector<Mutation>& mutations) {
  SCOPED_TRACE(to_string(type));
  EXPECT_EQ(log_item_type(good), type);
  const auto verify = [type](ByteSpan b) { return verify_log_item(b, type, kGeometry); };
  expect_each_alone(good, verify, [](Bytes&) {}, mutations);
  for (std::size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(verify(ByteSpan(good).first(length)).empty()) << length << " of " << good.size() << " bytes";
  }
}

TEST(LogItems, Inode) {
  using enum FlawKind;
  Bytes good = item<InodeLogFormat>(LogItemType::kInode, 3);
  auto& format = mutable_view<InodeLogFormat>(good);
  format.fields = inode_log_fields::kCore | inode_log_fields::kDataExtents;
  format.dsize = 16;
  format.ino = 200ull;
  format.blkno = 64ull;
  format.len = 32u;
  format.boffset = 512u;
  const auto f = mutate<InodeLogFormat>;
  expect_item(good, LogItemType::kInode,
              {
                  f(
                      "type", [](auto& x) { x.type = 0x123c; }, kMagic, "item.type"),
                  f(
                      "regions", [](auto& x) { x.size = 1; }, kCount, "item.size"),
                  f(
                      "number", [](auto& x) { x.ino = 1ull; }, kPointer, "ilf.ino"),
                  f(
                      "fields", [](auto& x) { x.fields = x.fields | 0x8000u; }, kReserved, "ilf.fields"),
                  f(
                      "data", [](auto& x) { x.dsize = 337; }, kRange, "ilf.dsize"),
                  f(
                      "outside", [](auto& x) { x.blkno = 1ull << 60; }, kPointer, "ilf.blkno"),
                  f(
                      "offset", [](auto& x) { x.boffset = 100u; }, kRange, "ilf.boffset"),
                  f(
                      "offset outside", [](auto& x) { x.boffset = 32u * 512; }, kRange, "ilf.boffset"),
              });
}

TEST(LogItems, LoggedCoreIsTheDiskCoreInOtherOrder) {
  Bytes region(sizeof(LoggedInodeCore));
  auto& core = mutable_view<LoggedInodeCore>(region);
  core.magic = LoggedInodeCore::kMagic;
  core.mode = 0x81a4;
  core.version = 3;
  core.ino = 200ull;
  core.uuid = kTestUuid;
  core.size = 12345ull;
  core.mtime = 7ull << 32 | 5;  // five seconds and seven nanoseconds, each word in its own order
  EXPECT_TRUE(verify_logged_inode_core(region, kGeometry).empty());
  const InodeCore disk = disk_core_of_logged(core);
  EXPECT_EQ(disk.size, 12345u);
  EXPECT_EQ(decode_timestamp(disk.mtime, false), (Timestamp{.seconds = 5, .nanoseconds = 7}));
  core.flags2 = inode_flags2::kBigtime;
  EXPECT_EQ(disk_core_of_logged(core).mtime, core.mtime.get());
  using enum FlawKind;
  const auto c = mutate<LoggedInodeCore>;
  expect_each_alone(
      region, [](ByteSpan b) { return verify_logged_inode_core(b, kGeometry); }, [](Bytes&) {},
      {
          c(
              "magic", [](auto& x) { x.magic = 0; }, kMagic, "inode.magic"),
          c(
              "version", [](auto& x) { x.version = 2; }, kVersion, "inode.version"),
          c(
              "uuid", [](auto& x) { x.uuid = {}; }, kUuid, "inode.uuid"),
          c(
              "number", [](auto& x) { x.ino = 0ull; }, kPointer, "inode.ino"),
          c(
              "fork", [](auto& x) { x.forkoff = 42; }, kRange, "inode.forkoff"),
          c(
              "size", [](auto& x) { x.size = 1ull << 63; }, kRange, "inode.size"),
          c(
              "extents", [](auto& x) { x.nextents = 1u; }, kConsistency, "inode.nblocks"),
          {"length", [](Bytes& b) { b.resize(175); }, kRange, "item.length"},
      });
}

TEST(LogItems, Buffer) {
  using enum FlawKind;
  Bytes good = item<BufLogFormat>(LogItemType::kBuffer, 4, sizeof(BufLogFormat) + 4);
  auto& format = mutable_view<BufLogFormat>(good);
  format.flags = static_cast<std::uint16_t>(static_cast<unsigned>(BufLogType::kAgf) << buf_log_flags::kTypeShift);
  format.len = 8;
  format.blkno = 64ull;
  format.map_size = 1u;
  mutable_view<le32>(good, sizeof(BufLogFormat)) = 0x80000023u;
  EXPECT_EQ(format.content(), BufLogType::kAgf);
  EXPECT_EQ(next_dirty_run(good, 0)->count, 2u);
  EXPECT_EQ(next_dirty_run(good, 2)->first, 5u);
  EXPECT_EQ(next_dirty_run(good, 6)->first, 31u);
  EXPECT_FALSE(next_dirty_run(good, 32).has_value());
  const auto f = mutate<BufLogFormat>;
  expect_item(good, LogItemType::kBuffer,
              {
                  f(
                      "content", [](auto& x) { x.flags = 21 << buf_log_flags::kTypeShift; }, kRange, "blf.flags"),
                  f(
                      "outside", [](auto& x) { x.blkno = kGeometry.size_bytes() / 512 - 7; }, kPointer, "blf.blkno"),
                  f(
                      "dirty past its end", [](auto& x) { x.len = 7; }, kRange, "blf.data_map"),
                  f(
                      "map past the region", [](auto& x) { x.map_size = 2u; }, kCount, "blf.map_size"),
                  f(
                      "huge map", [](auto& x) { x.map_size = ~0u; }, kCount, "blf.map_size"),
                  f(
                      "too few regions", [](auto& x) { x.size = 3; }, kCount, "blf.size"),
                  f(
                      "cancelled with regions", [](auto& x) { x.flags = x.flags | buf_log_flags::kCancel; }, kCount,
                      "blf.size"),
              });
}

TEST(LogItems, Icreate) {
  using enum FlawKind;
  Bytes good = item<IcreateLog>(LogItemType::kIcreate, 1);
  auto& format = mutable_view<IcreateLog>(good);
  format.ag = 1u;
  format.agbno = 100u;
  format.count = 64u;
  format.isize = 512u;
  format.length = 8u;
  const auto f = mutate<IcreateLog>;
  expect_item(good, LogItemType::kIcreate,
              {
                  f(
                      "group", [](auto& x) { x.ag = 4u; }, kPointer, "icl.agbno"),
                  f(
                      "header", [](auto& x) { x.agbno = 0u; }, kPointer, "icl.agbno"),
                  f(
                      "past the end", [](auto& x) { x.agbno = 16380u; }, kPointer, "icl.agbno"),
                  f(
                      "inode size", [](auto& x) { x.isize = 1024u; }, kConsistency, "icl.isize"),
                  f(
                      "count", [](auto& x) { x.count = 32u; }, kConsistency, "icl.count"),
                  f(
                      "regions", [](auto& x) { x.size = 2; }, kCount, "item.size"),
              });
}

TEST(LogItems, Quota) {
  using enum FlawKind;
  Bytes good = item<DquotLogFormat>(LogItemType::kDquot, 2);
  mutable_view<DquotLogFormat>(good).blkno = 64ull;
  mutable_view<DquotLogFormat>(good).len = 8u;
  mutable_view<DquotLogFormat>(good).boffset = 136u;
  const auto f = mutate<DquotLogFormat>;
  expect_item(good, LogItemType::kDquot,
              {
                  f(
                      "offset", [](auto& x) { x.boffset = 137u; }, kRange, "qlf.boffset"),
                  f(
                      "offset outside", [](auto& x) { x.boffset = 136u * 30; }, kRange, "qlf.boffset"),
                  f(
                      "length", [](auto& x) { x.len = 129u; }, kPointer, "qlf.blkno"),
              });
  expect_item(item<QuotaoffLogFormat>(LogItemType::kQuotaoff, 1), LogItemType::kQuotaoff, {});
}

template <class Entry>
Bytes list(LogItemType type, const std::vector<Entry>& entries) {
  Bytes region = item<ExtentsLogFormat>(type, 1, sizeof(ExtentsLogFormat) + entries.size() * sizeof(Entry));
  mutable_view<ExtentsLogFormat>(region).nextents = static_cast<std::uint32_t>(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    mutable_view<Entry>(region, sizeof(ExtentsLogFormat) + i * sizeof(Entry)) = entries[i];
  }
  return region;
}

template <class Entry>
Mutation last(const char* name, const std::function<void(Entry&)>& change, FlawKind kind, std::string_view field) {
  return {name, [=](Bytes& b) { change(mutable_view<Entry>(b, b.size() - sizeof(Entry))); }, kind, field};
}

TEST(LogItems, ExtentFree) {
  using enum FlawKind;
  const auto count = mutate<ExtentsLogFormat>("count", [](auto& x) { x.nextents = 3u; }, kCount, "item.nextents");
  const auto none = mutate<ExtentsLogFormat>("none", [](auto& x) { x.nextents = 0u; }, kCount, "item.nextents");
  expect_item(list<LoggedExtent>(LogItemType::kEfi, {{100ull, 5u, 0u}, {200ull, 5u, 0u}}), LogItemType::kEfi,
              {count, none,
               last<LoggedExtent>(
                   "empty", [](auto& x) { x.len = 0u; }, kPointer, "efi.extents"),
               last<LoggedExtent>("outside", [](auto& x) { x.start = 1ull << 40; }, kPointer, "efi.extents")});
  // As 32-bit machines lay it out.
  expect_item(list<LoggedExtent32>(LogItemType::kEfi, {{100ull, 5u}, {200ull, 5u}}), LogItemType::kEfi,
              {last<LoggedExtent32>("empty", [](auto& x) { x.len = 0u; }, kPointer, "efi.extents")});
  // What a done item lists has been freed already; only its length is judged.
  const Bytes done = list<LoggedExtent>(LogItemType::kEfd, {{0ull, 0u, 0u}});
  EXPECT_TRUE(verify_log_item(done, LogItemType::kEfd, kGeometry).empty());
  EXPECT_TRUE(verify_log_item(ByteSpan(done).first(24), LogItemType::kEfd, kGeometry).has(kCount));
}

TEST(LogItems, ReverseMap) {
  using enum FlawKind;
  const LoggedMapping mapping{200ull, 100ull, 5ull, 4u, intent_flags::kRmapMap};
  const auto m = last<LoggedMapping>;
  expect_item(list<LoggedMapping>(LogItemType::kRui, {mapping, mapping}), LogItemType::kRui,
              {
                  m(
                      "owner", [](auto& x) { x.owner = 1ull; }, kOwner, "rui.owner"),
                  m(
                      "special owner", [](auto& x) { x.owner = rmap::kOwnerNull; }, kOwner, "rui.owner"),
                  m(
                      "operation", [](auto& x) { x.flags = 9u; }, kRange, "rui.flags"),
                  m(
                      "flags", [](auto& x) { x.flags = x.flags | 1u << 20; }, kRange, "rui.flags"),
                  m(
                      "blocks", [](auto& x) { x.startblock = ~0ull; }, kPointer, "rui.extents"),
                  m(
                      "offset", [](auto& x) { x.startoff = ~0ull; }, kRange, "rui.startoff"),
              });
  const LoggedMapping log{rmap::kOwnerLog, 100ull, 0ull, 4u, intent_flags::kRmapAlloc};
  EXPECT_TRUE(verify_log_item(list<LoggedMapping>(LogItemType::kRui, {log}), LogItemType::kRui, kGeometry).empty());
}

TEST(LogItems, ReferenceCountsAndMappings) {
  using enum FlawKind;
  const auto r = last<LoggedRefcount>;
  expect_item(list<LoggedRefcount>(LogItemType::kCui, {{100ull, 4u, intent_flags::kRefcountDecrease}}),
              LogItemType::kCui,
              {
                  r(
                      "operation", [](auto& x) { x.flags = 5u; }, kRange, "cui.flags"),
                  r(
                      "blocks", [](auto& x) { x.len = 0u; }, kPointer, "cui.extents"),
              });
  const LoggedMapping mapping{200ull, 100ull, 5ull, 4u, intent_flags::kBmapUnmap | intent_flags::kBmapAttrFork};
  const auto m = last<LoggedMapping>;
  expect_item(list<LoggedMapping>(LogItemType::kBui, {mapping}), LogItemType::kBui,
              {
                  m(
                      "owner", [](auto& x) { x.owner = rmap::kOwnerAg; }, kOwner, "bui.owner"),
                  m(
                      "operation", [](auto& x) { x.flags = 3u; }, kRange, "bui.flags"),
                  m(
                      "offset", [](auto& x) { x.startoff = 1ull << 51; }, kRange, "bui.startoff"),
              });
  EXPECT_TRUE(verify_log_item(list<LoggedMapping>(LogItemType::kBui, {mapping, mapping}), LogItemType::kBui, kGeometry)
                  .has(kCount));
}

TEST(LogItems, Attributes) {
  using enum FlawKind;
  Bytes good = item<AttriLogFormat>(LogItemType::kAttri, 3);
  auto& format = mutable_view<AttriLogFormat>(good);
  format.ino = 200ull;
  format.op_flags = attr_intent_ops::kSet;
  format.name_len = 5;
  format.value_len = 65536u;
  format.attr_filter = 2u;
  const auto f = mutate<AttriLogFormat>;
  expect_item(good, LogItemType::kAttri,
              {
                  f(
                      "operation", [](auto& x) { x.op_flags = 7u; }, kRange, "attri.op_flags"),
                  f(
                      "flags", [](auto& x) { x.op_flags = 0x101u; }, kRange, "attri.op_flags"),
                  f(
                      "inode", [](auto& x) { x.ino = 0ull; }, kPointer, "attri.ino"),
                  f(
                      "no name", [](auto& x) { x.name_len = 0; }, kRange, "attri.name_len"),
                  f(
                      "long name", [](auto& x) { x.name_len = 256; }, kRange, "attri.name_len"),
                  f(
                      "new name where none is", [](auto& x) { x.new_name_len = 1; }, kRange, "attri.name_len"),
                  f(
                      "value", [](auto& x) { x.value_len = 65537u; }, kRange, "attri.value_len"),
                  f(
                      "namespace", [](auto& x) { x.attr_filter = 1u; }, kReserved, "attri.attr_filter"),
                  f(
                      "regions", [](auto& x) { x.size = 6; }, kCount, "item.size"),
              });
}

TEST(LogItems, Exchange) {
  using enum FlawKind;
  Bytes good = item<XmiLogFormat>(LogItemType::kXmi, 1);
  auto& format = mutable_view<XmiLogFormat>(good);
  format.inode1 = 200ull;
  format.inode2 = 201ull;
  format.blockcount = 10ull;
  const auto f = mutate<XmiLogFormat>;
  expect_item(good, LogItemType::kXmi,
              {
                  f(
                      "inode", [](auto& x) { x.inode2 = 0ull; }, kPointer, "xmi.inode"),
                  f(
                      "flags", [](auto& x) { x.flags = 0x20ull; }, kReserved, "xmi.flags"),
                  f(
                      "first range", [](auto& x) { x.startoff1 = 1ull << 51; }, kRange, "xmi.startoff1"),
                  f(
                      "second range", [](auto& x) { x.startoff2 = ~0ull; }, kRange, "xmi.startoff2"),
              });
}

TEST(LogItems, DoneItemsAndForeignOnes) {
  using enum FlawKind;
  for (const LogItemType type :
       {LogItemType::kRud, LogItemType::kCud, LogItemType::kBud, LogItemType::kAttrd, LogItemType::kXmd}) {
    const auto regions = mutate<DoneLogFormat>("regions", [](auto& x) { x.size = 0; }, kCount, "item.size");
    expect_item(item<DoneLogFormat>(type, 1), type, {regions});
  }
  for (const LogItemType type : {LogItemType::kIunlink, LogItemType::kEfiRt, LogItemType::kCudRt}) {
    EXPECT_TRUE(verify_log_item(item<DoneLogFormat>(type, 1), type, kGeometry).has(kRange)) << to_string(type);
  }
  Bytes unknown(16);
  EXPECT_FALSE(log_item_type(unknown).has_value());
  EXPECT_FALSE(log_item_type(ByteSpan(unknown).first(3)).has_value());
}

}  // namespace
}  // namespace xdax::test

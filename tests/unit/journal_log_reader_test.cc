// The log reader on rings written here, record by record: any position, any wrap, any hole.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

#include "libfs/device/fault_device.h"
#include "libfs/device/memory_device.h"
#include "libfs/journal/log_reader.h"

namespace xdax::test {
namespace {

constexpr std::uint64_t kOffset = 1u << 20;

struct RecordShape {
  std::uint32_t data_blocks = 1;
  bool unmount = false;
  std::uint32_t operations = 2;
};

// Writes records as the kernel does: further headers, cycle words, and the next cycle past the end of the ring.
class Ring {
 public:
  explicit Ring(std::uint32_t blocks)
      : device_({.size_bytes = kOffset + std::uint64_t{blocks} * kBasicBlockBytes}), blocks_(blocks) {
    uuid_.bytes[0] = 7;
  }

  /// Appends a record; `tail` defaults to itself. Returns its place.
  Lsn append(const RecordShape& shape, std::optional<Lsn> tail = std::nullopt) {
    const std::uint32_t data_bytes = shape.data_blocks * kBasicBlockBytes;
    const std::uint32_t size = std::max(data_bytes, limits::kLogBytesPerHeader);
    std::vector<std::byte> record(std::size_t{log_header_blocks(size)} * kBasicBlockBytes + data_bytes);
    for (std::byte& byte : record) byte = std::byte{static_cast<std::uint8_t>(random_())};
    const MutableByteSpan headers = MutableByteSpan(record).first(record.size() - data_bytes);
    const MutableByteSpan data = MutableByteSpan(record).last(data_bytes);
    std::fill(headers.begin(), headers.end(), std::byte{0});
    auto& header = mutable_view<LogRecordHeader>(headers);
    header.magicno = LogRecordHeader::kMagic;
    header.cycle = head_.cycle;
    header.version = LogRecordHeader::kVersion;
    header.len = data_bytes;
    header.lsn = head_.encode();
    header.tail_lsn = tail.value_or(head_).encode();
    header.prev_block = LogRecordHeader::kNoPrevious;
    header.num_logops = shape.unmount ? 1 : shape.operations;
    header.fmt = log_formats::kLinuxLittle;
    header.fs_uuid = uuid_;
    header.size = size;
    auto& op = mutable_view<LogOpHeader>(data);
    op.clientid = log_clients::kLog;
    op.flags = shape.unmount ? log_op_flags::kUnmount : log_op_flags::kStart;
    stamp(record, headers.size());
    const auto count = static_cast<std::uint32_t>(record.size() / kBasicBlockBytes);
    header.crc = log_record_checksum(headers, data, kLogHeaderBytes64);
    for (std::uint32_t i = 0; i < count; ++i)
      device_.write(byte_of((head_.block + i) % blocks_),
                    ByteSpan(record).subspan(std::size_t{i} * kBasicBlockBytes, kBasicBlockBytes));
    const Lsn written = head_;
    head_.block += count;
    if (head_.block >= blocks_) head_ = {head_.cycle + 1, head_.block - blocks_};
    return written;
  }

  /// Moves the first word of each data block into the headers, and puts the cycle there: the next one past the end.
  void stamp(std::vector<std::byte>& record, std::size_t header_bytes) const {
    const auto count = static_cast<std::uint32_t>(record.size() / kBasicBlockBytes);
    const auto header_blocks = static_cast<std::uint32_t>(header_bytes / kBasicBlockBytes);
    for (std::uint32_t i = 1; i < count; ++i) {
      auto& word = mutable_view<be32>(MutableByteSpan(record), std::size_t{i} * kBasicBlockBytes);
      if (i >= header_blocks) {
        const std::uint32_t index = i - header_blocks;
        const std::uint32_t header = index / LogRecordHeader::kCycleWords;
        const std::size_t words = header == 0 ? offsetof(LogRecordHeader, cycle_data) : sizeof(be32);
        mutable_view<be32>(MutableByteSpan(record), header * std::size_t{kBasicBlockBytes} + words +
                                                        index % LogRecordHeader::kCycleWords * sizeof(be32)) =
            word.get();
      }
      word = head_.block + i < blocks_ ? head_.cycle : head_.cycle + 1;
    }
  }

  /// Fills the ring with records until the head is in `cycle`, at `block` or a little past it.
  void run_to(std::uint32_t cycle, std::uint32_t block) {
    while (head_.cycle < cycle || head_.block < block) {
      const std::uint32_t room = head_.cycle == cycle && block > head_.block + 2 ? block - head_.block - 1 : 40;
      append({.data_blocks = 1 + static_cast<std::uint32_t>(random_()) % std::min(room, 130u)});
    }
  }

  [[nodiscard]] std::uint64_t byte_of(std::uint32_t block) const {
    return kOffset + std::uint64_t{block} * kBasicBlockBytes;
  }
  [[nodiscard]] std::vector<std::byte> blocks(std::uint32_t first, std::uint32_t count) {
    std::vector<std::byte> bytes(std::size_t{count} * kBasicBlockBytes);
    device_.read(byte_of(first), bytes);
    return bytes;
  }
  void put(std::uint32_t first, const std::vector<std::byte>& bytes) { device_.write(byte_of(first), bytes); }
  void flip(std::uint32_t block, std::size_t byte) {
    std::vector<std::byte> bytes = blocks(block, 1);
    bytes[byte] ^= std::byte{0x10};
    put(block, bytes);
  }

  [[nodiscard]] LogSummary read() { return read_log_summary(device_, place()); }
  [[nodiscard]] LogPlace place() const { return {.offset_bytes = kOffset, .blocks = blocks_, .user_uuid = uuid_}; }
  [[nodiscard]] Lsn head() const { return head_; }
  MemoryDevice& device() { return device_; }
  void set_cycle(std::uint32_t cycle) { head_.cycle = cycle; }
  Uuid uuid_;

 private:
  MemoryDevice device_;
  std::uint32_t blocks_;
  Lsn head_{1, 0};
  std::mt19937 random_{1};
};

void expect_place(const std::optional<Lsn>& found, Lsn expected) {
  ASSERT_TRUE(found);
  EXPECT_EQ(found->cycle, expected.cycle);
  EXPECT_EQ(found->block, expected.block);
}

TEST(LogReader, NothingButZerosIsZeroed) {
  Ring ring(4096);
  EXPECT_EQ(ring.read().state, LogState::kZeroed);
}

TEST(LogReader, ContentBehindAnEmptyFirstBlockIsDamage) {
  Ring ring(4096);
  ring.append({});
  ring.append({});
  ring.put(0, std::vector<std::byte>(kBasicBlockBytes));
  EXPECT_EQ(ring.read().state, LogState::kDamaged);
}

TEST(LogReader, TheLastRecordDecidesWhetherItIsClean) {
  Ring ring(4096);
  const Lsn first = ring.append({});
  EXPECT_EQ(ring.read().state, LogState::kDirty);
  ring.append({.unmount = true});
  const LogSummary clean = ring.read();
  EXPECT_EQ(clean.state, LogState::kClean);
  EXPECT_EQ(clean.records, 0u);
  expect_place(clean.head, ring.head());
  expect_place(clean.tail, ring.head());
  ring.append({}, first);
  const LogSummary dirty = ring.read();
  EXPECT_EQ(dirty.state, LogState::kDirty);
  EXPECT_EQ(dirty.records, 3u);
  expect_place(dirty.tail, first);
  expect_place(dirty.head, ring.head());
}

TEST(LogReader, AnUnmountAmongOtherOperationsIsNotClean) {
  Ring ring(4096);
  ring.append({.unmount = true});
  const std::vector<std::byte> before = ring.blocks(0, 2);
  std::vector<std::byte> record = before;
  auto& header = mutable_view<LogRecordHeader>(MutableByteSpan(record));
  header.num_logops = 2;
  header.crc = log_record_checksum(ByteSpan(record).first(kBasicBlockBytes), ByteSpan(record).last(kBasicBlockBytes),
                                   kLogHeaderBytes64);
  ring.put(0, record);
  EXPECT_EQ(ring.read().state, LogState::kDirty);
}

class LogReaderPositions : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(LogReaderPositions, HeadAndTailAreFoundWhereverTheRingIs) {
  const std::uint32_t blocks = GetParam();
  std::mt19937 random(blocks);
  for (int i = 0; i < 25; ++i) {
    Ring ring(blocks);
    const std::uint32_t cycle = 1 + static_cast<std::uint32_t>(random()) % 4;
    ring.run_to(cycle, static_cast<std::uint32_t>(random()) % blocks);
    std::uint64_t records = 2 + static_cast<std::uint32_t>(random()) % 3;
    const Lsn tail = ring.append({.data_blocks = 1 + static_cast<std::uint32_t>(random()) % 100});
    for (std::uint64_t j = 1; j < records; ++j)
      ring.append({.data_blocks = 1 + static_cast<std::uint32_t>(random()) % 100}, tail);
    SCOPED_TRACE(fmt::format("cycle {} block {}", ring.head().cycle, ring.head().block));
    const LogSummary dirty = ring.read();
    EXPECT_EQ(dirty.state, LogState::kDirty) << dirty.detail;
    EXPECT_EQ(dirty.records, records);
    EXPECT_EQ(dirty.torn_records, 0u);
    expect_place(dirty.head, ring.head());
    expect_place(dirty.tail, tail);
    ring.append({.unmount = true});
    const LogSummary clean = ring.read();
    EXPECT_EQ(clean.state, LogState::kClean) << clean.detail;
    expect_place(clean.head, ring.head());
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, LogReaderPositions, ::testing::Values(700, 1024, 4097, 9000));

TEST(LogReader, RecordsOf256KiBHaveFurtherHeaders) {
  Ring ring(4096);
  const Lsn tail = ring.append({.data_blocks = 512});
  for (int i = 0; i < 20; ++i) ring.append({.data_blocks = 512 - static_cast<std::uint32_t>(i)}, tail);
  const Lsn last = ring.append({.data_blocks = 512});
  const LogSummary summary = ring.read();
  EXPECT_EQ(summary.state, LogState::kDirty) << summary.detail;
  expect_place(summary.head, ring.head());
  expect_place(summary.last_record, last);
}

TEST(LogReader, AHoleMovesTheHeadBack) {
  for (const std::uint32_t start : {600u, 5000u, 8990u}) {
    Ring ring(9000);
    ring.run_to(3, start);
    const Lsn tail = ring.append({});
    const Lsn expected = ring.head();
    // Three records in flight; a block of the first has not arrived.
    const std::uint32_t lost = (expected.block + 4) % 9000;
    const std::vector<std::byte> stale = ring.blocks(lost, 1);
    for (int i = 0; i < 3; ++i) ring.append({.data_blocks = 30}, tail);
    ring.put(lost, stale);
    const LogSummary summary = ring.read();
    EXPECT_EQ(summary.state, LogState::kDirty) << start << summary.detail;
    expect_place(summary.head, expected);
    EXPECT_EQ(summary.records, 1u);
    EXPECT_GE(summary.torn_records, 1u);
  }
}

TEST(LogReader, TheNextTurnMayArriveBeforeTheEndOfThisOne) {
  Ring ring(9000);
  ring.run_to(3, 8960);
  const Lsn tail = ring.append({.data_blocks = 1});
  const Lsn expected = ring.head();
  const std::uint32_t left = 9000 - expected.block;
  const std::vector<std::byte> stale = ring.blocks(expected.block, left);
  ring.append({.data_blocks = left - 1}, tail);
  EXPECT_EQ(ring.head().block, 0u);
  ring.append({.data_blocks = 5}, tail);
  ring.put(expected.block, stale);
  const LogSummary summary = ring.read();
  EXPECT_EQ(summary.state, LogState::kDirty) << summary.detail;
  expect_place(summary.head, expected);
}

TEST(LogReader, ATornLastRecordIsPassedOver) {
  Ring ring(4096);
  ring.run_to(2, 1000);
  const Lsn tail = ring.append({});
  const Lsn expected = ring.head();
  ring.append({.data_blocks = 20, .unmount = true}, tail);
  ring.flip(expected.block + 10, 100);
  const LogSummary summary = ring.read();
  EXPECT_EQ(summary.state, LogState::kDirty) << "the unmount record does not verify";
  EXPECT_EQ(summary.torn_records, 1u);
  expect_place(summary.head, expected);
}

TEST(LogReader, AWrongChecksumOnTheWayIsCounted) {
  Ring ring(4096);
  ring.run_to(2, 1000);
  const Lsn tail = ring.append({});
  const Lsn bad = ring.append({.data_blocks = 9}, tail);
  ring.append({}, tail);
  ring.flip(bad.block + 5, 17);
  const LogSummary summary = ring.read();
  EXPECT_EQ(summary.state, LogState::kDirty);
  EXPECT_EQ(summary.bad_checksums, 1u);
  EXPECT_EQ(summary.records, 3u);
  expect_place(summary.first_bad, bad);
}

TEST(LogReader, ABrokenWayIsDamage) {
  Ring ring(4096);
  ring.run_to(2, 1000);
  const Lsn tail = ring.append({});
  const Lsn bad = ring.append({.data_blocks = 9}, tail);
  ring.append({}, tail);
  ring.flip(bad.block, offsetof(LogRecordHeader, magicno));
  const LogSummary summary = ring.read();
  EXPECT_EQ(summary.state, LogState::kDamaged);
  expect_place(summary.first_bad, bad);
}

TEST(LogReader, AStaleRecordOnTheWayIsDamage) {
  // Records of ten blocks in a ring of whole records: what stood there a turn ago has the same shape.
  Ring ring(20000);
  for (int i = 0; i < 2000; ++i) ring.append({.data_blocks = 9});
  ASSERT_EQ(ring.head(), (Lsn{2, 0}));
  const std::vector<std::byte> stale = ring.blocks(500, 10);
  const Lsn tail = ring.append({.data_blocks = 9});
  for (int i = 1; i < 600; ++i) ring.append({.data_blocks = 9}, tail);
  EXPECT_EQ(ring.read().records, 600u);
  ring.put(500, stale);
  const LogSummary summary = ring.read();
  EXPECT_EQ(summary.state, LogState::kDamaged);
  expect_place(summary.first_bad, {2, 500});
}

TEST(LogReader, ATailThatIsNoRecordIsDamage) {
  Ring ring(4096);
  ring.run_to(2, 1000);
  const Lsn tail = ring.append({.data_blocks = 5});
  ring.append({}, Lsn{tail.cycle, tail.block + 2});
  EXPECT_EQ(ring.read().state, LogState::kDamaged);
}

TEST(LogReader, CyclesThatContradictEachOtherAreDamage) {
  Ring ring(4096);
  ring.run_to(9, 10);
  std::vector<std::byte> last = ring.blocks(4095, 1);
  mutable_view<be32>(MutableByteSpan(last)) = 3;
  ring.put(4095, last);
  const LogSummary summary = ring.read();
  EXPECT_EQ(summary.state, LogState::kDamaged);
  EXPECT_NE(summary.detail, "");
}

TEST(LogReader, AnotherUuidIsSaid) {
  Ring ring(4096);
  ring.append({.unmount = true});
  ring.uuid_.bytes[0] = 8;
  const LogSummary summary = ring.read();
  EXPECT_EQ(summary.state, LogState::kClean);
  EXPECT_FALSE(summary.uuid_matches);
}

TEST(LogReader, BlankHeadersAheadAreNoRecords) {
  Ring ring(4096);
  ring.run_to(2, 1000);
  ring.append({.unmount = true});
  for (std::uint32_t i = 0; i < 600; ++i) {
    std::vector<std::byte> block(kBasicBlockBytes);
    auto& header = mutable_view<LogRecordHeader>(MutableByteSpan(block));
    const std::uint32_t at = ring.head().block + i;
    header.magicno = LogRecordHeader::kMagic;
    header.cycle = 1;
    header.version = 2;
    header.lsn = Lsn{1, at}.encode();
    header.tail_lsn = Lsn{1, 3}.encode();
    header.fs_uuid = ring.uuid_;
    header.fmt = log_formats::kLinuxLittle;
    ring.put(at, block);
  }
  const LogSummary summary = ring.read();
  EXPECT_EQ(summary.state, LogState::kClean) << summary.detail;
  expect_place(summary.head, ring.head());
}

TEST(LogReader, WhatCannotBeReadIsUnreadable) {
  Ring ring(4096);
  ring.append({.unmount = true});
  FaultDevice device(ring.device(), 1);
  device.add_rule({.operation = FaultOperation::kRead, .offset_bytes = ring.byte_of(0), .length_bytes = 512});
  const LogSummary summary = read_log_summary(device, ring.place());
  EXPECT_EQ(summary.state, LogState::kUnreadable);
  EXPECT_NE(summary.detail, "");
}

TEST(LogReader, SurvivesAnyBytes) {
  std::mt19937 random(3);
  for (int i = 0; i < 100; ++i) {
    Ring ring(1024 + static_cast<std::uint32_t>(random()) % 3000);
    ring.run_to(1 + static_cast<std::uint32_t>(random()) % 3, static_cast<std::uint32_t>(random()) % 1000);
    const std::uint32_t damages = 1 + static_cast<std::uint32_t>(random()) % 20;
    for (std::uint32_t j = 0; j < damages; ++j)
      ring.flip(static_cast<std::uint32_t>(random()) % 1024,
                static_cast<std::uint32_t>(random()) % (j % 2 == 0 ? 64 : 512));
    const LogSummary summary = ring.read();
    EXPECT_NE(summary.state, LogState::kUnreadable);
  }
  for (const std::uint32_t blocks : {0u, 1u, 3u}) {
    Ring ring(4096);
    LogPlace place = ring.place();
    place.blocks = blocks;
    EXPECT_EQ(read_log_summary(ring.device(), place).state, LogState::kDamaged);
  }
}

}  // namespace
}  // namespace xdax::test

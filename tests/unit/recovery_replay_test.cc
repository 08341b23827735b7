// What replay must leave alone.
#include <gtest/gtest.h>

#include <algorithm>

#include "libfs/device/memory_device.h"
#include "libfs/format/superblock.h"
#include "libfs/recovery/replay.h"
#include "mkfs/format.h"
#include "mkfs/plan.h"

namespace xdax::test {
namespace {

template <class T>
LogRegion region_of(const T& value) {
  const ByteSpan bytes = std::as_bytes(std::span(&value, 1));
  return {bytes.begin(), bytes.end()};
}

class RecoveryReplay : public ::testing::Test {
 protected:
  RecoveryReplay() {
    mkfs::FormatRequest request;
    request.allow_tiny = true;
    const mkfs::Plan plan = mkfs::make_plan(request, mkfs::DeviceFacts::of(device_));
    mkfs::format_device(device_, plan, {});
    geometry_ = plan.geometry;
  }

  // New inodes in 8 blocks from `block` of group 0 on.
  [[nodiscard]] LogTransaction new_chunk(std::uint32_t block) const {
    IcreateLog item{};
    item.type = static_cast<std::uint16_t>(LogItemType::kIcreate);
    item.size = std::uint16_t{1};
    item.agbno = block;
    item.count = 64u;
    item.isize = geometry_.inode_bytes;
    item.length = 64u >> geometry_.inodes_per_block_log;
    item.gen = 7u;
    return {.tid = 1, .lsn = {.cycle = 1, .block = 10}, .items = {{LogItemType::kIcreate, {region_of(item)}}}};
  }
  // A buffer of one block is given up.
  [[nodiscard]] LogTransaction give_up(std::uint32_t block) const {
    struct {
      BufLogFormat format;
      le32 map[1];
    } item{};
    item.format.type = static_cast<std::uint16_t>(LogItemType::kBuffer);
    item.format.size = std::uint16_t{1};
    item.format.flags = buf_log_flags::kCancel;
    item.format.len = static_cast<std::uint16_t>(geometry_.block_bytes / kBasicBlockBytes);
    item.format.blkno = geometry_.byte_of(AgNumber(0), AgBlock(block)) / kBasicBlockBytes;
    item.format.map_size = 1u;
    return {.tid = 2, .lsn = {.cycle = 1, .block = 20}, .items = {{LogItemType::kBuffer, {region_of(item)}}}};
  }
  void replay(const std::vector<LogTransaction>& log) {
    Replay replay(device_, geometry_);
    for (const LogTransaction& each : log) replay.look_ahead(each);
    for (const LogTransaction& each : log) replay.apply(each);
  }
  [[nodiscard]] MutableByteSpan blocks(std::uint32_t first, std::uint32_t count) {
    return device_.bytes().subspan(static_cast<std::size_t>(geometry_.byte_of(AgNumber(0), AgBlock(first))),
                                   std::size_t{count} * geometry_.block_bytes);
  }

  MemoryDevice device_{{.size_bytes = 64ull << 20}};
  Geometry geometry_;
};

constexpr std::uint32_t kChunk = 200;

TEST_F(RecoveryReplay, NewInodesAreWritten) {
  const MutableByteSpan place = blocks(kChunk, 8);
  std::fill(place.begin(), place.end(), std::byte{'D'});
  replay({new_chunk(kChunk)});
  EXPECT_EQ(view<be16>(place), InodeCore::kMagic);
}

// The chunk was freed again, and its blocks are somebody's data by now.
TEST_F(RecoveryReplay, NewInodesThatWereFreedAgainAreNotWritten) {
  for (const std::uint32_t cancelled : {0u, 3u, 7u}) {
    const MutableByteSpan place = blocks(kChunk, 8);
    std::fill(place.begin(), place.end(), std::byte{'D'});
    replay({new_chunk(kChunk), give_up(kChunk + cancelled)});
    EXPECT_TRUE(std::all_of(place.begin(), place.end(), [](std::byte byte) { return byte == std::byte{'D'}; }))
        << "the buffer in block " << cancelled;
  }
}

TEST_F(RecoveryReplay, WhatIsGivenUpBesideAChunkDoesNotConcernIt) {
  const MutableByteSpan place = blocks(kChunk, 8);
  replay({new_chunk(kChunk), give_up(kChunk - 1), give_up(kChunk + 8)});
  EXPECT_EQ(view<be16>(place), InodeCore::kMagic);
}

}  // namespace
}  // namespace xdax::test

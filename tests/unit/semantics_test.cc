// Items of SEMANTICS.md that need no mapping, each with its number.
#include <gtest/gtest.h>

#include <algorithm>

#include "libfs/base/error.h"
#include "libfs/space/group.h"
#include "libfs/volume/filesystem.h"
#include "tests/support/written_volume.h"

namespace xdax::test {
namespace {

class Semantics : public ::testing::TestWithParam<VolumeCase> {
 protected:
  Semantics() : device_({.size_bytes = GetParam().size_bytes}) {
    const mkfs::Plan plan = mkfs::make_plan(format_request(GetParam()), mkfs::DeviceFacts::of(device_));
    mkfs::format_device(device_, plan, {});
    geometry_ = plan.geometry;
    filesystem_ = Filesystem::open(device_, {});
  }

  [[nodiscard]] std::vector<Extent> extents(InodeNumber ino) {
    return filesystem_->read([&](const Volume& volume) {
      std::vector<Extent> all;
      ExtentMap map = volume.extents(ino, Fork::kData);
      for (auto extent = map.next(FileBlock(0)); extent;
           extent = map.next(extent->file_block + extent->length_blocks)) {
        all.push_back(*extent);
      }
      return all;
    });
  }
  void write(InodeNumber ino, std::uint64_t offset, const std::string& text) {
    filesystem_->write(ino, offset, std::as_bytes(std::span(text)));
  }
  [[nodiscard]] std::string read(InodeNumber ino, std::uint64_t offset, std::size_t length) {
    std::string text(length, '?');
    text.resize(filesystem_->read(ino, offset, std::as_writable_bytes(std::span(text))));
    return text;
  }
  void finish() {
    filesystem_->close();
    EXPECT_EQ(WrittenVolume::problems_of(device_), "");
  }
  // Takes all space there is for files.
  void fill() {
    const InodeNumber ino = filesystem_->create(filesystem_->root(), "fill", {});
    std::uint64_t at = 0;
    for (std::uint64_t length = 16u << 20; length >= filesystem_->geometry().block_bytes;) {
      try {
        filesystem_->allocate(ino, at, length, FileWriter::Grow::kYes);
        at += length;
      } catch (const RefusalError& full) {
        ASSERT_EQ(full.cause(), Errc::kNoSpace);
        length /= 2;
      }
    }
  }

  MemoryDevice device_;
  Geometry geometry_;
  std::unique_ptr<Filesystem> filesystem_;
};

TEST_P(Semantics, Item03_OneBlockOfAPreallocatedExtentIsWritten) {
  const std::uint64_t block = filesystem_->geometry().block_bytes;
  const InodeNumber ino = filesystem_->create(filesystem_->root(), "file", {});
  filesystem_->allocate(ino, 0, 32 * block, FileWriter::Grow::kYes);
  ASSERT_EQ(extents(ino).size(), 1u);
  EXPECT_EQ(read(ino, 5 * block, 3), std::string(3, '\0'));
  ASSERT_EQ(extents(ino).size(), 1u) << "reading allocates and converts nothing";
  write(ino, 5 * block + 1, "x");
  const auto after = extents(ino);
  ASSERT_EQ(after.size(), 3u);
  EXPECT_TRUE(after[0].unwritten && after[0].length_blocks == 5);
  EXPECT_TRUE(!after[1].unwritten && after[1].file_block == FileBlock(5) && after[1].length_blocks == 1);
  EXPECT_TRUE(after[2].unwritten && after[2].file_block == FileBlock(6) && after[2].length_blocks == 26);
  EXPECT_EQ(read(ino, 5 * block, 3), std::string("\0x\0", 3));
  finish();
}

TEST_P(Semantics, Item09_ATailThatWasCutOffReadsZeroWhenItComesBack) {
  const std::uint64_t block = filesystem_->geometry().block_bytes;
  const InodeNumber ino = filesystem_->create(filesystem_->root(), "file", {});
  write(ino, 0, std::string(2 * block, 'd'));
  filesystem_->truncate(ino, block / 2);
  filesystem_->truncate(ino, 2 * block);
  EXPECT_EQ(read(ino, 0, 3 * block), std::string(block / 2, 'd') + std::string(2 * block - block / 2, '\0'));
  filesystem_->truncate(ino, 7);
  write(ino, 100, "z");
  EXPECT_EQ(read(ino, 0, 200), std::string(7, 'd') + std::string(93, '\0') + "z");
  finish();
}

// generic/274
TEST_P(Semantics, Item14_WritesIntoPreallocatedSpaceWorkWhenAllIsFull) {
  const std::uint64_t block = filesystem_->geometry().block_bytes;
  const InodeNumber ino = filesystem_->create(filesystem_->root(), "file", {});
  const std::uint64_t blocks = 1200;
  filesystem_->allocate(ino, 0, blocks * block, FileWriter::Grow::kYes);
  fill();
  // Every other block: each conversion splits an extent, and the map grows far beyond the inode.
  for (std::uint64_t i = 0; i < blocks; i += 2) ASSERT_NO_THROW(write(ino, i * block, std::string(block, 'w'))) << i;
  EXPECT_GT(extents(ino).size(), blocks - 10);
  EXPECT_EQ(read(ino, 2 * block, 1), "w");
  finish();
}

TEST_P(Semantics, Item15_AHoleCannotBeFilledWhenAllIsFull) {
  const std::uint64_t block = filesystem_->geometry().block_bytes;
  const InodeNumber ino = filesystem_->create(filesystem_->root(), "hole", {});
  filesystem_->truncate(ino, 100 * block);
  fill();
  try {
    write(ino, 50 * block, std::string(block, 'h'));
    ADD_FAILURE() << "the pool is not for holes";
  } catch (const RefusalError& full) {
    EXPECT_EQ(full.cause(), Errc::kNoSpace);
  }
  EXPECT_TRUE(extents(ino).empty());
  finish();
}

TEST_P(Semantics, Item16_TheLastBlockIsLegalAndNothingOverflows) {
  constexpr std::uint64_t kMost = 0x7fffffffffffffffull;
  const std::uint64_t block = filesystem_->geometry().block_bytes;
  const InodeNumber ino = filesystem_->create(filesystem_->root(), "file", {});
  filesystem_->truncate(ino, kMost);
  const std::uint64_t last = kMost / block * block;
  const std::string text(static_cast<std::size_t>(kMost - last), 'e');
  write(ino, last, text);
  auto all = extents(ino);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].file_block.value(), last / block);
  EXPECT_EQ(all[0].length_blocks, 1u);
  EXPECT_FALSE(all[0].unwritten);
  EXPECT_EQ(read(ino, last, text.size() + 10), text);
  for (const std::uint64_t length : {text.size() + 1, kMost}) {
    try {
      filesystem_->allocate(ino, last, length, FileWriter::Grow::kYes);
      ADD_FAILURE() << length;
    } catch (const RefusalError& big) {
      EXPECT_EQ(big.cause(), Errc::kTooBig);
    }
  }
  EXPECT_THROW(write(ino, kMost, "xx"), RefusalError);
  filesystem_->allocate(ino, last, text.size(), FileWriter::Grow::kYes);
  filesystem_->punch(ino, last, text.size());
  EXPECT_EQ(read(ino, last, 5), std::string(5, '\0'));
  finish();
}

// Space that is freed and not yet durable is there after a sync: whoever waits for it must not lose what it had begun.
TEST_P(Semantics, WaitingForSpaceThatIsBusyLosesNothing) {
  // Holes so large that what is held back for trees does not do for them.
  const std::uint64_t block = filesystem_->geometry().block_bytes;
  constexpr std::uint64_t kHoles = 60, kHoleBlocks = 70, kStep = kHoleBlocks + 1;
  const InodeNumber big = filesystem_->create(filesystem_->root(), "big", {});
  filesystem_->allocate(big, 0, 3 * kHoles * kStep * block, FileWriter::Grow::kYes);
  const auto holed = [&](const char* name) {
    const InodeNumber ino = filesystem_->create(filesystem_->root(), name, {});
    for (std::uint64_t i = 0; i < kHoles; ++i) write(ino, (i * kStep + kHoleBlocks) * block, std::string(block, 'k'));
    return ino;
  };
  const InodeNumber allocated = holed("allocated");
  const InodeNumber moved = holed("moved");
  fill();
  const InodeNumber filler = filesystem_->read([](const Volume& volume) { return volume.walk("/fill", Follow::kNo); });
  const std::uint64_t size =
      filesystem_->read([&](const Volume& volume) { return volume.inode(filler).core().size.get(); });
  filesystem_->truncate(filler, size - 5 * block);
  filesystem_->sync();
  filesystem_->unlink(filesystem_->root(), "big");
  // A few holes find space, then it ends until the checkpoint.
  filesystem_->allocate(allocated, 0, kHoles * kStep * block, FileWriter::Grow::kYes);
  std::uint64_t next = 0;
  for (const Extent& extent : extents(allocated)) {
    ASSERT_EQ(extent.file_block.value(), next) << "a hole was passed over";
    next += extent.length_blocks;
  }
  EXPECT_EQ(next, kHoles * kStep);
  filesystem_->insert(moved, 0, block);
  for (std::uint64_t i = 0; i < kHoles; ++i) EXPECT_EQ(read(moved, (i * kStep + kHoleBlocks + 1) * block, 1), "k") << i;
  finish();
}

// Space ends in the middle of a write whose last block would need another one for the map: what is written is whole,
// and no block is lost.
TEST_P(Semantics, AWriteThatFindsSpaceForAPartLeavesNothingHalfDone) {
  const std::uint64_t block = filesystem_->geometry().block_bytes;
  constexpr unsigned kFiles = 8;
  // As many extents as the inode holds but one, with a hole between every two.
  constexpr unsigned kExtents = 20;
  std::vector<InodeNumber> files;
  for (unsigned i = 0; i < kFiles; ++i) {
    files.push_back(filesystem_->create(filesystem_->root(), "part" + std::to_string(i), {}));
    for (unsigned k = 0; k < kExtents; ++k) {
      filesystem_->allocate(files.back(), 2 * k * block, block, FileWriter::Grow::kYes);
    }
  }
  fill();
  const InodeNumber filler = filesystem_->read([](const Volume& volume) { return volume.walk("/fill", Follow::kNo); });
  std::uint64_t size = filesystem_->read([&](const Volume& volume) { return volume.inode(filler).core().size.get(); });
  filesystem_->sync();
  const std::uint64_t kept_back = filesystem_->counters().free_blocks;
  for (unsigned spare = 0; spare < kFiles; ++spare) {
    size -= spare * block;
    filesystem_->truncate(filler, size);
    filesystem_->sync();
    const std::string text(2 * kExtents * block, 'p');
    EXPECT_THROW(write(files[spare], 0, text), RefusalError) << spare;
    EXPECT_GE(filesystem_->counters().free_blocks, kept_back) << "what is kept for conversions went to a hole";
    const std::string there = read(files[spare], 0, text.size());
    const auto end = there.find_first_not_of('p');
    EXPECT_EQ(end % block, 0u);
    EXPECT_TRUE(all_zero(std::as_bytes(std::span(there)).subspan(std::min(end, there.size()))));
    filesystem_->close();
    ASSERT_EQ(WrittenVolume::problems_of(device_), "") << spare;
    filesystem_ = Filesystem::open(device_, {});
  }
  finish();
}

// A list of unlinked inodes that leads to a file with a name must not cost the file.
TEST_P(Semantics, AFileWithANameIsNotFreedWhateverTheListsSay) {
  const InodeNumber ino = filesystem_->create(filesystem_->root(), "file", {});
  write(ino, 0, "kept");
  filesystem_->close();
  filesystem_.reset();
  {
    const auto journal = open_journal(device_, geometry_);
    Transaction transaction(*journal);
    Group group(transaction, geometry_.ag_of(ino));
    const AgInode own = geometry_.ag_inode_of(ino);
    group.change_agi().unlinked[own.value() % Agi::kUnlinkedBuckets] = own.value();
    transaction.commit();
    journal->close();
  }
  EXPECT_THROW((void)Filesystem::open(device_, {}), CorruptionError);
  const Volume volume = Volume::open(device_, {});
  std::string text(4, '?');
  EXPECT_EQ(volume.file(ino).read(0, std::as_writable_bytes(std::span(text))), 4u);
  EXPECT_EQ(text, "kept");
}

INSTANTIATE_TEST_SUITE_P(
    Geometries, Semantics,
    ::testing::Values(VolumeCase{.name = "4k"}, VolumeCase{.name = "1k", .block_bytes = 1024},
                      VolumeCase{.name = "1k_plain", .block_bytes = 1024, .rmapbt = false, .reflink = false}),
    [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace xdax::test

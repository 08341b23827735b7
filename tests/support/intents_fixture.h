// A filesystem with files of many extents and few, for tests of what its log announces.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "libfs/attr/attr_tree.h"
#include "libfs/base/crc32c.h"
#include "libfs/device/memory_device.h"
#include "libfs/format/da_hash.h"
#include "libfs/format/superblock.h"
#include "libfs/inode/fork_writer.h"
#include "libfs/recovery/recovery.h"
#include "libfs/volume/filesystem.h"
#include "tests/support/file_state.h"
#include "tests/support/made_intents.h"
#include "tests/support/written_volume.h"

namespace xdax::test {

inline ByteSpan bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

class RecoveryIntents : public ::testing::TestWithParam<VolumeCase> {
 protected:
  RecoveryIntents() : device_({.size_bytes = GetParam().size_bytes}) {
    const mkfs::Plan plan = mkfs::make_plan(format_request(GetParam()), mkfs::DeviceFacts::of(device_));
    mkfs::format_device(device_, plan, {});
    geometry_ = plan.geometry;
    log_attributes(true);
    block_ = geometry_.block_bytes;
    edit([&](Filesystem& filesystem) {
      comb_ = filesystem.create(filesystem.root(), "comb", {});
      for (std::uint64_t at = 0; at < kComb; at += 2) write(filesystem, comb_, at, 1, 'c');
      filesystem.allocate(comb_, kComb * block_, 40 * block_, FileWriter::Grow::kYes);
      solid_ = filesystem.create(filesystem.root(), "solid", {});
      write(filesystem, solid_, 0, 200, 's');
      filesystem.allocate(solid_, 200 * block_, 30 * block_, FileWriter::Grow::kYes);
      write(filesystem, solid_, 300, 50, 't');
      small_ = filesystem.create(filesystem.root(), "small", {});
      write(filesystem, small_, 1, 2, 'u');
      directory_ = filesystem.make_directory(filesystem.root(), "directory", {});
      named_ = filesystem.create(directory_, "named", {});
      filesystem.set_attribute(named_, AttrNamespace::kUser, "old", bytes_of("value"));
    });
  }

  static constexpr std::uint64_t kComb = 900;

  // Whether the log may announce changes of attributes that are no parent pointers.
  void log_attributes(bool may) {
    std::vector<std::byte> sector(geometry_.sector_bytes);
    device_.read(0, sector);
    mutable_view<Superblock>(sector).features_log_incompat = may ? log_incompat_bits::kXattrs : 0;
    seal(sector, offsetof(Superblock, crc));
    device_.write(0, sector);
    geometry_ = Geometry(view<Superblock>(sector));
  }

  void edit(const std::function<void(Filesystem&)>& work) {
    const auto filesystem =
        Filesystem::open(device_, {.clock = [] { return Timestamp{.seconds = 1'700'000'000, .nanoseconds = 5}; },
                                   .generation = [this] { return ++generation_; }});
    work(*filesystem);
    filesystem->close();
  }
  // Every block says where it was written.
  void write(Filesystem& filesystem, InodeNumber ino, std::uint64_t at, std::uint64_t blocks, char letter) const {
    std::string bytes;
    for (std::uint64_t i = at; i < at + blocks; ++i) {
      std::string block = fmt::format("{}{}", letter, i);
      block.resize(block_, letter);
      bytes += block;
    }
    filesystem.write(ino, at * block_, bytes_of(bytes));
  }

  [[nodiscard]] Volume volume() { return Volume::over(device_, geometry_); }
  [[nodiscard]] std::uint32_t generation(InodeNumber ino) { return volume().inode(ino).core().gen; }
  [[nodiscard]] std::string content(InodeNumber ino) { return content_of(volume(), ino); }
  [[nodiscard]] std::string state(InodeNumber ino) { return state_of(volume(), ino); }

  /// Announces, and recovers from a crash right behind it. The checker may find what the change left on purpose.
  RecoveryReport finish(const std::vector<LogItem>& intents, const std::function<void(Transaction&)>& change = {},
                        std::string_view tolerated = {}) {
    announce(device_, geometry_, intents, change);
    EXPECT_EQ(read_log_summary(device_, LogPlace::of(geometry_)).state, LogState::kDirty);
    RecoveryReport report = recover(device_, geometry_);
    EXPECT_TRUE(report.complete());
    EXPECT_TRUE(report.finished.has_value());
    EXPECT_EQ(report.finished->intents.size(), intents.size());
    EXPECT_EQ(read_log_summary(device_, LogPlace::of(geometry_)).state, LogState::kClean);
    const std::string problems = WrittenVolume::problems_of(device_);
    const bool one_tolerated = !tolerated.empty() && problems.starts_with(tolerated) &&
                               std::count(problems.begin(), problems.end(), '\n') == 1;
    EXPECT_TRUE(problems.empty() || one_tolerated) << problems;
    return report;
  }

  [[nodiscard]] MadeXmi between(InodeNumber one, InodeNumber other) {
    return {.one = one, .other = other, .generation = generation(one), .other_generation = generation(other)};
  }
  [[nodiscard]] MadeAttri parent_change(std::uint32_t op, InodeNumber ino, const std::string& name) {
    return {.op = op,
            .ino = ino,
            .name = name,
            .value = pointer_to(directory_, generation(directory_)),
            .filter = attr_flags::kParent,
            .generation = generation(ino)};
  }
  // As a crash leaves an attribute whose value was being written, or taken away.
  void make_unfinished(Transaction& transaction, InodeNumber ino, const std::string& name, bool forgotten) const {
    const InodeEdit inode(transaction, ino);
    ForkWriter fork(inode, Fork::kAttr);
    AttrTree tree(fork);
    auto place = tree.find({.space = 0, .name = name, .parent = {}, .hash = name_hash(name)});
    ASSERT_TRUE(place.has_value());
    AttrEntry& entry = place->content.items[place->index].entry;
    entry.flags |= attr_flags::kIncomplete;
    if (forgotten) entry.remote_block = entry.value_bytes = 0;
    tree.store(std::move(*place));
  }

  MemoryDevice device_;
  Geometry geometry_;
  std::uint64_t block_ = 0;
  InodeNumber comb_, solid_, small_, directory_, named_;
  std::uint32_t generation_ = 70;
};

}  // namespace xdax::test

// Power cuts under a filesystem that is being changed: after a replay it is sound, what was synced is there, and
// nothing that lay on the device before is readable.
#include <gtest/gtest.h>

#include <cstdlib>

#include "libfs/device/fault_device.h"
#include "libfs/device/overlay_device.h"
#include "libfs/device/recording_device.h"
#include "libfs/recovery/recovery.h"
#include "libfs/space/free_space.h"
#include "tests/support/filesystem_model.h"
#include "tests/support/written_volume.h"

namespace xdax::test {
namespace {

constexpr std::byte kStale{0xe7};

// How many power cuts each case has at least: XDAX_CRASH_STATES in the environment, or so many that all cases together
// have 20,000.
std::uint64_t states_wanted() {
  const char* text = std::getenv("XDAX_CRASH_STATES");
  return text == nullptr ? 2'500 : std::max<std::uint64_t>(1, std::strtoull(text, nullptr, 10));
}

class FilesystemCrash : public ::testing::TestWithParam<VolumeCase> {
 protected:
  FilesystemCrash() : device_({.size_bytes = GetParam().size_bytes}) {
    const mkfs::Plan plan = mkfs::make_plan(format_request(GetParam()), mkfs::DeviceFacts::of(device_));
    mkfs::format_device(device_, plan, {});
    geometry_ = plan.geometry;
    // What a file must never show: every free block is full of it.
    const auto journal = open_journal(device_, geometry_);
    Transaction transaction(*journal);
    for (std::uint32_t i = 0; i < geometry_.ag_count; ++i) {
      Group group(transaction, AgNumber(i));
      TypedTree<FreeRecord> tree(group, BtreeKind::kBno);
      for (bool more = tree.find_first(); more; more = tree.next()) {
        const auto bytes = device_.bytes().subspan(
            geometry_.byte_of(AgNumber(i), AgBlock(tree.record().startblock)),
            std::min<std::size_t>(std::size_t{tree.record().blockcount} << geometry_.block_log, 16u << 20));
        std::fill(bytes.begin(), bytes.end(), kStale);
      }
    }
  }

  static FilesystemOptions options() {
    return {.clock = [] { return Timestamp{.seconds = 1'700'000'000, .nanoseconds = 1}; },
            .generation = [next = 0u]() mutable { return ++next; }};
  }

  // Everything readable, file by file: no run of stale bytes, which the workload never writes.
  static std::string stale_file(const Volume& volume, InodeNumber folder) {
    for (const DirItem& item : volume.directory(folder).list()) {
      const FileType type = volume.inode(item.ino).type();
      if (type == FileType::kDirectory) {
        const std::string below = stale_file(volume, item.ino);
        if (!below.empty()) return below;
      }
      if (type != FileType::kRegular) continue;
      FileReader file = volume.file(item.ino);
      std::vector<std::byte> bytes(static_cast<std::size_t>(file.size_bytes()));
      (void)file.read(0, bytes);
      std::size_t run = 0;
      for (const std::byte byte : bytes) {
        run = byte == kStale ? run + 1 : 0;
        if (run == 32) return item.name;
      }
    }
    return "";
  }

  MemoryDevice device_;
  Geometry geometry_;
};

TEST_P(FilesystemCrash, WhatWasSyncedIsThereAndNothingStaleEver) {
  const auto before = MemoryDevice::copy_of(device_.bytes());
  RecordingDevice recorder(device_);
  auto filesystem = Filesystem::open(recorder, options());
  RandomWork work(*filesystem, 11);
  work.max_file_bytes = 60'000;
  // A name that is not touched again after its sync, with what was synced.
  struct Synced {
    std::size_t events = 0;
    std::string name, content;
  };
  std::vector<Synced> synced;
  const InodeNumber kept = filesystem->make_directory(filesystem->root(), "kept", {.mode = 0755});
  for (int round = 0; round < 12; ++round) {
    for (int i = 0; i < 25; ++i) work.step();
    const std::string name = "round" + std::to_string(round);
    const std::string content(3000 + static_cast<std::size_t>(round) * 700, static_cast<char>('a' + round));
    const InodeNumber ino = filesystem->create(kept, name, {});
    filesystem->write(ino, 0, std::as_bytes(std::span(content)));
    filesystem->sync();
    synced.push_back({.events = recorder.event_count(), .name = name, .content = content});
  }
  filesystem->close();
  const Trace trace = recorder.take_trace();

  std::uint64_t states = 0;
  std::uint64_t replayed = 0;
  const std::size_t cuts = trace.events().size();
  const std::uint64_t at_each = states_wanted() / cuts + 1;
  for (std::size_t cut = 1; cut <= cuts; ++cut) {
    // Of what a model of the device's cache can lose, and of what chance can; where few are wanted, a few of each
    // place.
    std::vector<CrashState> outcomes = trace.subsets(cut, 1 + at_each / 4);
    for (CrashState& torn : trace.torn(cut, 1 + at_each / 8)) outcomes.push_back(std::move(torn));
    for (std::uint64_t seed = 0; outcomes.size() < std::max<std::uint64_t>(at_each, 11); ++seed) {
      outcomes.push_back(trace.random_state(cut, seed));
    }
    for (std::uint64_t k = 0; k < at_each; ++k) {
      const std::size_t i = (cut + k * outcomes.size() / at_each) % outcomes.size();
      SCOPED_TRACE(fmt::format("cut {}: {}", cut, outcomes[i].describe()));
      OverlayDevice image(*before);
      trace.build(outcomes[i], image);
      const RecoveryReport report = recover(image, geometry_);
      ASSERT_TRUE(report.complete());
      replayed += report.log.state == LogState::kDirty ? 1 : 0;
      const Volume volume = Volume::open(image, {});
      ASSERT_EQ(WrittenVolume::problems_of(image), "");
      ASSERT_EQ(stale_file(volume, volume.root()), "");
      for (const Synced& each : synced) {
        if (each.events > cut) break;
        const InodeNumber ino = volume.walk("/kept/" + each.name, Follow::kNo);
        std::string content(each.content.size() + 1, '\0');
        FileReader file = volume.file(ino);
        const std::size_t count = file.read(0, std::as_writable_bytes(std::span(content)));
        ASSERT_EQ(content.substr(0, count), each.content) << each.name;
      }
      ++states;
    }
  }
  RecordProperty("states", static_cast<int>(states));
  EXPECT_GE(states, states_wanted());
  EXPECT_GT(replayed, states / 4);
}

// An error of the device at each call in turn: the operation fails or not, and the filesystem goes on.
TEST_P(FilesystemCrash, EveryFailedCallLeavesASoundFilesystem) {
  std::uint64_t failed = 0;
  for (std::uint64_t skip = 0; skip < 60; ++skip) {
    for (const FaultOperation operation : {FaultOperation::kRead, FaultOperation::kWrite, FaultOperation::kPersist}) {
      SCOPED_TRACE(fmt::format("call {} of kind {}", skip, static_cast<int>(operation)));
      OverlayDevice image(device_);
      FaultDevice faulty(image, 1);
      const auto filesystem = Filesystem::open(faulty, options());
      (void)filesystem->create(filesystem->root(), "first", {});
      filesystem->sync();
      faulty.add_rule({.operation = operation, .skip = skip, .count = 1});
      for (int i = 0; i < 30; ++i) {
        const std::string name = "f" + std::to_string(i);
        try {
          const InodeNumber ino = filesystem->create(filesystem->root(), name, {});
          const std::string text(5000, 'q');
          filesystem->write(ino, 0, std::as_bytes(std::span(text)));
          if (i % 3 == 0) filesystem->sync();
          if (i % 4 == 3) filesystem->unlink(filesystem->root(), name);
          if (i % 5 == 4) filesystem->truncate(ino, 100);
        } catch (const IoError&) {
          ++failed;
        } catch (const RefusalError& refusal) {
          // A file that was taken away above.
          ASSERT_EQ(refusal.cause(), Errc::kNotFound);
        }
      }
      faulty.clear_rules();
      (void)filesystem->create(filesystem->root(), "last", {});
      filesystem->close();
      ASSERT_EQ(WrittenVolume::problems_of(image), "");
      const Volume volume = Volume::open(image, {});
      (void)volume.walk("/last", Follow::kNo);
    }
  }
  EXPECT_GT(failed, 60u);
}

INSTANTIATE_TEST_SUITE_P(
    Geometries, FilesystemCrash,
    ::testing::Values(
        VolumeCase{.name = "4k", .size_bytes = 64u << 20},
        VolumeCase{.name = "1k", .block_bytes = 1024, .size_bytes = 64u << 20},
        VolumeCase{.name = "1k_plain", .block_bytes = 1024, .rmapbt = false, .reflink = false, .size_bytes = 64u << 20},
        VolumeCase{.name = "4k_parent", .parent = true, .size_bytes = 64u << 20},
        VolumeCase{.name = "2k_inodes", .size_bytes = 64u << 20, .inode_bytes = 2048},
        VolumeCase{.name = "16k", .block_bytes = 16384, .size_bytes = 256u << 20, .ag_count = 2},
        VolumeCase{.name = "dir_8k",
                   .block_bytes = 1024,
                   .size_bytes = 64u << 20,
                   .more = [](mkfs::FormatRequest& request) { request.directory_block_bytes = 8192; }},
        VolumeCase{.name = "log_stripe",
                   .size_bytes = 64u << 20,
                   .more = [](mkfs::FormatRequest& request) { request.log_stripe_bytes = 32u << 10; }}),
    [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace xdax::test

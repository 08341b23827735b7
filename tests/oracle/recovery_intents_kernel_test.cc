// Changes of attributes and exchanges of ranges that a log announces: finished by us and, on a copy, by the kernel's
// mount, with the same outcome. Made by hand, so that every operation and every way to be wrong occurs, and left by a
// kernel that was shut down in the middle of work.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <sstream>
#include <thread>

#include "libfs/base/error.h"
#include "libfs/device/overlay_device.h"
#include "libfs/device/recording_device.h"
#include "libfs/dir/directory_writer.h"
#include "tests/oracle/recovery_compare.h"
#include "tests/oracle/recovery_work.h"
#include "tests/support/intents_fixture.h"
#include "tests/support/loop_device.h"
#include "tests/support/mount.h"
#include "tests/support/oracle.h"

namespace xdax::test {
namespace {

using namespace attr_intent_ops;
using namespace exchange_flags;

// Whether a mount finishes what the log announces.
bool mounts(const std::filesystem::path& image) {
  const LoopDevice loop(image);
  try {
    Mount mount(loop.path());
    mount.unmount();
    return true;
  } catch (const std::runtime_error&) {
    return false;
  }
}

// The kernel of these machines frees what lies behind the end that a file had before its recovery, though the exchange
// gave it a later one; not of files that somebody preallocated blocks for.
void keep_blocks_behind_the_end(const InodeEdit& inode) {
  inode.change_core().flags = static_cast<std::uint16_t>(inode.core().flags | inode_flags::kPrealloc);
}

class RecoveryIntentsKernel : public RecoveryIntents {
 protected:
  void SetUp() override { XDAX_NEED_KERNEL_XFS(); }

  // Only what is not zero: most of it is.
  [[nodiscard]] std::filesystem::path image_of(MemoryDevice& device) const {
    constexpr std::size_t kPieceBytes = 64u << 10;
    const auto image = dir_.path() / "image";
    std::filesystem::remove(image);
    make_sparse_file(image, device.size_bytes());
    const auto file = open_device(image.string(), {.mode = OpenMode::kReadWrite});
    const ByteSpan bytes = device.bytes();
    for (std::size_t at = 0; at < bytes.size(); at += kPieceBytes) {
      const ByteSpan piece = bytes.subspan(at, kPieceBytes);
      if (std::any_of(piece.begin(), piece.end(), [](std::byte byte) { return byte != std::byte{0}; })) {
        file->write(at, piece);
      }
    }
    return image;
  }

  void expect_same(const std::string& what, bool finished, const std::vector<LogItem>& intents,
                   const std::function<void(Transaction&)>& change = {}) {
    SCOPED_TRACE(what);
    const auto crashed = MemoryDevice::copy_of(device_.bytes());
    announce(*crashed, geometry_, intents, change);
    const auto image = image_of(*crashed);
    bool ours = true;
    try {
      EXPECT_TRUE(recover(*crashed, geometry_).complete());
    } catch (const CorruptionError& error) {
      ours = false;
    }
    EXPECT_EQ(ours, finished);
    EXPECT_EQ(mounts(image), finished) << "the kernel";
    if (!finished || HasFailure()) return;
    const auto theirs = open_device(image.string(), {.mode = OpenMode::kRead});
    EXPECT_EQ(states_of(*crashed), states_of(*theirs));
    EXPECT_EQ(WrittenVolume::problems_of(*crashed), WrittenVolume::problems_of(*theirs));
  }

  TempDir dir_{memory_temp_parent()};
};

TEST_P(RecoveryIntentsKernel, ChangesOfAttributes) {
  const std::string large(60'000, 'L');
  const std::pair<std::string, std::string> values[] = {{"old", "again"}, {"old", large}, {"new", "v"},
                                                        {"new", ""},      {"new", large}, {std::string(255, 'n'), "v"}};
  for (const auto& [name, value] : values) {
    for (const std::uint32_t filter : {std::uint32_t{0}, std::uint32_t{attr_flags::kRoot}}) {
      expect_same(
          fmt::format("{} {}", short_text(name), filter), true,
          {attri(
              {.op = filter == 0 ? kSet : kReplace, .ino = named_, .name = name, .value = value, .filter = filter})});
    }
  }
  for (const InodeNumber ino : {named_, small_}) {
    for (const char* const name : {"old", "new"}) {
      expect_same(name, true, {attri({.op = kRemove, .ino = ino, .name = name})});
    }
  }
  log_attributes(false);
  expect_same("not to be logged", false, {attri({.op = kSet, .ino = named_, .name = "new", .value = "v"})});
  expect_same("nor that", false, {attri({.op = kRemove, .ino = named_, .name = "old"})});
}

TEST_P(RecoveryIntentsKernel, UnfinishedAttributes) {
  const std::string large(20'000, 'L');
  edit([&](Filesystem& filesystem) {
    for (const char* const name : {"old", "other"})
      filesystem.set_attribute(named_, AttrNamespace::kUser, name, bytes_of(large));
  });
  for (const bool forgotten : {false, true}) {
    for (const std::uint32_t op : {kSet, kReplace, kRemove}) {
      expect_same(fmt::format("{} {}", op, forgotten), true,
                  {attri({.op = op, .ino = named_, .name = "old", .value = op == kRemove ? "" : "short"})},
                  [&](Transaction& transaction) {
                    make_unfinished(transaction, named_, "old", forgotten);
                    if (op != kReplace) make_unfinished(transaction, named_, "other", forgotten);
                  });
    }
  }
}

TEST_P(RecoveryIntentsKernel, ChangesOfParentPointers) {
  const std::string longest(255, 'n');
  MadeAttri moved = parent_change(kParentReplace, named_, "named");
  moved.new_name = longest;
  moved.new_value = moved.value;
  if (!GetParam().parent) return expect_same("where there are none", false, {attri(moved)});
  const auto rename = [&](Transaction& transaction) {
    DirectoryWriter directory(transaction, directory_);
    directory.remove("named");
    directory.add({.name = longest, .ino = named_, .type = DirFileType::kRegular});
  };
  expect_same("replaced", true, {attri(moved)}, rename);
  MadeAttri there = moved;
  there.new_name = "there";
  std::swap(there.name, there.new_name);
  expect_same("done before", true, {attri(there)});
  expect_same("set again", true, {attri(parent_change(kParentSet, named_, "named"))});
  expect_same("set", true, {attri(parent_change(kParentSet, named_, longest))}, [&](Transaction& transaction) {
    DirectoryWriter(transaction, directory_).add({.name = longest, .ino = named_, .type = DirFileType::kRegular});
    InodeEdit(transaction, named_).change_core().nlink = 2u;
  });
  expect_same("removed", true, {attri(parent_change(kParentRemove, named_, longest))});
  ++moved.generation;
  expect_same("another generation", false, {attri(moved)});
  --moved.generation;
  moved.new_value = moved.value = "eleven byte";
  expect_same("another length", false, {attri(moved)});
  moved = parent_change(kParentReplace, named_, "a/b");
  moved.new_name = longest;
  moved.new_value = moved.value;
  expect_same("a slash", false, {attri(moved)});
  moved.name = "named";
  moved.new_value = pointer_to(InodeNumber(~0ull), 1);
  expect_same("no inode", false, {attri(moved)});
}

TEST_P(RecoveryIntentsKernel, Exchanges) {
  const auto sizes = [&](MadeXmi made) {
    made.blocks = kComb + 40;
    made.flags |= kSetSizes;
    made.size = content(made.other).size();
    made.other_size = content(made.one).size();
    return made;
  };
  expect_same("all", true, {xmi(sizes(between(comb_, solid_)))});
  expect_same("all, the other way", true, {xmi(sizes(between(solid_, comb_)))});
  MadeXmi made = between(comb_, solid_);
  made.at = 3;
  made.other_at = 195;
  made.blocks = 150;
  expect_same("a part", true, {xmi(made)});
  made.flags = kInode1Written;
  expect_same("what is written", true, {xmi(made)});
  MadeXmi same = between(comb_, comb_);
  same.other_at = 400;
  same.blocks = 400;
  expect_same("one file", true, {xmi(same)});
  if (GetParam().reflink) {
    for (const std::uint64_t flags : {std::uint64_t{0}, kClearReflink1, kClearReflink2}) {
      made = sizes(between(comb_, small_));
      made.flags |= flags;
      expect_same(fmt::format("marks {}", flags), true, {xmi(made)}, [&](Transaction& transaction) {
        for (const InodeNumber ino : {comb_, small_}) {
          const InodeEdit inode(transaction, ino);
          inode.change_core().flags2 = inode.core().flags2 | inode_flags2::kReflink;
          keep_blocks_behind_the_end(inode);
        }
      });
    }
  }
}

TEST_P(RecoveryIntentsKernel, ExchangesThatCannotBe) {
  MadeXmi made = between(comb_, solid_);
  ++made.generation;
  expect_same("another generation", false, {xmi(made)});
  made = between(comb_, solid_);
  ++made.other_generation;
  expect_same("another's", false, {xmi(made)});
  made = between(comb_, solid_);
  made.other = InodeNumber(solid_.value() + 20);
  expect_same("an inode that is not in use", false, {xmi(made)});
}

// Our own records: for a mount a log like any other. It runs each intent a step and then the next, and breaks when two
// change the attributes of one inode; a kernel never announces that.
TEST_P(RecoveryIntentsKernel, WhatWasCutShortAMountFinishes) {
  edit([&](Filesystem& filesystem) {
    filesystem.set_attribute(small_, AttrNamespace::kUser, "old", bytes_of("value"));
  });
  MadeXmi made = between(comb_, solid_);
  made.blocks = kComb + 40;
  made.flags = kSetSizes;
  made.size = content(solid_).size();
  made.other_size = content(comb_).size();
  announce(device_, geometry_,
           {attri({.op = kSet, .ino = named_, .name = "large", .value = std::string(60'000, 'L')}), xmi(made),
            attri({.op = kRemove, .ino = small_, .name = "old"})});
  OverlayDevice whole(static_cast<Device&>(device_));
  RecordingDevice recorder(static_cast<Device&>(whole));
  EXPECT_TRUE(recover(recorder, geometry_, {.checkpoint_log_blocks = 100}).complete());
  const std::string expected = states_of(whole);
  const Trace trace = recorder.take_trace();
  const std::size_t events = trace.events().size();
  unsigned parts = 0;
  for (std::size_t cut = 0; cut <= events; ++cut) {
    SCOPED_TRACE(fmt::format("after {} of {} events", cut, events));
    const auto crashed = MemoryDevice::copy_of(device_.bytes());
    trace.build(trace.prefix(cut), *crashed);
    OverlayDevice replayed(static_cast<Device&>(*crashed));
    const std::vector<LogItem> left = replay_log(replayed, geometry_).unfinished;
    const bool part = std::any_of(left.begin(), left.end(), [](const LogItem& item) {
      return item.type == LogItemType::kXmi && view<XmiLogFormat>(item.regions[0]).startoff1 != 0;
    });
    if (part) ++parts;
    if (cut % 10 != 0 && (!part || parts > 3)) continue;
    const auto image = image_of(*crashed);
    EXPECT_TRUE(mounts(image));
    const auto theirs = open_device(image.string(), {.mode = OpenMode::kRead});
    EXPECT_EQ(states_of(*theirs), expected);
    EXPECT_EQ(WrittenVolume::problems_of(*theirs), "");
  }
  EXPECT_GT(parts, 0u) << "of the exchange was left";
}

INSTANTIATE_TEST_SUITE_P(
    Volumes, RecoveryIntentsKernel,
    ::testing::Values(
        VolumeCase{.name = "b4k", .size_bytes = 64u << 20, .exchange = true},
        VolumeCase{.name = "parent", .block_bytes = 1024, .parent = true, .size_bytes = 64u << 20, .exchange = true}),
    [](const auto& instance) { return instance.param.name; });

// What a kernel does to names and files until it is shut down.
constexpr std::uint64_t kUnit = 4096;
constexpr std::uint64_t kUnits = 800;
constexpr unsigned kPairs = 4;
constexpr unsigned kLinks = 300;
constexpr unsigned kNamers = 3;

// Of the last pairs the second is longer. They are exchanged as wholes, so that each file must have its own content or
// the other's; what a mount makes of their sizes is not right (finish_exchange.h).
bool uneven(unsigned pair) { return pair >= kPairs / 2; }
std::uint64_t units_of(unsigned pair, bool second) { return kUnits + (second && uneven(pair) ? 100 : 0); }

std::filesystem::path half(const std::filesystem::path& root, unsigned pair, bool second) {
  return root / fmt::format("{}{}{}", uneven(pair) ? "uneven" : "even", pair, second ? "b" : "a");
}

std::filesystem::path link(const std::filesystem::path& root, unsigned i, unsigned turn) {
  return root / (turn % 2 == 0 ? "one" : "other") / fmt::format("{}{}", std::string(40 + turn % 3 * 60, 'l'), i);
}

// Files of many extents, whose holes do not lie in the same places. They are preallocated first, because of what
// keep_blocks_behind_the_end() says.
void make_base(const std::filesystem::path& image) {
  run_or_throw({program_path("mkfs.xdax"), "-q", "-n", "parent=1", "-i", "exchange=1", image.string()});
  const LoopDevice loop(image);
  Mount mount(loop.path());
  for (unsigned pair = 0; pair < kPairs; ++pair) {
    for (const bool second : {false, true}) {
      const FileHandle file(half(mount.path(), pair, second));
      const std::uint64_t units = units_of(pair, second);
      file.allocate(0, 0, units * kUnit);
      file.write(0, std::string(units * kUnit, static_cast<char>((second ? 'A' : 'a') + pair)));
      if (::fsync(file.fd()) != 0) throw std::system_error(errno, std::generic_category(), "fsync");
      for (std::uint64_t at = 1; at < units; at += second ? 3 : 2)
        file.allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at * kUnit, kUnit);
    }
  }
  for (const char* const name : {"one", "other"}) {
    std::filesystem::create_directory(mount.path() / name);
    for (unsigned i = 0; i < 30; ++i) write_file(mount.path() / name / fmt::format("file{}", i), "x");
    for (unsigned i = 0; i < 5; ++i) std::filesystem::create_directory(mount.path() / name / fmt::format("sub{}", i));
  }
  // So many names that the changes of its parent pointers take longer.
  write_file(mount.path() / "many", "x");
  for (unsigned i = 0; i < kLinks; ++i)
    std::filesystem::create_hard_link(mount.path() / "many", link(mount.path(), i, 0));
  mount.unmount();
}

class Storm {
 public:
  Storm(std::filesystem::path root, unsigned seed) : root_(std::move(root)) {
    for (unsigned i = 0; i < kNamers; ++i) threads_.emplace_back([this, i] { links(i); });
    threads_.emplace_back([this, seed] { names(seed); });
    threads_.emplace_back([this, seed] { exchanges(seed); });
  }
  ~Storm() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }
  Storm(const Storm&) = delete;
  Storm& operator=(const Storm&) = delete;

 private:
  // Short names and names that no inode holds.
  static std::string name(std::mt19937& random) {
    const unsigned number = static_cast<unsigned>(random() % 30);
    return number % 3 == 0 ? fmt::format("file{}", number)
                           : fmt::format("file{}{}", number, std::string(random() % 200, 'n'));
  }
  void names(unsigned seed) {
    std::mt19937 random(seed);
    const auto directory = [&] { return root_ / (random() % 2 == 0 ? "one" : "other"); };
    std::error_code ignored;
    while (!stop_) {
      const auto from = directory() / name(random);
      const auto to = directory() / name(random);
      switch (random() % 6) {
        case 0:
          std::filesystem::create_hard_link(from, to, ignored);
          break;
        case 1:
          std::filesystem::remove(from, ignored);
          ::close(::open(to.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
          break;
        case 2:
          ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE);
          break;
        case 3: {
          const auto sub = fmt::format("sub{}", random() % 5);
          std::filesystem::rename(directory() / sub, directory() / sub, ignored);
          break;
        }
        default:
          std::filesystem::rename(from, to, ignored);
          break;
      }
    }
  }
  // Every name goes to and fro, longer and shorter; now and then it is made anew.
  void links(unsigned thread) {
    std::error_code ignored;
    for (unsigned turn = 0; !stop_; ++turn) {
      for (unsigned i = thread; i < kLinks && !stop_; i += kNamers) {
        if ((i + turn) % 5 != 0) {
          std::filesystem::rename(link(root_, i, turn), link(root_, i, turn + 1), ignored);
          continue;
        }
        std::filesystem::remove(link(root_, i, turn), ignored);
        std::filesystem::create_hard_link(root_ / "many", link(root_, i, turn + 1), ignored);
      }
    }
  }
  void exchanges(unsigned seed) {
    struct Request {
      std::int32_t other_descriptor;
      std::uint32_t pad;
      std::uint64_t other_offset, offset, length, flags;
    };
    constexpr std::uint64_t kToTheEnd = 1;
    std::mt19937 random(seed);
    while (!stop_) {
      const unsigned pair = static_cast<unsigned>(random() % kPairs);
      const int first = ::open(half(root_, pair, false).c_str(), O_RDWR | O_CLOEXEC);
      const int second = ::open(half(root_, pair, true).c_str(), O_RDWR | O_CLOEXEC);
      Request request{.other_descriptor = first, .pad = 0, .other_offset = 0, .offset = 0, .length = 0, .flags = 0};
      if (uneven(pair) || random() % 2 == 0) {
        request.flags = kToTheEnd;
      } else {
        request.other_offset = (random() % 200) * kUnit;
        request.offset = (random() % 200) * kUnit;
        request.length = 500 * kUnit;
      }
      if (::ioctl(second, _IOW('X', 129, Request), &request) != 0) stop_ = stop_ || errno != EIO;
      ::close(first);
      ::close(second);
    }
  }

  std::filesystem::path root_;
  std::atomic<bool> stop_ = false;
  std::vector<std::thread> threads_;
};

void shut_down_in_storm(const std::filesystem::path& image, unsigned seed) {
  const LoopDevice loop(image);
  Mount mount(loop.path());
  {
    const int root = ::open(mount.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const Storm storm(mount.path(), seed);
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + seed * 37 % 100));
    __u32 flags = 1;  // the log is flushed first
    const int status = ::ioctl(root, _IOR('X', 125, __u32), &flags);
    ::close(root);
    if (status != 0) throw std::system_error(errno, std::generic_category(), "shut down");
  }
  mount.unmount();
}

// What all but uneven pairs hold.
std::string states_of_even(const std::filesystem::path& image) {
  std::istringstream states(states_of(*open_device(image.string(), {.mode = OpenMode::kRead})));
  std::string kept;
  for (std::string line; std::getline(states, line);) {
    if (!line.starts_with("/uneven")) kept += line + "\n";
  }
  return kept;
}

// The contents of the uneven pairs, the smaller of each first.
std::vector<std::string> uneven_contents(const std::filesystem::path& image) {
  const auto device = open_device(image.string(), {.mode = OpenMode::kRead});
  const Volume volume = Volume::open(*device, {});
  std::vector<std::string> contents;
  for (unsigned pair = kPairs / 2; pair < kPairs; ++pair) {
    std::string halves[2];
    for (const bool second : {false, true}) {
      halves[second] = short_text(content_of(volume, volume.walk(half("", pair, second).string(), Follow::kNo)));
    }
    std::sort(std::begin(halves), std::end(halves));
    contents.insert(contents.end(), std::begin(halves), std::end(halves));
  }
  return contents;
}

TEST(RecoveryIntentsStorm, FinishesWhatAMountFinishes) {
  XDAX_NEED_KERNEL_XFS();
  const TempDir dir(memory_temp_parent());
  const auto base = dir.sparse_file("base", 320ull << 20);
  const auto image = dir.path() / "image";
  const auto theirs = dir.path() / "theirs";
  make_base(base);
  std::map<LogItemType, unsigned> kinds;
  for (unsigned seed = 1; seed <= 30; ++seed) {
    const bool seen = kinds[LogItemType::kAttri] > 0 && kinds[LogItemType::kXmi] > 0;
    if (HasFailure() || (seed > 5 && seen)) break;
    SCOPED_TRACE(seed);
    run_or_throw({"cp", "--sparse=always", base.string(), image.string()});
    shut_down_in_storm(image, seed);
    run_or_throw({"cp", "--sparse=always", image.string(), theirs.string()});
    {
      const auto device = open_device(image.string(), {.mode = OpenMode::kReadWrite});
      const RecoveryReport report = recover(*device, geometry_of(*device));
      device->persist();
      ASSERT_EQ(report.log.state, LogState::kDirty);
      ASSERT_TRUE(report.complete()) << (report.walk.damage ? report.walk.damage->what : "");
      if (report.finished) {
        for (const LogItem& item : report.finished->intents) ++kinds[item.type];
      }
    }
    ASSERT_TRUE(mounts(theirs));
    EXPECT_EQ(states_of_even(image), states_of_even(theirs));
    EXPECT_EQ(uneven_contents(image), uneven_contents(base));
    expect_sound(image, Checkers::kOurs);
    EXPECT_TRUE(mounts(image));
    expect_sound(image, Checkers::kOurs);
  }
  for (const auto& [kind, count] : kinds) std::cout << to_string(kind) << " " << count << "\n";
  EXPECT_GT(kinds[LogItemType::kAttri], 0u);
  EXPECT_GT(kinds[LogItemType::kXmi], 0u);
}

}  // namespace
}  // namespace xdax::test

// A device that fails at each call of each operation in turn: the operation fails with that error and leaves no trace,
// done again it succeeds, and the filesystem is sound.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "libfs/base/error.h"
#include "libfs/device/fault_device.h"
#include "libfs/device/overlay_device.h"
#include "libfs/volume/filesystem.h"
#include "tests/support/written_volume.h"

namespace xdax::test {
namespace {

struct Operation {
  const char* name;
  std::function<void(Filesystem&)> run;
  /// In one transaction: all of it or nothing. Others may stop between two.
  bool atomic = true;
};
std::ostream& operator<<(std::ostream& stream, const Operation& each) { return stream << each.name; }

InodeNumber at(Filesystem& filesystem, const std::string& path) {
  return filesystem.read([&](const Volume& volume) { return volume.walk(path, Follow::kNo); });
}

ByteSpan bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

class FilesystemFault : public ::testing::TestWithParam<Operation> {
 protected:
  static constexpr std::uint64_t kBlock = 1024;

  FilesystemFault() : device_({.size_bytes = 64u << 20}) {
    const VolumeCase volume{.name = "1k", .block_bytes = kBlock, .parent = true, .size_bytes = 64u << 20};
    const mkfs::Plan plan = mkfs::make_plan(format_request(volume), mkfs::DeviceFacts::of(device_));
    mkfs::format_device(device_, plan, {});
    const auto filesystem = Filesystem::open(device_, {});
    const InodeNumber root = filesystem->root();
    const InodeNumber folder = filesystem->make_directory(root, "folder", {.mode = 0755});
    filesystem->make_directory(root, "empty", {.mode = 0755});
    for (int i = 0; i < 300; ++i) filesystem->create(folder, fmt::format("a name of some length {}", i), {});
    for (const char* name : {"one", "two"}) {
      const InodeNumber ino = filesystem->create(root, name, {});
      for (std::uint64_t i = 0; i < 60; ++i) filesystem->write(ino, i * 2 * kBlock, bytes(std::string(kBlock, 'o')));
      filesystem->allocate(ino, 200 * kBlock, 20 * kBlock, FileWriter::Grow::kYes);
      for (int i = 0; i < 30; ++i) {
        filesystem->set_attribute(ino, AttrNamespace::kUser, fmt::format("attribute {}", i),
                                  bytes(std::string(90, 'a')));
      }
    }
    const InodeNumber clone = filesystem->create(root, "clone", {});
    filesystem->share({.ino = at(*filesystem, "/one")}, {.ino = clone}, 0);
    filesystem->create(root, "empty file", {});
    filesystem->make_symlink(root, "link", std::string(900, 't'), {});
    filesystem->close();
  }

  // All that a reader can see, but for times.
  static std::string picture(Filesystem& filesystem) {
    return filesystem.read([](const Volume& volume) {
      std::string all;
      const auto visit = [&](const auto& self, InodeNumber ino, const std::string& path) -> void {
        const InodeCore core = volume.inode(ino).core();
        all += fmt::format("{} {} mode {:o} links {} size {} owner {} flags {:x}\n", path, ino.value(), core.mode.get(),
                           core.nlink.get(), core.size.get(), core.uid.get(), core.flags.get());
        Attributes attributes = volume.attributes(ino);
        std::set<std::string> names;
        for (const Attribute& each : attributes.list()) {
          const auto value = attributes.get(each.space, each.name).value();
          names.insert(each.full_name() + "=" + std::string(reinterpret_cast<const char*>(value.data()), value.size()));
        }
        for (const ParentEntry& each : attributes.parents()) {
          names.insert(fmt::format("parent {} {}", each.parent.value(), each.name));
        }
        for (const std::string& name : names) all += name + "\n";
        if (core.type() == FileType::kRegular) {
          std::string content(core.size, '\0');
          (void)volume.file(ino).read(0, std::as_writable_bytes(std::span(content)));
          all += content + "\n";
        }
        if (core.type() == FileType::kSymlink) all += volume.symlink(ino) + "\n";
        if (core.type() != FileType::kDirectory) return;
        std::map<std::string, InodeNumber> below;
        for (const DirItem& item : volume.directory(ino).list()) below.emplace(item.name, item.ino);
        for (const auto& [name, child] : below) self(self, child, path + "/" + name);
      };
      visit(visit, volume.root(), "");
      return all;
    });
  }

  static FilesystemOptions options() {
    return {.clock = [] { return Timestamp{.seconds = 1'700'000'000, .nanoseconds = 1}; },
            .generation = [next = 0u]() mutable { return ++next; }};
  }

  MemoryDevice device_;
};

TEST_P(FilesystemFault, FailsWithThatErrorAndLeavesNoTrace) {
  const Operation& operation = GetParam();
  std::string before, after;
  {
    OverlayDevice image(device_);
    const auto filesystem = Filesystem::open(image, options());
    before = picture(*filesystem);
    operation.run(*filesystem);
    after = picture(*filesystem);
  }
  ASSERT_NE(before, after);
  std::uint64_t failures = 0;
  for (const FaultOperation kind :
       {FaultOperation::kRead, FaultOperation::kWrite, FaultOperation::kZero, FaultOperation::kPersist}) {
    bool reached = true;
    for (std::uint64_t skip = 0; reached; ++skip) {
      SCOPED_TRACE(fmt::format("call {} of kind {}", skip, static_cast<int>(kind)));
      OverlayDevice image(device_);
      FaultDevice faulty(image, 1);
      const auto filesystem = Filesystem::open(faulty, options());
      faulty.add_rule({.operation = kind, .skip = skip, .count = 1});
      bool failed = false;
      try {
        operation.run(*filesystem);
      } catch (const IoError& error) {
        failed = true;
        const Errc expected = kind == FaultOperation::kRead      ? Errc::kReadFailed
                              : kind == FaultOperation::kPersist ? Errc::kPersistFailed
                                                                 : Errc::kWriteFailed;
        ASSERT_EQ(error.cause(), expected) << error.what();
      }
      // The end of a file that is gone is put off, not failed, when the device fails meanwhile.
      reached = failed || !faulty.faults().empty();
      faulty.clear_rules();
      const std::string found = picture(*filesystem);
      if (!failed) {
        ASSERT_EQ(found, after);
      } else if (operation.atomic) {
        ASSERT_EQ(found, before);
        operation.run(*filesystem);
        ASSERT_EQ(picture(*filesystem), after);
      }
      failures += failed ? 1 : 0;
      filesystem->create(filesystem->root(), "goes on", {});
      filesystem->close();
      const std::string problems = WrittenVolume::problems_of(image);
      // A truncation that stops half-way has its new size, and what lay behind that is there until the next.
      const bool left_behind = !operation.atomic && problems.starts_with("inode.size:") &&
                               std::count(problems.begin(), problems.end(), '\n') == 1;
      if (!left_behind) {
        ASSERT_EQ(problems, "");
      }
    }
  }
  EXPECT_GT(failures, 0u);
}

const std::string kText(3000, 'n');

INSTANTIATE_TEST_SUITE_P(
    Operations, FilesystemFault,
    ::testing::Values(
        Operation{"create", [](Filesystem& f) { f.create(at(f, "/folder"), "fresh", {}); }},
        Operation{"make_directory", [](Filesystem& f) { f.make_directory(f.root(), "fresh", {.mode = 0700}); }},
        Operation{"make_symlink",
                  [](Filesystem& f) { f.make_symlink(at(f, "/folder"), "fresh", std::string(1000, 's'), {}); }},
        Operation{"make_node", [](Filesystem& f) { f.make_node(f.root(), "fresh", FileType::kFifo, 0, {}); }},
        Operation{"link", [](Filesystem& f) { f.link(at(f, "/one"), at(f, "/folder"), "again"); }},
        Operation{"unlink", [](Filesystem& f) { f.unlink(at(f, "/folder"), "a name of some length 7"); }},
        Operation{"unlink_large", [](Filesystem& f) { f.unlink(f.root(), "one"); }},
        Operation{"remove_directory", [](Filesystem& f) { f.remove_directory(f.root(), "empty"); }},
        Operation{"rename",
                  [](Filesystem& f) { f.rename(f.root(), "one", at(f, "/folder"), "moved", RenameMode::kNoReplace); }},
        Operation{"rename_over",
                  [](Filesystem& f) { f.rename(f.root(), "one", f.root(), "two", RenameMode::kReplace); }},
        Operation{"rename_exchange",
                  [](Filesystem& f) { f.rename(f.root(), "folder", f.root(), "one", RenameMode::kExchange); }},
        Operation{"set_permissions", [](Filesystem& f) { f.set_permissions(at(f, "/one"), 0777); }},
        Operation{"set_flags", [](Filesystem& f) { f.set_flags(at(f, "/one"), inode_flags::kNoDump, false); }},
        Operation{
            "set_attribute",
            [](Filesystem& f) { f.set_attribute(at(f, "/one"), AttrNamespace::kUser, "attribute 3", bytes(kText)); }},
        Operation{"set_first_attribute",
                  [](Filesystem& f) { f.set_attribute(at(f, "/empty"), AttrNamespace::kUser, "first", bytes(kText)); }},
        Operation{"remove_attribute",
                  [](Filesystem& f) { f.remove_attribute(at(f, "/one"), AttrNamespace::kUser, "attribute 3"); }},
        Operation{"set_acl",
                  [](Filesystem& f) {
                    f.set_acl(at(f, "/one"), AclKind::kAccess,
                              {{AclTag::kUserObject, 0, 7},
                               {AclTag::kUser, 5, 6},
                               {AclTag::kGroupObject, 0, 5},
                               {AclTag::kMask, 0, 7},
                               {AclTag::kOther, 0, 0}});
                  }},
        Operation{"write_hole", [](Filesystem& f) { f.write(at(f, "/one"), 1024, bytes(std::string(900, 'w'))); }},
        Operation{"write_unwritten", [](Filesystem& f) { f.write(at(f, "/one"), 205 * 1024, bytes(kText)); }},
        Operation{"write_shared",
                  [](Filesystem& f) { f.write(at(f, "/one"), 4 * 1024 + 7, bytes(std::string(99, 'w'))); }},
        Operation{"write_many", [](Filesystem& f) { f.write(at(f, "/one"), 0, bytes(std::string(90'000, 'w'))); },
                  false},
        Operation{"truncate", [](Filesystem& f) { f.truncate(at(f, "/one"), 5000); }, false},
        Operation{"truncate_up", [](Filesystem& f) { f.truncate(at(f, "/one"), 500'000); }, false},
        Operation{"allocate", [](Filesystem& f) { f.allocate(at(f, "/one"), 0, 400 * 1024, FileWriter::Grow::kYes); },
                  false},
        Operation{"punch", [](Filesystem& f) { f.punch(at(f, "/one"), 500, 50'000); }, false},
        Operation{"zero", [](Filesystem& f) { f.zero(at(f, "/one"), 500, 50'000, FileWriter::Grow::kNo); }, false},
        Operation{"collapse", [](Filesystem& f) { f.collapse(at(f, "/one"), 1024, 10 * 1024); }, false},
        Operation{"insert", [](Filesystem& f) { f.insert(at(f, "/one"), 1024, 10 * 1024); }, false},
        Operation{"share", [](Filesystem& f) { f.share({.ino = at(f, "/two")}, {.ino = at(f, "/empty file")}, 0); },
                  false},
        Operation{"exchange", [](Filesystem& f) { f.exchange({at(f, "/one"), 0}, {at(f, "/two"), 1024}, 20 * 1024); }},
        Operation{"exchange_rest",
                  [](Filesystem& f) { f.exchange_rest({at(f, "/one"), 4096}, {at(f, "/two"), 64 * 1024}); }},
        Operation{"sync",
                  [](Filesystem& f) {
                    f.create(f.root(), "fresh", {});
                    f.sync();
                  },
                  false},
        Operation{"copy", [](Filesystem& f) { f.copy({at(f, "/two"), 3}, {at(f, "/one"), 5000}, 5000); }, false}),
    [](const auto& each) { return std::string(each.param.name); });

}  // namespace
}  // namespace xdax::test

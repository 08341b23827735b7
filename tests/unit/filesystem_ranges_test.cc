// Ranges that share blocks or change places, hints, flags, projects and access control lists: what each is to do, and
// what is refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "libfs/base/error.h"
#include "libfs/volume/filesystem.h"
#include "tests/support/written_volume.h"

namespace xdax::test {
namespace {

class FilesystemRanges : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kBlock = 4096;

  explicit FilesystemRanges(const VolumeCase& each = {.name = "4k"}) : device_({.size_bytes = each.size_bytes}) {
    const mkfs::Plan plan = mkfs::make_plan(format_request(each), mkfs::DeviceFacts::of(device_));
    mkfs::format_device(device_, plan, {});
    filesystem_ = Filesystem::open(device_, {});
  }

  InodeNumber file(const std::string& name, const std::string& content = "") {
    const InodeNumber ino = filesystem_->create(filesystem_->root(), name, {});
    if (!content.empty()) filesystem_->write(ino, 0, std::as_bytes(std::span(content)));
    return ino;
  }
  std::string content(InodeNumber ino) {
    std::string text(filesystem_->read([&](const Volume& volume) { return volume.file(ino).size_bytes(); }), '\0');
    EXPECT_EQ(filesystem_->read(ino, 0, std::as_writable_bytes(std::span(text))), text.size());
    return text;
  }
  std::vector<Extent> extents(InodeNumber ino) {
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
  InodeCore core(InodeNumber ino) {
    return filesystem_->read([&](const Volume& volume) { return InodeCore(volume.inode(ino).core()); });
  }
  template <class Action>
  static Errc refusal(const Action& action) {
    try {
      action();
    } catch (const RefusalError& error) {
      return error.cause();
    }
    ADD_FAILURE() << "not refused";
    return Errc{};
  }
  void TearDown() override {
    filesystem_->close();
    EXPECT_EQ(WrittenVolume::problems_of(device_), "");
  }

  MemoryDevice device_;
  std::unique_ptr<Filesystem> filesystem_;
};

class FilesystemUnshared : public FilesystemRanges {
 protected:
  FilesystemUnshared() : FilesystemRanges({.name = "plain", .rmapbt = false, .reflink = false}) {}
};

std::string text_of(char letter, std::size_t bytes) { return std::string(bytes, letter); }

TEST_F(FilesystemRanges, SharedBlocksAreTheSameUntilOneIsWritten) {
  const InodeNumber one = file("one", text_of('a', 3 * kBlock) + "tail");
  const InodeNumber two = file("two");
  const std::uint64_t free = filesystem_->counters().free_blocks;
  filesystem_->share({.ino = one}, {.ino = two}, 0);
  EXPECT_EQ(filesystem_->counters().free_blocks, free);
  EXPECT_EQ(extents(one), extents(two));
  EXPECT_EQ(content(two), content(one));
  EXPECT_TRUE(core(one).reflink());
  EXPECT_TRUE(core(two).reflink());
  filesystem_->write(two, kBlock, std::as_bytes(std::span("x", 1)));
  EXPECT_EQ(filesystem_->counters().free_blocks, free - 1);
  EXPECT_EQ(content(one), text_of('a', 3 * kBlock) + "tail");
  EXPECT_EQ(content(two), text_of('a', kBlock) + "x" + text_of('a', 2 * kBlock - 1) + "tail");
  // Behind the shared tail nothing of the other file shows.
  filesystem_->write(one, 3 * kBlock, std::as_bytes(std::span("longer than it was", 18)));
  filesystem_->truncate(two, 3 * kBlock + 30);
  EXPECT_EQ(content(two).substr(3 * kBlock), "tail" + std::string(26, '\0'));
}

TEST_F(FilesystemRanges, HolesAndWhatWasNeverWrittenAreSharedAsHoles) {
  const InodeNumber one = file("one", text_of('a', kBlock));
  filesystem_->allocate(one, kBlock, 2 * kBlock, FileWriter::Grow::kYes);
  filesystem_->write(one, 4 * kBlock, std::as_bytes(std::span("z", 1)));
  const InodeNumber two = file("two", text_of('b', 8 * kBlock));
  filesystem_->share({.ino = one}, {.ino = two, .offset_bytes = kBlock}, 4 * kBlock);
  EXPECT_EQ(content(two),
            text_of('b', kBlock) + text_of('a', kBlock) + text_of('\0', 3 * kBlock) + text_of('b', 3 * kBlock));
  EXPECT_EQ(filesystem_->next_hole({.ino = two}), 2 * kBlock);
  EXPECT_EQ(filesystem_->next_data({.ino = two, .offset_bytes = 2 * kBlock}), 5 * kBlock);
}

TEST_F(FilesystemRanges, WhatCannotBeSharedIsRefusedAndChangesNothing) {
  const InodeNumber one = file("one", text_of('a', 2 * kBlock) + "tail");
  const InodeNumber two = file("two", text_of('b', 8 * kBlock));
  const auto share = [&](std::uint64_t from, std::uint64_t to, std::uint64_t length, InodeNumber ino) {
    return refusal([&] { filesystem_->share({one, from}, {ino, to}, length); });
  };
  EXPECT_EQ(share(1, 0, kBlock, two), Errc::kBadArgument);
  EXPECT_EQ(share(0, 1, kBlock, two), Errc::kBadArgument);
  EXPECT_EQ(share(0, 0, 100, two), Errc::kBadArgument);
  EXPECT_EQ(share(0, 0, 4 * kBlock, two), Errc::kBadArgument) << "behind the end of the source";
  EXPECT_EQ(share(0, 0, 2 * kBlock + 4, two), Errc::kBadArgument) << "a tail in the middle of another file";
  EXPECT_EQ(share(0, kBlock, 2 * kBlock, one), Errc::kBadArgument) << "onto itself";
  EXPECT_EQ(share(0, limits::kMaxFileBytes / kBlock * kBlock, 2 * kBlock, two), Errc::kTooBig);
  EXPECT_EQ(share(0, 0, kBlock, filesystem_->root()), Errc::kIsDirectory);
  EXPECT_EQ(content(two), text_of('b', 8 * kBlock));
  EXPECT_FALSE(core(one).reflink());
}

TEST_F(FilesystemUnshared, SharingNeedsTheFeatureAndCopyingDoesNot) {
  const InodeNumber one = file("one", text_of('a', 2 * kBlock) + "tail");
  const InodeNumber two = file("two");
  EXPECT_EQ(refusal([&] { filesystem_->share({.ino = one}, {.ino = two}, 0); }), Errc::kNotSupported);
  EXPECT_EQ(refusal([&] { filesystem_->set_copy_size_hint(one, kBlock); }), Errc::kNotSupported);
  EXPECT_EQ(filesystem_->copy({.ino = one}, {.ino = two}, 1u << 20), 2 * kBlock + 4);
  EXPECT_EQ(content(two), content(one));
}

TEST_F(FilesystemRanges, SameBytesAreSharedAndOthersAreNot) {
  const InodeNumber one = file("one", text_of('a', 4 * kBlock));
  const InodeNumber two = file("two", text_of('a', 3 * kBlock) + text_of('b', kBlock));
  const Timestamp before = decode_timestamp(core(two).mtime, true);
  const std::uint64_t free = filesystem_->counters().free_blocks;
  EXPECT_FALSE(filesystem_->deduplicate({.ino = one}, {.ino = two}, 4 * kBlock));
  EXPECT_EQ(filesystem_->counters().free_blocks, free);
  EXPECT_TRUE(filesystem_->deduplicate({.ino = one}, {.ino = two}, 3 * kBlock));
  filesystem_->sync();
  EXPECT_EQ(filesystem_->counters().free_blocks, free + 3);
  EXPECT_EQ(content(two), text_of('a', 3 * kBlock) + text_of('b', kBlock));
  EXPECT_EQ(decode_timestamp(core(two).mtime, true), before) << "no reader can tell";
  EXPECT_EQ(refusal([&] { (void)filesystem_->deduplicate({.ino = one}, {.ino = two}, 5 * kBlock); }),
            Errc::kBadArgument);
}

TEST_F(FilesystemRanges, CopiesAreWholeWhereverTheyBegin) {
  const InodeNumber one = file("one", text_of('a', 3 * kBlock) + "tail");
  for (const std::uint64_t from : {std::uint64_t{0}, std::uint64_t{1}, kBlock}) {
    for (const std::uint64_t to : {std::uint64_t{0}, std::uint64_t{3}, 2 * kBlock}) {
      const InodeNumber two = file("two" + std::to_string(from * 100'000 + to), text_of('b', 2 * kBlock));
      EXPECT_EQ(filesystem_->copy({one, from}, {two, to}, 1u << 20), 3 * kBlock + 4 - from);
      std::string expected = text_of('b', 2 * kBlock).substr(0, to) + text_of('a', 3 * kBlock - from) + "tail";
      EXPECT_EQ(content(two), expected) << from << " to " << to;
    }
  }
  EXPECT_EQ(filesystem_->copy({one, 1u << 20}, {file("none"), 0}, 10), 0u);
  EXPECT_EQ(refusal([&] { filesystem_->copy({one, 0}, {one, 10}, kBlock); }), Errc::kBadArgument);
}

TEST_F(FilesystemRanges, RangesChangePlaces) {
  const InodeNumber one = file("one", text_of('a', 4 * kBlock) + "one");
  const InodeNumber two = file("two", text_of('b', 2 * kBlock));
  filesystem_->write(two, 6 * kBlock, std::as_bytes(std::span("z", 1)));
  filesystem_->exchange({one, kBlock}, {two, 0}, 3 * kBlock);
  EXPECT_EQ(content(one), text_of('a', kBlock) + text_of('b', 2 * kBlock) + text_of('\0', kBlock) + "one");
  EXPECT_EQ(content(two), text_of('a', 3 * kBlock) + text_of('\0', 3 * kBlock) + "z");
  filesystem_->exchange_rest({one, kBlock}, {two, 2 * kBlock});
  EXPECT_EQ(content(one), text_of('a', 2 * kBlock) + text_of('\0', 3 * kBlock) + "z");
  EXPECT_EQ(content(two), text_of('a', 2 * kBlock) + text_of('b', 2 * kBlock) + text_of('\0', kBlock) + "one");
  EXPECT_EQ(refusal([&] { filesystem_->exchange({one, 0}, {one, kBlock}, 2 * kBlock); }), Errc::kBadArgument);
  EXPECT_EQ(refusal([&] { filesystem_->exchange({one, 0}, {two, 0}, 100 * kBlock); }), Errc::kBadArgument);
  EXPECT_EQ(refusal([&] { filesystem_->exchange({one, 1}, {two, 0}, kBlock); }), Errc::kBadArgument);
  EXPECT_EQ(refusal([&] { filesystem_->exchange_rest({one, 0}, {one, 0}); }), Errc::kBadArgument);
}

TEST_F(FilesystemRanges, HintsSayHowMuchIsAllocated) {
  const InodeNumber one = file("one");
  filesystem_->set_extent_size_hint(one, 16 * kBlock);
  filesystem_->write(one, 20 * kBlock, std::as_bytes(std::span("x", 1)));
  const std::vector<Extent> found = extents(one);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found.front().file_block.value(), 16u);
  EXPECT_TRUE(found.front().unwritten);
  EXPECT_EQ(found[1].file_block.value(), 20u);
  EXPECT_FALSE(found[1].unwritten);
  EXPECT_EQ(found[2].file_block.value() + found[2].length_blocks, 32u);
  EXPECT_EQ(content(one), text_of('\0', 20 * kBlock) + "x");
  EXPECT_EQ(refusal([&] { filesystem_->set_extent_size_hint(one, 8 * kBlock); }), Errc::kBadArgument);
  EXPECT_EQ(refusal([&] { filesystem_->set_extent_size_hint(file("odd"), kBlock + 1); }), Errc::kBadArgument);
  EXPECT_EQ(refusal([&] { filesystem_->set_extent_size_hint(file("huge"), 1u << 30); }), Errc::kBadArgument);

  const InodeNumber source = file("source", text_of('a', 32 * kBlock));
  const InodeNumber copy = file("copy");
  filesystem_->share({.ino = source}, {.ino = copy}, 0);
  filesystem_->set_copy_size_hint(copy, 8 * kBlock);
  filesystem_->write(copy, 11 * kBlock, std::as_bytes(std::span("x", 1)));
  const std::vector<Extent> copied = extents(copy);
  ASSERT_EQ(copied.size(), 3u);
  EXPECT_EQ(copied[1].file_block.value(), 8u);
  EXPECT_EQ(copied[1].length_blocks, 8u);
  EXPECT_EQ(content(source), text_of('a', 32 * kBlock));
}

TEST_F(FilesystemRanges, WhatIsMadeInADirectoryHasItsFlags) {
  const InodeNumber folder = filesystem_->make_directory(filesystem_->root(), "folder", {.mode = 02755, .gid = 50});
  filesystem_->set_flags(folder, inode_flags::kNoDump | inode_flags::kNoAtime, true);
  filesystem_->set_extent_size_hint(folder, 4 * kBlock);
  filesystem_->set_copy_size_hint(folder, 2 * kBlock);
  filesystem_->set_project(folder, 77, true);
  const InodeCore made = core(filesystem_->create(folder, "file", {.gid = 1}));
  EXPECT_EQ(made.flags, inode_flags::kNoDump | inode_flags::kNoAtime | inode_flags::kExtsize);
  EXPECT_EQ(made.extsize, 4u);
  EXPECT_EQ(made.cowextsize, 2u);
  EXPECT_EQ(made.projid(), 77u);
  EXPECT_EQ(made.gid, 50u);
  EXPECT_NE(made.flags2 & inode_flags2::kDax, 0u);
  const InodeCore below = core(filesystem_->make_directory(folder, "below", {.mode = 0700}));
  EXPECT_EQ(below.mode & 07777u, 02700u);
  EXPECT_EQ(below.flags,
            inode_flags::kNoDump | inode_flags::kNoAtime | inode_flags::kExtszInherit | inode_flags::kProjInherit);
  // Of another project nothing comes in.
  const InodeNumber foreign = file("foreign");
  EXPECT_EQ(refusal([&] { filesystem_->link(foreign, folder, "name"); }), Errc::kBadArgument);
  EXPECT_EQ(refusal([&] { filesystem_->rename(filesystem_->root(), "foreign", folder, "name", RenameMode::kReplace); }),
            Errc::kBadArgument);
}

TEST_F(FilesystemRanges, WhatIsMarkedImmutableStays) {
  const InodeNumber folder = filesystem_->make_directory(filesystem_->root(), "folder", {.mode = 0755});
  const InodeNumber inside = filesystem_->create(folder, "inside", {});
  const InodeNumber one = file("one", "text");
  const InodeNumber root = filesystem_->root();
  filesystem_->set_flags(one, inode_flags::kImmutable, false);
  for (const auto& change : std::vector<std::function<void()>>{
           [&] { filesystem_->write(one, 0, std::as_bytes(std::span("x", 1))); },
           [&] { filesystem_->unlink(root, "one"); },
           [&] { filesystem_->rename(root, "one", root, "other", RenameMode::kReplace); },
           [&] { filesystem_->link(one, root, "again"); },
           [&] { filesystem_->set_permissions(one, 0); },
           [&] { filesystem_->set_owner(one, 1, 1); },
           [&] { filesystem_->set_attribute(one, AttrNamespace::kUser, "a", {}); },
       }) {
    EXPECT_EQ(refusal(change), Errc::kReadOnly);
  }
  // To be read, and so copied and shared from, it is like any other.
  const InodeNumber other = file("other");
  filesystem_->share({.ino = one}, {.ino = other}, 0);
  EXPECT_EQ(content(other), "text");
  EXPECT_EQ(filesystem_->copy({.ino = one}, {other, 2}, 4), 4u);
  EXPECT_TRUE(filesystem_->deduplicate({.ino = one}, {.ino = file("third", "text")}, 4));
  EXPECT_EQ(refusal([&] { filesystem_->exchange_rest({.ino = other}, {.ino = one}); }), Errc::kReadOnly);
  filesystem_->set_flags(folder, inode_flags::kImmutable, false);
  for (const auto& change : std::vector<std::function<void()>>{
           [&] { filesystem_->create(folder, "fresh", {}); },
           [&] { filesystem_->unlink(folder, "inside"); },
           [&] { filesystem_->link(inside, folder, "again"); },
           [&] { filesystem_->rename(folder, "inside", root, "out", RenameMode::kReplace); },
       }) {
    EXPECT_EQ(refusal(change), Errc::kReadOnly);
  }
  filesystem_->set_flags(folder, inode_flags::kAppend, false);
  filesystem_->create(folder, "fresh", {});
  EXPECT_EQ(refusal([&] { filesystem_->unlink(folder, "fresh"); }), Errc::kReadOnly);
  filesystem_->set_flags(folder, 0, false);
  filesystem_->unlink(folder, "fresh");
  filesystem_->set_flags(one, 0, false);
  filesystem_->unlink(root, "one");
  EXPECT_EQ(refusal([&] { filesystem_->set_flags(folder, inode_flags::kRealtime, false); }), Errc::kBadArgument);
  filesystem_->set_flags(folder, inode_flags::kNoSymlinks, false);
  EXPECT_EQ(refusal([&] { filesystem_->make_symlink(folder, "link", "target", {}); }), Errc::kReadOnly);
}

TEST_F(FilesystemRanges, ListsAndPermissionsSayTheSame) {
  using enum AclTag;
  const InodeNumber folder = filesystem_->make_directory(filesystem_->root(), "folder", {.mode = 0755});
  const std::vector<AclEntry> list{
      {kUserObject, 0, 7}, {kUser, 5, 6}, {kGroupObject, 0, 5}, {kMask, 0, 7}, {kOther, 0, 0}};
  filesystem_->set_acl(folder, AclKind::kDefault, {list.rbegin(), list.rend()});
  EXPECT_EQ(filesystem_->acl(folder, AclKind::kDefault), list);
  const InodeNumber made = filesystem_->create(folder, "file", {.mode = 0644});
  std::vector<AclEntry> expected = list;
  expected[0].permissions = 6;
  expected[3].permissions = 4;
  EXPECT_EQ(filesystem_->acl(made, AclKind::kAccess), expected);
  EXPECT_EQ(core(made).mode & 0777u, 0640u);
  const InodeNumber below = filesystem_->make_directory(folder, "below", {.mode = 0777});
  EXPECT_EQ(filesystem_->acl(below, AclKind::kDefault), list);
  EXPECT_EQ(core(below).mode & 0777u, 0770u);
  filesystem_->set_permissions(made, 0660);
  expected[3].permissions = 6;
  EXPECT_EQ(filesystem_->acl(made, AclKind::kAccess), expected);
  // One that says no more than permissions do is not kept.
  filesystem_->set_acl(made, AclKind::kAccess, {{kUserObject, 0, 6}, {kGroupObject, 0, 4}, {kOther, 0, 4}});
  EXPECT_EQ(filesystem_->acl(made, AclKind::kAccess), std::vector<AclEntry>{});
  EXPECT_EQ(core(made).mode & 0777u, 0644u);
  filesystem_->set_acl(folder, AclKind::kDefault, {});
  EXPECT_EQ(filesystem_->acl(folder, AclKind::kDefault), std::vector<AclEntry>{});
  EXPECT_EQ(refusal([&] { filesystem_->set_acl(made, AclKind::kDefault, list); }), Errc::kBadArgument);
  EXPECT_EQ(refusal([&] { filesystem_->set_acl(made, AclKind::kAccess, {{kUser, 1, 7}}); }), Errc::kBadArgument);
  std::vector<AclEntry> twice = list;
  twice.push_back({kUser, 5, 1});
  EXPECT_EQ(refusal([&] { filesystem_->set_acl(made, AclKind::kAccess, twice); }), Errc::kBadArgument);
}

}  // namespace
}  // namespace xdax::test

// Attributes against a model, on inodes of every kind of data fork. The inodes have no names and stand on the lists of
// unlinked ones, which the checker accepts, so that it judges forks, trees, values, maps and free space at every stage.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <random>

#include "libfs/attr/attr_writer.h"
#include "libfs/base/error.h"
#include "libfs/device/overlay_device.h"
#include "libfs/format/da_hash.h"
#include "libfs/inode/fork_writer.h"
#include "libfs/inode/inactivate.h"
#include "libfs/inode/inode_allocator.h"
#include "libfs/inode/unlinked.h"
#include "libfs/recovery/recovery.h"
#include "tests/support/written_volume.h"

namespace xdax::test {
namespace {

using Key = std::pair<AttrNamespace, std::string>;
using Model = std::map<Key, std::vector<std::byte>>;
constexpr AttrNamespace kSpaces[] = {AttrNamespace::kUser, AttrNamespace::kTrusted, AttrNamespace::kSecurity};

class AttrWrite : public ::testing::TestWithParam<VolumeCase> {
 protected:
  AttrWrite() : volume_(GetParam()), random_(GetParam().block_bytes + GetParam().inode_bytes) {}

  [[nodiscard]] InodeNumber create(Transaction& transaction, std::uint16_t mode = 0100644) {
    const InodeNumber ino = InodeAllocator(transaction)
                                .allocate({.parent = volume_.geometry().root_inode,
                                           .mode = mode,
                                           .now = {.seconds = 1'700'000'000, .nanoseconds = 5},
                                           .generation = static_cast<std::uint32_t>(++created_)});
    add_unlinked(transaction, ino);
    return ino;
  }
  [[nodiscard]] InodeNumber create(std::uint16_t mode = 0100644) {
    Transaction transaction(volume_.journal());
    const InodeNumber ino = create(transaction, mode);
    transaction.commit();
    return ino;
  }
  [[nodiscard]] std::uint32_t room_bytes() const {
    return volume_.geometry().inode_bytes - static_cast<std::uint32_t>(sizeof(InodeCore));
  }
  // Extents of one block each that never touch in the file.
  static void add_extents(const InodeEdit& inode, std::uint32_t first, std::uint32_t count) {
    ForkWriter fork(inode, Fork::kData);
    for (std::uint32_t i = first; i < first + count; ++i) {
      Extent extent{.file_block = FileBlock(std::uint64_t{i} * 2), .start = {}, .length_blocks = 1};
      extent.unwritten = i % 7 == 0;
      extent.start = Allocator(inode.transaction()).allocate({.owner = fork.owner_of(extent)}).start;
      fork.add(extent);
    }
  }
  // A file of so many extents of one block each.
  [[nodiscard]] InodeNumber create_file(std::uint32_t extents) {
    const InodeNumber ino = create();
    for (std::uint32_t done = 0; done < extents;) {
      Transaction transaction(volume_.journal());
      const InodeEdit inode(transaction, ino);
      inode.change_core().size = (std::uint64_t{extents} * 2) << volume_.geometry().block_log;
      const std::uint32_t count = std::min(extents - done, 200u);
      add_extents(inode, done, count);
      done += count;
      transaction.commit();
    }
    return ino;
  }
  // A file whose map has as many entries in the inode as fit there.
  [[nodiscard]] InodeNumber create_file_with_full_root() {
    const InodeNumber ino = create();
    const auto entries = [&] {
      const Inode inode = read(ino);
      if (fork_format(inode.core(), Fork::kData) != ForkFormat::kBtree) return 0u;
      return std::uint32_t{view<BmapRootHeader>(inode.fork(Fork::kData)).numrecs};
    };
    const std::uint32_t most = BmapRootLayout(room_bytes()).max_entries();
    for (std::uint32_t done = 0; entries() < most; done += 20) {
      Transaction transaction(volume_.journal());
      const InodeEdit inode(transaction, ino);
      inode.change_core().size = (std::uint64_t{done} + 20) * 2 << volume_.geometry().block_log;
      add_extents(inode, done, 20);
      transaction.commit();
    }
    return ino;
  }
  [[nodiscard]] InodeNumber create_local(std::uint16_t mode, const std::vector<std::byte>& content) {
    Transaction transaction(volume_.journal());
    const InodeNumber ino = create(transaction, mode);
    const InodeEdit inode(transaction, ino);
    inode.change_core().format = static_cast<std::uint8_t>(ForkFormat::kLocal);
    inode.change_core().size = content.size();
    std::copy(content.begin(), content.end(), inode.change_fork(Fork::kData).begin());
    transaction.commit();
    return ino;
  }

  [[nodiscard]] Inode read(InodeNumber ino) {
    return InodeReader(MetadataReader(volume_.journal().cache().view(), volume_.geometry())).read(ino);
  }
  [[nodiscard]] Attributes attributes(InodeNumber ino) {
    return {MetadataReader(volume_.journal().cache().view(), volume_.geometry()), read(ino)};
  }
  void expect_model(InodeNumber ino, const Model& model) { expect_model(volume_.journal().cache().view(), ino, model); }
  void expect_model(Device& device, InodeNumber ino, const Model& model) {
    const MetadataReader reader(device, volume_.geometry());
    const Inode inode = InodeReader(reader).read(ino);
    Attributes found(reader, inode);
    std::map<Key, std::uint32_t> listed;
    for (const Attribute& each : found.list()) {
      ASSERT_TRUE(listed.emplace(Key(each.space, each.name), each.value_bytes).second);
    }
    ASSERT_EQ(listed.size(), model.size());
    for (const auto& [key, value] : model) {
      const auto stored = found.get(key.first, key.second);
      ASSERT_TRUE(stored.has_value());
      ASSERT_TRUE(*stored == value);
    }
    if (model.empty()) {
      EXPECT_TRUE(inode.core().forkoff == 0);
    }
  }
  // Of nodes above the leaves.
  [[nodiscard]] std::uint32_t levels(InodeNumber ino) {
    const Inode inode = read(ino);
    if (attr_extent_count(inode.core()) == 0) return 0;
    const MetadataReader reader(volume_.journal().cache().view(), volume_.geometry());
    const DaBlock root = DaReader(reader, inode, Fork::kAttr, "attributes").read(FileBlock(0));
    const bool node = view<DaBlockInfo>(root.bytes).magic == DaNodeHeader::kMagic;
    return node ? view<DaNodeHeader>(root.bytes).level.get() : 0u;
  }
  [[nodiscard]] std::string problems() {
    std::string left;
    std::istringstream lines(volume_.problems());
    for (std::string line; std::getline(lines, line);) {
      if (line.find("unlinked") == std::string::npos) left += line + "\n";
    }
    return left;
  }

  [[nodiscard]] std::string random_name(std::size_t most = 255) {
    std::string name(1 + random_() % (random_() % 3 == 0 ? most : std::min<std::size_t>(most, 20)), 'x');
    for (char& c : name) c = static_cast<char>(1 + random_() % 255);
    return name;
  }
  [[nodiscard]] std::vector<std::byte> random_value(std::size_t most) {
    static constexpr std::size_t kMost[] = {1, 8, 40, 40, 300, 300, 1200, 5000, 65537};
    std::vector<std::byte> value(random_() % std::min(most, kMost[random_() % std::size(kMost)]));
    if (most > 65536 && random_() % 300 == 0) value.resize(65536);
    for (std::byte& byte : value) byte = static_cast<std::byte>(random_());
    return value;
  }

  // What most of the changes are like for a while, so that every form comes and goes.
  struct Phase {
    std::size_t keys = 0;        ///< how many of them
    std::size_t value_most = 0;  ///< bytes, at most, not reached
    unsigned removals = 0;       ///< of ten
  };

  // A change, or a few, perhaps dropped.
  void change(InodeNumber ino, Model& model, const std::vector<Key>& keys, const Phase& phase) {
    const bool commit = random_() % 12 != 0;
    Model after = model;
    {
      Transaction transaction(volume_.journal());
      const InodeEdit inode(transaction, ino);
      const std::size_t changes = random_() % 10 == 0 ? 5 : 1;
      for (std::size_t i = 0; i < changes; ++i) {
        AttrWriter writer(inode);
        const Key& key = keys[random_() % std::min(keys.size(), phase.keys)];
        const bool there = after.contains(key);
        const AttrName name = attr_name(key.first, key.second);
        if (random_() % 10 < phase.removals) {
          EXPECT_EQ(refused([&] { writer.remove(name); }), there ? Errc{} : Errc::kNotFound);
          after.erase(key);
          continue;
        }
        const std::vector<std::byte> value = random_value(phase.value_most);
        const auto mode = static_cast<SetMode>(random_() % 3);
        const Errc expected = there && mode == SetMode::kCreate     ? Errc::kExists
                              : !there && mode == SetMode::kReplace ? Errc::kNotFound
                                                                    : Errc{};
        EXPECT_EQ(refused([&] { writer.set(name, value, mode); }), expected);
        if (expected == Errc{}) after[key] = value;
      }
      if (commit) transaction.commit();
    }
    if (commit) model = std::move(after);
  }
  template <class Change>
  static Errc refused(const Change& change) {
    try {
      change();
    } catch (const RefusalError& error) {
      return error.cause();
    }
    return Errc{};
  }

  WrittenVolume volume_;
  std::mt19937_64 random_;
  std::uint64_t created_ = 0;
};

struct File {
  InodeNumber ino;
  Model model;
  std::vector<Key> keys;
  std::uint64_t extents_before = 0;
  bool local = false, blocks = false;
};

std::vector<std::byte> text(std::size_t bytes) { return std::vector<std::byte>(bytes, std::byte{'t'}); }

class AttrWriteSmallBlocks : public AttrWrite {};
class AttrWriteParents : public AttrWrite {};

TEST_P(AttrWrite, AttributesOfAllKindsOfFilesFollowTheModel) {
  std::vector<File> files;
  const std::uint32_t room = room_bytes();
  const std::uint32_t inline_extents = room / 16;
  for (const std::uint32_t extents : {0u, 1u, 12u, inline_extents, inline_extents + 1, inline_extents + 40}) {
    files.push_back({.ino = create_file(extents)});
  }
  if (GetParam().block_bytes <= 4096 && room < 400) files.push_back({.ino = create_file_with_full_root()});
  files.push_back({.ino = create(0010644)});
  files.push_back({.ino = create_local(0120777, text(10))});
  files.push_back({.ino = create_local(0120777, text(std::min(room, 1024u)))});
  for (File& file : files) {
    for (int i = 0; i < 70; ++i) file.keys.emplace_back(kSpaces[random_() % 3], random_name(i < 4 ? 12 : 255));
    file.extents_before = data_extent_count(read(file.ino).core());
  }
  ASSERT_EQ(problems(), "");
  std::uint32_t most_levels = 0;
  bool mapped_by_tree = false;
  const int rounds = 6000;
  for (int i = 0; i < rounds; ++i) {
    File& file = files[random_() % files.size()];
    static constexpr Phase kPhases[] = {{.keys = 4, .value_most = 9, .removals = 3},
                                        {.keys = 70, .value_most = 65537, .removals = 1},
                                        {.keys = 70, .value_most = 65537, .removals = 9},
                                        {.keys = 70, .value_most = 40, .removals = 1},
                                        {.keys = 70, .value_most = 40, .removals = 10}};
    change(file.ino, file.model, file.keys, kPhases[static_cast<std::size_t>(i) / 400 % std::size(kPhases)]);
    if (HasFailure()) FAIL() << "round " << i;
    const InodeCore core = read(file.ino).core();
    if (core.forkoff != 0) {
      most_levels = std::max(most_levels, levels(file.ino));
      const ForkFormat format = fork_format(core, Fork::kAttr);
      file.local = file.local || format == ForkFormat::kLocal;
      file.blocks = file.blocks || format != ForkFormat::kLocal;
      mapped_by_tree = mapped_by_tree || format == ForkFormat::kBtree;
    }
    // The target of a link may have had to leave the inode.
    if (core.type() == FileType::kSymlink) file.extents_before = data_extent_count(core);
    EXPECT_EQ(data_extent_count(core), file.extents_before);
    if (i % 50 == 0) {
      ASSERT_NO_FATAL_FAILURE(expect_model(file.ino, file.model)) << i;
    }
    if (i % 350 == 0) {
      ASSERT_EQ(problems(), "") << i;
      for (const File& each : files) ASSERT_NO_FATAL_FAILURE(expect_model(each.ino, each.model)) << i;
    }
  }
  EXPECT_GE(most_levels, GetParam().block_bytes == 65536 ? 0u : 1u);
  EXPECT_TRUE(mapped_by_tree || room > 400 || GetParam().block_bytes > 2048);
  for (File& file : files) {
    EXPECT_TRUE(file.local && file.blocks);
    ASSERT_NO_FATAL_FAILURE(expect_model(file.ino, file.model));
    while (!file.model.empty()) {
      Transaction transaction(volume_.journal());
      const InodeEdit inode(transaction, file.ino);
      const Key key = file.model.begin()->first;
      AttrWriter(inode).remove(attr_name(key.first, key.second));
      transaction.commit();
      file.model.erase(key);
    }
    ASSERT_NO_FATAL_FAILURE(expect_model(file.ino, file.model));
    const InodeCore core = read(file.ino).core();
    EXPECT_EQ(data_extent_count(core), file.extents_before);
    if (fork_format(core, Fork::kData) == ForkFormat::kExtents) {
      EXPECT_EQ(core.nblocks.get(), file.extents_before);
    }
  }
  ASSERT_EQ(problems(), "");
  for (const File& file : files) inactivate(volume_.journal(), file.ino);
  EXPECT_EQ(volume_.problems(), "");
}

TEST_P(AttrWrite, ATreeOfThousandsGrowsAndShrinks) {
  const InodeNumber ino = create();
  Model model;
  std::vector<Key> keys;
  // The same hash many times over: a bit that one byte moves into the next.
  for (unsigned i = 0; i < 400; ++i) {
    std::string name = "aaaaaaaaaaaaaaaaaaaa";
    for (unsigned bit = 0; bit < 9; ++bit) {
      if ((i >> bit & 1) == 0) continue;
      name[bit * 2] = static_cast<char>(name[bit * 2] ^ 1);
      name[bit * 2 + 1] = static_cast<char>(name[bit * 2 + 1] ^ 0x80);
    }
    keys.emplace_back(AttrNamespace::kUser, name);
    ASSERT_EQ(name_hash(name), name_hash(keys.front().second));
  }
  while (keys.size() < 6000)
    keys.emplace_back(kSpaces[random_() % 3], "k" + std::to_string(keys.size()) + random_name(30));
  std::shuffle(keys.begin(), keys.end(), random_);
  for (std::size_t i = 0; i < keys.size();) {
    Transaction transaction(volume_.journal());
    const InodeEdit inode(transaction, ino);
    AttrWriter writer(inode);
    for (int k = 0; k < 50 && i < keys.size(); ++k, ++i) {
      std::vector<std::byte> value(random_() % 30);
      writer.set(attr_name(keys[i].first, keys[i].second), value, SetMode::kCreate);
      model[keys[i]] = value;
    }
    transaction.commit();
  }
  EXPECT_GE(levels(ino), GetParam().block_bytes == 1024 ? 2u : 1u);
  ASSERT_EQ(problems(), "");
  ASSERT_NO_FATAL_FAILURE(expect_model(ino, model));
  std::shuffle(keys.begin(), keys.end(), random_);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    Transaction transaction(volume_.journal());
    const InodeEdit inode(transaction, ino);
    AttrWriter(inode).remove(attr_name(keys[i].first, keys[i].second));
    if (i % 100 == 0) {
      continue;
    }
    transaction.commit();
    model.erase(keys[i]);
    if (i % 1500 == 1499 || i + 30 == keys.size()) {
      ASSERT_EQ(problems(), "") << i;
      ASSERT_NO_FATAL_FAILURE(expect_model(ino, model));
    }
  }
  EXPECT_EQ(model.size(), 60u);
  while (!model.empty()) {
    Transaction transaction(volume_.journal());
    const InodeEdit inode(transaction, ino);
    const Key key = model.begin()->first;
    AttrWriter(inode).remove(attr_name(key.first, key.second));
    transaction.commit();
    model.erase(key);
  }
  ASSERT_NO_FATAL_FAILURE(expect_model(ino, model));
  EXPECT_EQ(read(ino).core().nblocks.get(), 0u);
  inactivate(volume_.journal(), ino);
  EXPECT_EQ(volume_.problems(), "");
}

// A node that has one child left beside a full one, which cannot take it.
TEST_P(AttrWriteSmallBlocks, ANodeGoesWithItsLastLeaf) {
  std::vector<std::string> names;
  for (int i = 0; i < 8000; ++i) names.push_back("name number " + std::to_string(i * 7919));
  std::sort(names.begin(), names.end(), [](const auto& left, const auto& right) {
    return std::pair(name_hash(left), left) < std::pair(name_hash(right), right);
  });
  const InodeNumber ino = create();
  Model model;
  const auto set = [&](const std::string& name) {
    Transaction transaction(volume_.journal());
    const InodeEdit inode(transaction, ino);
    AttrWriter(inode).set(attr_name(AttrNamespace::kUser, name), {});
    transaction.commit();
    model[{AttrNamespace::kUser, name}] = {};
  };
  // Children of the node behind the first one.
  const auto last_children = [&]() -> std::size_t {
    if (levels(ino) < 2) return 0;
    const MetadataReader reader(volume_.journal().cache().view(), volume_.geometry());
    DaReader blocks(reader, read(ino), Fork::kAttr, "attributes");
    const DaBlock root = blocks.read(FileBlock(0));
    return da_node_entries(blocks.read(FileBlock(da_node_entries(root.bytes).back().before)).bytes).size();
  };
  constexpr std::size_t kFull = (1024 - sizeof(DaNodeHeader)) / sizeof(DaNodeEntry);
  std::size_t used = 0;
  while (used < names.size() && last_children() != kFull) set(names[used++]);
  ASSERT_EQ(last_children(), kFull);
  ASSERT_EQ(problems(), "");
  bool went = false;
  for (std::size_t i = 0; i < used; ++i) {
    const bool two = levels(ino) == 2;
    Transaction transaction(volume_.journal());
    const InodeEdit inode(transaction, ino);
    AttrWriter(inode).remove(attr_name(AttrNamespace::kUser, names[i]));
    transaction.commit();
    model.erase({AttrNamespace::kUser, names[i]});
    if (!two || levels(ino) != 1) continue;
    went = true;
    ASSERT_EQ(problems(), "");
    ASSERT_NO_FATAL_FAILURE(expect_model(ino, model));
  }
  EXPECT_TRUE(went);
  ASSERT_NO_FATAL_FAILURE(expect_model(ino, model));
  inactivate(volume_.journal(), ino);
  EXPECT_EQ(volume_.problems(), "");
}

TEST_P(AttrWrite, TheLogBringsThemBack) {
  std::vector<File> files;
  const std::uint32_t inline_extents = room_bytes() / 16;
  for (const std::uint32_t extents : {0u, inline_extents, inline_extents + 1, 300u}) {
    files.push_back({.ino = create_file(extents)});
  }
  volume_.journal().write_back();
  for (File& file : files) {
    for (int i = 0; i < 30; ++i) file.keys.emplace_back(kSpaces[random_() % 3], random_name(i < 4 ? 12 : 255));
  }
  for (int i = 0; i < 1200; ++i) {
    static constexpr Phase kPhases[] = {{.keys = 3, .value_most = 9, .removals = 4},
                                        {.keys = 30, .value_most = 65537, .removals = 1},
                                        {.keys = 30, .value_most = 65537, .removals = 9}};
    File& file = files[random_() % files.size()];
    change(file.ino, file.model, file.keys, kPhases[static_cast<std::size_t>(i) / 100 % std::size(kPhases)]);
    if (i % 20 != 0) continue;
    volume_.journal().sync();
    OverlayDevice copy(volume_.device());
    EXPECT_FALSE(replay_log(copy, volume_.geometry()).walk.damage) << i;
    for (const File& each : files) ASSERT_NO_FATAL_FAILURE(expect_model(copy, each.ino, each.model)) << i;
  }
}

TEST_P(AttrWrite, WhatCannotBeIsRefused) {
  const InodeNumber ino = create();
  Transaction transaction(volume_.journal());
  const InodeEdit inode(transaction, ino);
  AttrWriter writer(inode);
  const std::vector<std::byte> value(65537);
  const std::string long_name(256, 'x');
  EXPECT_EQ(refused([&] { writer.set({.name = ""}, {}); }), Errc::kBadArgument);
  EXPECT_EQ(refused([&] { writer.set({.name = long_name}, {}); }), Errc::kBadArgument);
  EXPECT_EQ(refused([&] { writer.set({.name = std::string_view("a\0b", 3)}, {}); }), Errc::kBadArgument);
  EXPECT_EQ(refused([&] { writer.set({.name = "a"}, value); }), Errc::kBadArgument);
  EXPECT_EQ(refused([&] { writer.set({.space = attr_flags::kRoot | attr_flags::kSecure, .name = "a"}, {}); }),
            Errc::kBadArgument);
  EXPECT_EQ(refused([&] { writer.set({.space = attr_flags::kLocal, .name = "a"}, {}); }), Errc::kBadArgument);
  EXPECT_EQ(refused([&] { writer.remove({.name = "a"}); }), Errc::kNotFound);
  if (!GetParam().parent) {
    EXPECT_EQ(refused([&] { writer.set({.space = attr_flags::kParent, .name = "a"}, ByteSpan(value).first(12)); }),
              Errc::kBadArgument);
  }
  EXPECT_TRUE(read(ino).core().forkoff == 0);
}

TEST_P(AttrWriteParents, ParentPointersOfOneNameAreToldApart) {
  const InodeNumber ino = create();
  std::vector<ParentPointer> parents;
  for (std::uint32_t i = 0; i < 60; ++i) {
    parents.push_back({.ino = volume_.geometry().root_inode.value() + i % 30, .gen = i});
  }
  const auto bytes = [](const ParentPointer& pointer) { return std::as_bytes(std::span(&pointer, 1)); };
  for (std::size_t i = 0; i < parents.size(); ++i) {
    Transaction transaction(volume_.journal());
    const InodeEdit inode(transaction, ino);
    AttrWriter writer(inode);
    writer.set({.space = attr_flags::kParent, .name = "name"}, bytes(parents[i]), SetMode::kCreate);
    EXPECT_EQ(refused([&] {
                writer.set({.space = attr_flags::kParent, .name = "name"}, bytes(parents[i]), SetMode::kCreate);
              }),
              Errc::kExists);
    transaction.commit();
    ASSERT_EQ(attributes(ino).parents().size(), i + 1);
  }
  EXPECT_TRUE(attributes(ino).list().empty());
  for (std::size_t i = 0; i < parents.size(); ++i) {
    Transaction transaction(volume_.journal());
    const InodeEdit inode(transaction, ino);
    AttrWriter(inode).remove({.space = attr_flags::kParent, .name = "name"}, bytes(parents[i]));
    transaction.commit();
    const auto left = attributes(ino).parents();
    ASSERT_EQ(left.size(), parents.size() - i - 1);
    for (const ParentEntry& each : left) EXPECT_GT(each.generation, i);
  }
  inactivate(volume_.journal(), ino);
  EXPECT_EQ(volume_.problems(), "");
}

// Larger blocks would take too many attributes.
INSTANTIATE_TEST_SUITE_P(
    Geometries, AttrWriteSmallBlocks,
    ::testing::Values(VolumeCase{.name = "1k", .block_bytes = 1024},
                      VolumeCase{.name = "1k_plain", .block_bytes = 1024, .rmapbt = false, .reflink = false}),
    [](const auto& each) { return each.param.name; });
INSTANTIATE_TEST_SUITE_P(Geometries, AttrWriteParents,
                         ::testing::Values(VolumeCase{.name = "4k_parent", .parent = true}),
                         [](const auto& each) { return each.param.name; });
INSTANTIATE_TEST_SUITE_P(
    Geometries, AttrWrite,
    ::testing::Values(VolumeCase{.name = "4k"}, VolumeCase{.name = "4k_parent", .parent = true},
                      VolumeCase{.name = "1k", .block_bytes = 1024},
                      VolumeCase{.name = "1k_plain", .block_bytes = 1024, .rmapbt = false, .reflink = false},
                      VolumeCase{.name = "2k_1k_inodes", .block_bytes = 2048, .inode_bytes = 1024},
                      VolumeCase{.name = "2k_inodes", .inode_bytes = 2048},
                      VolumeCase{.name = "64k", .block_bytes = 65536, .size_bytes = 2u << 30}),
    [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace xdax::test

// Logs that announce changes of attributes and exchanges of ranges that cannot be.
#include <functional>

#include "libfs/base/error.h"
#include "libfs/device/overlay_device.h"
#include "tests/support/intents_fixture.h"

namespace xdax::test {
namespace {

using namespace attr_intent_ops;
using namespace exchange_flags;

// One clear word, and nothing that breaks.
class RecoveryIntentsHostile : public RecoveryIntents {
 protected:
  void expect_refused(const std::string& what, const LogItem& intent, std::string_view word) {
    SCOPED_TRACE(what);
    OverlayDevice crashed(static_cast<Device&>(device_));
    announce(crashed, geometry_, {intent});
    try {
      static_cast<void>(recover(crashed, geometry_));
      ADD_FAILURE() << "was finished";
    } catch (const CorruptionError& error) {
      EXPECT_NE(std::string_view(error.what()).find(word), std::string_view::npos) << error.what();
    }
  }
  template <class Format>
  [[nodiscard]] static LogItem with(LogItem item, const std::function<void(Format&)>& change) {
    change(mutable_view<Format>(item.regions[0]));
    return item;
  }
};

TEST_P(RecoveryIntentsHostile, ChangesOfAttributesThatCannotBe) {
  const MadeAttri good{.op = kSet, .ino = named_, .name = "name", .value = "value"};
  const auto changed = [&](const std::function<void(AttriLogFormat&)>& change) {
    return with<AttriLogFormat>(attri(good), change);
  };
  const InodeNumber unused(named_.value() + 20);
  const InodeNumber nowhere =
      geometry_.inode_number(AgNumber(3), AgInode(8000u << (geometry_.block_log - geometry_.inode_log)));
  expect_refused("an inode that is not in use", changed([&](auto& f) { f.ino = unused.value(); }), "");
  expect_refused("blocks that hold no inodes", changed([&](auto& f) { f.ino = nowhere.value(); }), "");
  expect_refused("no inode", changed([&](auto& f) { f.ino = ~0ull; }), "attri.ino");
  expect_refused("a longer name than there is", changed([&](auto& f) { f.name_len = std::uint16_t{5}; }), "as long");
  expect_refused("a shorter one", changed([&](auto& f) { f.name_len = std::uint16_t{0}; }), "attri.name_len");
  expect_refused("a longer value", changed([&](auto& f) { f.value_len = 9u; }), "as long");
  expect_refused("a value that is too long", changed([&](auto& f) { f.value_len = 65537u; }), "attri.value_len");
  expect_refused("no value", changed([&](auto& f) { f.value_len = 0u; }), "more regions");
  expect_refused("an unknown operation", changed([&](auto& f) { f.op_flags = 7u; }), "attri.op_flags");
  expect_refused("two namespaces", changed([&](auto& f) { f.attr_filter = 6u; }), "namespace");
  expect_refused("the parents' namespace", changed([&](auto& f) { f.attr_filter = 8u; }), "namespace");
  MadeAttri made = good;
  made.name = std::string("a\0b", 3);
  expect_refused("a zero in the name", attri(made), "names");
  log_attributes(false);
  expect_refused("a superblock that says nothing of it", attri(good), "superblock");
  log_attributes(true);
  LogItem missing = attri(good);
  missing.regions.pop_back();
  mutable_view<AttriLogFormat>(missing.regions[0]).size = std::uint16_t{2};
  expect_refused("a region too few", missing, "as long");
}

TEST_P(RecoveryIntentsHostile, ChangesOfParentPointersThatCannotBe) {
  MadeAttri good = parent_change(kParentReplace, named_, "named");
  good.new_name = "new";
  good.new_value = good.value;
  const auto changed = [&](const std::function<void(MadeAttri&)>& change) {
    MadeAttri made = good;
    change(made);
    return attri(made);
  };
  if (!GetParam().parent) return expect_refused("no parent pointers", attri(good), "where there are none");
  expect_refused("another generation", changed([](auto& m) { ++m.generation; }), "not the one");
  expect_refused("a slash", changed([](auto& m) { m.name = "a/b"; }), "entry of a directory");
  expect_refused("a slash in the new name", changed([](auto& m) { m.new_name = "a/b"; }), "entry of a directory");
  expect_refused("no inode", changed([](auto& m) { m.new_value = pointer_to(InodeNumber(~0ull), 1); }), "no inode");
  expect_refused("no pointer", changed([](auto& m) { m.value = m.new_value = "short"; }), "another length");
  expect_refused("no new pointer", changed([](auto& m) { m.new_value = ""; }), "as long");
  expect_refused("another namespace", changed([](auto& m) { m.filter = attr_flags::kRoot; }), "where there are none");
}

TEST_P(RecoveryIntentsHostile, ExchangesThatCannotBe) {
  const MadeXmi good = between(comb_, solid_);
  const auto changed = [&](const std::function<void(MadeXmi&)>& change) {
    MadeXmi made = good;
    change(made);
    return xmi(made);
  };
  const InodeNumber unused(solid_.value() + 20);
  expect_refused("another generation", changed([](auto& m) { ++m.generation; }), "not the one");
  expect_refused("another's", changed([](auto& m) { ++m.other_generation; }), "not the one");
  expect_refused("an inode that is not in use", changed([&](auto& m) { m.other = unused; }), "");
  expect_refused("no inode", changed([](auto& m) { m.one = InodeNumber(0); }), "xmi.inode");
  expect_refused("a directory", xmi(between(comb_, directory_)), "two kinds");
  expect_refused("two directories", xmi(between(directory_, geometry_.root_inode)), "maps no blocks");
  MadeXmi same = between(comb_, comb_);
  same.blocks = 8;
  same.other_at = 7;
  expect_refused("ranges that overlap", xmi(same), "overlap");
  expect_refused("behind the largest file", changed([](auto& m) { m.at = ~0ull; }), "xmi.startoff1");
  expect_refused("up to there", changed([](auto& m) { m.blocks = ~0ull; }), "xmi.startoff");
  expect_refused("an unknown flag", changed([](auto& m) { m.flags = 1u << 5; }), "xmi.flags");
  expect_refused("a size that cannot be", changed([](auto& m) {
                   m.flags = kSetSizes;
                   m.other_size = ~0ull;
                 }),
                 "size");
  expect_refused("attributes where there are none", changed([](auto& m) { m.flags = kAttrFork; }),
                 GetParam().parent ? "maps no blocks" : "no attributes");
}

TEST(RecoveryIntentsFeature, ExchangesOnAFilesystemThatKnowsNone) {
  WrittenVolume volume({.name = "none", .size_bytes = 64u << 20});
  const InodeNumber root = volume.geometry().root_inode;
  volume.journal().close();
  announce(volume.device(), volume.geometry(), {xmi({.one = root, .other = root, .other_at = 1})});
  try {
    static_cast<void>(recover(volume.device(), volume.geometry()));
    ADD_FAILURE() << "was finished";
  } catch (const CorruptionError& error) {
    EXPECT_NE(std::string_view(error.what()).find("knows none"), std::string_view::npos) << error.what();
  }
}

INSTANTIATE_TEST_SUITE_P(
    Volumes, RecoveryIntentsHostile,
    ::testing::Values(
        VolumeCase{.name = "b4k", .size_bytes = 64u << 20, .exchange = true},
        VolumeCase{.name = "parent", .block_bytes = 1024, .parent = true, .size_bytes = 64u << 20, .exchange = true}),
    [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace xdax::test

// Every problem of the table: an image with exactly that damage gives exactly that finding.
//
// Each row damages a copy on write of an image that the kernel filled, with checksums kept right, and names what else
// the same damage cannot but break. A row without a finding, a finding without a row, or one more than named, fails.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <random>
#include <set>

#include "fsck/check.h"
#include "fsck/flaw_findings.h"
#include "fsck/problems.h"
#include "fsck/report.h"
#include "libfs/device/fault_device.h"
#include "libfs/device/memory_device.h"
#include "tests/oracle/format_populate.h"
#include "tests/oracle/fsck_rows_files.h"
#include "tests/oracle/fsck_rows_names.h"
#include "tests/oracle/fsck_rows_structures.h"
#include "tests/oracle/fsck_rows_trees.h"
#include "tests/support/oracle.h"
#include "tests/support/xfs_repair.h"

namespace xdax::test {
namespace {

// A device that ends early.
class ShortDevice final : public Device {
 public:
  ShortDevice(Device& base, std::uint64_t size_bytes) : base_(base), size_bytes_(size_bytes) {}
  [[nodiscard]] const std::string& name() const override { return base_.name(); }
  [[nodiscard]] std::uint64_t size_bytes() const override { return size_bytes_; }
  [[nodiscard]] const DeviceTraits& traits() const override { return base_.traits(); }
  void read_batch(std::span<ReadRequest> requests) override {
    for (ReadRequest& request : requests) {
      if (request.offset_bytes > size_bytes_ || request.buffer.size() > size_bytes_ - request.offset_bytes)
        request.error = make_error_code(Errc::kOutOfRange);
      else
        base_.read_batch({&request, 1});
    }
  }
  void write_batch(std::span<WriteRequest>) override { throw std::logic_error("the checker writes"); }
  void zero(std::uint64_t, std::uint64_t, ZeroMode) override { throw std::logic_error("the checker writes"); }
  bool discard(std::uint64_t, std::uint64_t) override { throw std::logic_error("the checker writes"); }
  void persist() override { throw std::logic_error("the checker writes"); }

 private:
  Device& base_;
  std::uint64_t size_bytes_;
};

constexpr std::uint64_t kImageBytes = 320ull << 20;
// Enough for three leaves and more in every tree of group 0.
constexpr Filling kFilling = {.files = 12000, .holes = 1200, .clones = 700};

std::set<std::string> ids_of(const fsck::CheckResult& result) {
  std::set<std::string> ids;
  for (const fsck::Finding& finding : result.findings.findings()) ids.insert(fsck::row_of(finding.problem).id);
  return ids;
}

std::string describe_all(const fsck::CheckResult& result) {
  std::string text;
  for (const fsck::Finding& finding : result.findings.findings()) {
    text += fsck::describe(finding) + "\n";
    if (text.size() > 4000) break;
  }
  return text;
}

void fill_with_files(const std::filesystem::path& root, FileNames& names) {
  const Populate populate(root, {.block_bytes = 1024, .fragments = 900, .inodes = 400});
  populate.everything();
  for (const char* name : {"attr_twins", "attr_many", "attr_data", "quota", "removed"}) Populate::touch(root / name);
  populate.attribute("attr_twins", "user.one", 1);
  populate.attribute("attr_twins", "user.two", 1);
  for (unsigned i = 0; i < 110; ++i) populate.attribute("attr_many", "user.name" + std::to_string(i), 700);
  write_file(root / "attr_data", std::string(100 * 1024, 'd'));
  write_file(root / "quota", std::string(1024, 'q'));
  write_file(root / "small_source", std::string(100 * 1024, 's'));
  run_or_throw({"cp", "--reflink=always", (root / "small_source").string(), (root / "small_clone").string()});
  std::filesystem::create_directory(root / "wide");
  for (unsigned i = 0; i < 1300; ++i) {
    const std::string name = "wide/" + std::string(200, 'w') + std::to_string(i);
    if (::link((root / "target").c_str(), (root / name).c_str()) != 0) throw std::runtime_error("link");
  }
  std::filesystem::create_directory(root / "twins");
  for (const char* name : {"twins/one", "twins/two"}) {
    if (::link((root / "target").c_str(), (root / name).c_str()) != 0) throw std::runtime_error("link");
  }
  note_names(root, names);
  names["?free"] = names.at("removed");
  names.erase("removed");
  std::filesystem::remove(root / "removed");
}

// This kernel has no quota: a file's block is made into records, and the superblock names it.
void make_quota_file(const std::filesystem::path& image, const FileNames& names) {
  const auto device = open_device(image.string(), {.mode = OpenMode::kReadWrite});
  ImageEditor editor(*device);
  FileEditor files(editor, names);
  const FsBlock block = files.address("quota", Fork::kData, FileBlock(0));
  editor.edit_bytes(editor.geometry().byte_of(block), 1024, std::nullopt, [&](MutableByteSpan bytes) {
    std::fill(bytes.begin(), bytes.end(), std::byte{0});
    for (std::uint32_t i = 0; i < dquots_per_block(1024); ++i) {
      const MutableByteSpan record = bytes.subspan(i * sizeof(Dquot), sizeof(Dquot));
      auto& dquot = mutable_view<Dquot>(record);
      dquot.magic = Dquot::kMagic;
      dquot.version = Dquot::kVersion;
      dquot.type = static_cast<std::uint8_t>(DquotType::kUser);
      dquot.id = i;
      dquot.uuid = editor.geometry().uuid;
      seal(record, offsetof(Dquot, crc));
    }
  });
  // Its entry, and the one link of an inode that the superblock names.
  files.edit_inode("quota", [](InodeCore& core) { core.nlink = 2; });
  for (std::uint32_t ag = 0; ag < editor.geometry().ag_count; ++ag) {
    editor.edit_superblock(ag, [&](Superblock& sb) { sb.uquotino = files.ino("quota").value(); });
  }
  device->persist();
}

class FsckFindings : public ::testing::Test {
 protected:
  void SetUp() override {
    XDAX_NEED_KERNEL_XFS();
    XDAX_NEED_XFSPROGS();
  }

  Device& base(Base which) {
    std::unique_ptr<Device>& device = bases_[static_cast<std::size_t>(which)];
    if (device) return *device;
    const std::filesystem::path image = dir_.sparse_file("base" + std::to_string(static_cast<int>(which)), kImageBytes);
    const std::vector<std::string> rich = {"-b", "size=1024", "-m", "rmapbt=1,reflink=1,finobt=1", "-d", "agcount=4"};
    if (which == Base::kFilled) make_kernel_image(image, rich, kFilling);
    if (which == Base::kDirty) make_kernel_image(image, rich, {.files = 2000}, Leave::kShutDownFlushed);
    if (which == Base::kPlain) run_or_throw({"mkfs.xfs", "-q", "-m", "rmapbt=0", image.string()});
    if (which == Base::kFiles) make_files(image, {"-n", "parent=0"}, names_.files);
    if (which == Base::kParents) make_files(image, {"-n", "parent=1"}, names_.parents);
    if (which == Base::kCounted) make_files(image, {"-m", "rmapbt=0"}, names_.counted);
    device = open_device(image.string(), {.mode = OpenMode::kRead});
    return *device;
  }

  enum class Quota { kNone, kByHand };

  // Every form of file, and a quota file by hand.
  static void make_files(const std::filesystem::path& image, const std::vector<std::string>& options, FileNames& names,
                         Quota quota = Quota::kByHand) {
    std::vector<std::string> argv = {program_path("mkfs.xdax"), "-q", "-f", "-b", "size=1024"};
    argv.insert(argv.end(), options.begin(), options.end());
    argv.push_back(image.string());
    run_or_throw(argv);
    {
      const LoopDevice loop(image);
      Mount mount(loop.path());
      fill_with_files(mount.path(), names);
      mount.unmount();
    }
    if (quota == Quota::kByHand) make_quota_file(image, names);
  }

  void expect_exactly(const Row& row) {
    SCOPED_TRACE(fmt::format("{} ({})", row.id, row.name));
    OverlayDevice overlay(base(row.base));
    ImageEditor editor(overlay);
    ASSERT_NO_THROW(row.damage(editor));
    FaultDevice faulty(overlay, 1);
    if (row.unreadable) {
      const auto [byte, length] = row.unreadable(editor);
      faulty.add_rule({.operation = FaultOperation::kRead, .offset_bytes = byte, .length_bytes = length});
    }
    ShortDevice device(faulty, overlay.size_bytes() - row.cut_bytes);
    const fsck::CheckResult result = fsck::check_filesystem(device, {.threads = 2});
    std::set<std::string> expected(row.companions.begin(), row.companions.end());
    expected.insert(row.id);
    EXPECT_EQ(ids_of(result), expected) << describe_all(result);
    // Neither threads nor memory make a difference, but for how often the device is read.
    EXPECT_EQ(describe_all(fsck::check_filesystem(device, {.threads = 1, .memory_bytes = 1})), describe_all(result));
    const bool only_information =
        row.companions.empty() && fsck::row_of(*fsck::find_problem(row.id)).severity == fsck::Severity::kInfo;
    EXPECT_NE(result.findings.has_problems(), only_information);
  }
  void expect_exactly(const std::vector<Row>& rows) {
    for (const Row& row : rows) expect_exactly(row);
  }

  TempDir dir_{memory_temp_parent()};
  AllNames names_;
  std::unique_ptr<Device> bases_[6];
};

TEST_F(FsckFindings, BaseImagesAreCleanAndRich) {
  for (const Base which : {Base::kFilled, Base::kPlain, Base::kFiles, Base::kParents, Base::kCounted}) {
    const fsck::CheckResult result = fsck::check_filesystem(base(which), {.threads = 2});
    EXPECT_EQ(ids_of(result), std::set<std::string>()) << describe_all(result);
  }
  ImageEditor editor(base(Base::kFilled));
  for (const BtreeKind kind : kAllTrees) {
    const auto levels = editor.levels(kind, 0);
    ASSERT_GE(levels.size(), 2u) << btree_spec(kind).name;
    EXPECT_GE(levels.back().size(), 4u) << btree_spec(kind).name;
  }
}

TEST_F(FsckFindings, Superblocks) { expect_exactly(superblock_rows()); }
TEST_F(FsckFindings, Headers) { expect_exactly(header_rows()); }
TEST_F(FsckFindings, Trees) { expect_exactly(tree_rows()); }
TEST_F(FsckFindings, Records) { expect_exactly(record_rows()); }
TEST_F(FsckFindings, CrossChecks) { expect_exactly(cross_rows()); }
TEST_F(FsckFindings, Counters) { expect_exactly(counter_rows()); }
TEST_F(FsckFindings, Log) { expect_exactly(log_rows()); }
TEST_F(FsckFindings, Inodes) { expect_exactly(inode_rows(names_)); }
TEST_F(FsckFindings, Forks) { expect_exactly(fork_rows(names_)); }
TEST_F(FsckFindings, Names) { expect_exactly(name_rows(names_)); }
TEST_F(FsckFindings, Directories) { expect_exactly(directory_rows(names_)); }
TEST_F(FsckFindings, Attributes) { expect_exactly(attribute_rows(names_)); }

// Not one bit of a header, a tree block or an unmount record may change unseen.
TEST_F(FsckFindings, AnyFlippedBitOfMetadataIsFound) {
  OverlayDevice overlay(base(Base::kFilled));
  ImageEditor editor(overlay);
  std::vector<std::pair<std::uint64_t, std::uint64_t>> places;
  for (std::uint32_t sector = 0; sector < 4; ++sector) {
    places.emplace_back(editor.geometry().header_byte(AgNumber(0), sector), editor.geometry().sector_bytes);
    places.emplace_back(editor.geometry().header_byte(AgNumber(2), sector), editor.geometry().sector_bytes);
  }
  for (const BtreeKind kind : kAllTrees) {
    const auto levels = editor.levels(kind, 0);
    places.emplace_back(editor.geometry().byte_of(AgNumber(0), levels.front().front()), editor.geometry().block_bytes);
    places.emplace_back(editor.geometry().byte_of(AgNumber(0), levels.back().back()), editor.geometry().block_bytes);
  }
  std::mt19937 random(5);
  for (const auto& [byte, length] : places) {
    for (int i = 0; i < 6; ++i) {
      overlay.drop_changes();
      const std::uint64_t where = byte + random() % length;
      const std::byte mask{static_cast<std::uint8_t>(1u << random() % 8)};
      editor.edit_bytes(where, 1, std::nullopt, [&](MutableByteSpan bytes) { bytes[0] ^= mask; });
      const fsck::CheckResult result = fsck::check_filesystem(overlay, {.threads = 2});
      EXPECT_TRUE(result.findings.has_problems()) << "byte " << where;
    }
  }
}

// Damage that nobody thought of, with checksums kept right so that it is believed: inodes and blocks of directories,
// attributes and extent maps. The check must end, whatever it finds. XDAX_DAMAGE_SEEDS makes it a longer campaign; a
// failing seed is printed and alone decides what happens.
class RandomDamage {
 public:
  RandomDamage(FileEditor& editor, unsigned seed) : editor_(editor), random_(seed) {}

  void apply(const std::vector<std::string>& paths) {
    const unsigned count = 1 + pick(4);
    for (unsigned i = 0; i < count; ++i) one(paths[pick(paths.size())]);
  }

 private:
  [[nodiscard]] unsigned pick(std::size_t below) { return static_cast<unsigned>(random_() % below); }

  void one(const std::string& path) {
    const unsigned what = pick(8);
    if (what < 3) return editor_.edit_inode_bytes(path, [this](MutableByteSpan bytes) { mutate(bytes); });
    const Fork fork = what < 6 ? Fork::kData : Fork::kAttr;
    const std::vector<std::byte> inode = editor_.inode(path);
    if (fork_format(view<InodeCore>(inode), fork) == ForkFormat::kBtree && pick(2) == 0) {
      const FsBlock block = editor_.map_block(path, 0, fork);
      if (!editor_.geometry().valid_fs_block(block)) return;
      return editor_.edit_map_block(block, [this](MutableByteSpan bytes) { mutate(bytes); });
    }
    const std::vector<Extent> extents = editor_.extents(path, fork);
    if (extents.empty()) return;
    const Extent& extent = extents[pick(extents.size())];
    const FsBlock block = extent.start + pick(extent.length_blocks);
    const bool directory = fork == Fork::kData && view<InodeCore>(inode).type() == FileType::kDirectory;
    editor_.image().edit_bytes(editor_.geometry().byte_of(block), editor_.geometry().block_bytes,
                               crc_offset(directory, extent), [this](MutableByteSpan bytes) { mutate(bytes); });
  }

  [[nodiscard]] std::size_t crc_offset(bool directory, const Extent& extent) {
    if (!directory) return pick(2) == 0 ? offsetof(DaBlockInfo, crc) : offsetof(RemoteHeader, crc);
    const bool index = extent.file_block >= editor_.leaf_region() && extent.file_block < editor_.free_region();
    return index ? offsetof(DaBlockInfo, crc) : offsetof(DirBlockInfo, crc);
  }

  void mutate(MutableByteSpan bytes) {
    const unsigned count = 1 + pick(6);
    for (unsigned i = 0; i < count; ++i) {
      // Headers decide most, so they are hit more often.
      const std::size_t at = pick(pick(2) == 0 ? std::min<std::size_t>(bytes.size(), 256) : bytes.size());
      static constexpr std::uint8_t kValues[] = {0, 1, 0x7f, 0x80, 0xfe, 0xff};
      bytes[at] = pick(2) == 0 ? std::byte{kValues[pick(6)]} : bytes[at] ^ std::byte(1u << pick(8));
    }
  }

  FileEditor& editor_;
  std::mt19937 random_;
};

TEST_F(FsckFindings, RandomDamageToFilesEnds) {
  const char* wanted = std::getenv("XDAX_DAMAGE_SEEDS");
  const unsigned seeds = wanted != nullptr ? static_cast<unsigned>(std::strtoul(wanted, nullptr, 10)) : 400;
  for (const Base which : {Base::kFiles, Base::kParents, Base::kCounted}) {
    OverlayDevice overlay(base(which));
    std::vector<std::string> paths;
    for (const auto& [path, ino] : names_.of(which)) {
      const bool special = path.starts_with('?') || (path.starts_with("inodes/") && path.size() > 8);
      if (!special && !path.starts_with("node/") && !path.starts_with("leaf/") && !path.starts_with("wide/")) {
        paths.push_back(path);
      }
    }
    unsigned with_findings = 0;
    for (unsigned seed = 0; seed < seeds; ++seed) {
      SCOPED_TRACE(fmt::format("base {}, seed {}", static_cast<int>(which), seed));
      overlay.drop_changes();
      ImageEditor image(overlay);
      FileEditor editor(image, names_.of(which));
      RandomDamage(editor, seed).apply(paths);
      const fsck::CheckResult result = fsck::check_filesystem(overlay, {.threads = 2, .memory_bytes = 1u << 20});
      if (result.findings.has_problems()) ++with_findings;
    }
    // Some bytes mean nothing: unused regions, times, padding behind names.
    EXPECT_GT(with_findings, seeds / 2);
  }
}

// Whatever xfs_repair -n finds in the same damage is found here. XDAX_DAMAGE_SEEDS as above.
TEST_F(FsckFindings, WhatXfsRepairFindsIsFound) {
  const char* wanted = std::getenv("XDAX_DAMAGE_SEEDS");
  const unsigned seeds = wanted != nullptr ? static_cast<unsigned>(std::strtoul(wanted, nullptr, 10)) : 60;
  // Without the quota file that was made by hand, which xfs_repair would throw away.
  const std::filesystem::path image = dir_.sparse_file("for_both", kImageBytes);
  FileNames names;
  make_files(image, {"-n", "parent=0"}, names, Quota::kNone);
  const RepairVerdict untouched = xfs_repair_check(image);
  ASSERT_TRUE(untouched.clean) << untouched.output;
  std::vector<std::string> paths;
  for (const auto& [path, ino] : names) {
    if (!path.starts_with('?') && std::count(path.begin(), path.end(), '/') < 2) {
      if (!path.starts_with("node/") && !path.starts_with("wide/") && !path.starts_with("leaf/")) paths.push_back(path);
    }
  }
  unsigned both = 0;
  unsigned only_here = 0;
  for (unsigned seed = 0; seed < seeds; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    const std::filesystem::path copy = dir_.path("damaged");
    run_or_throw({"cp", "--sparse=always", image.string(), copy.string()});
    {
      const auto device = open_device(copy.string(), {.mode = OpenMode::kReadWrite});
      ImageEditor editor(*device);
      FileEditor files(editor, names);
      RandomDamage(files, seed).apply(paths);
      device->persist();
    }
    const auto device = open_device(copy.string(), {.mode = OpenMode::kRead});
    const fsck::CheckResult result = fsck::check_filesystem(*device, {.threads = 2});
    const RepairVerdict verdict = xfs_repair_check(copy);
    const bool found = result.findings.has_problems();
    EXPECT_TRUE(found || verdict.clean) << verdict.output;
    both += found && !verdict.clean ? 1 : 0;
    only_here += found && verdict.clean ? 1 : 0;
  }
  std::cout << fmt::format("of {} damaged images xfs_repair -n finds something in {}; here {} more\n", seeds, both,
                           only_here);
  EXPECT_GT(both, 0u);
}

// Groups that are nowhere: a superblock that claims far more than there is, on a sparse device.
fsck::CheckResult check_endless_groups() {
  constexpr std::uint32_t kGroups = 80000;
  constexpr std::uint32_t kBlocks = 64;
  constexpr std::uint32_t kBlockBytes = 1024;
  MemoryDevice device({.size_bytes = std::uint64_t{kGroups} * kBlocks * kBlockBytes});
  auto& sb = mutable_view<Superblock>(device.bytes());
  sb.magicnum = Superblock::kMagic;
  sb.versionnum = 0xb4a5;
  sb.features2 = 0x18a;
  sb.bad_features2 = 0x18a;
  sb.features_incompat = incompat_bits::kFtype;
  sb.blocksize = kBlockBytes;
  sb.blocklog = 10;
  sb.sectsize = 512;
  sb.sectlog = 9;
  sb.inodesize = 512;
  sb.inodelog = 9;
  sb.inopblock = 2;
  sb.inopblog = 1;
  sb.agblocks = kBlocks;
  sb.agblklog = 6;
  sb.agcount = kGroups;
  sb.dblocks = std::uint64_t{kGroups} * kBlocks;
  sb.logstart = 10;
  sb.logblocks = 32;
  sb.rootino = 64;
  sb.rextsize = 1;
  sb.inoalignmt = 4;
  seal(device.bytes().first(512), offsetof(Superblock, crc));
  return fsck::check_filesystem(device, {.threads = 2});
}

TEST_F(FsckFindings, MediaNamesTheFilesThatCannotBeRead) {
  OverlayDevice overlay(base(Base::kFiles));
  ImageEditor editor(overlay);
  const FsBlock block = FileEditor(editor, names_.files).address("small_clone", Fork::kData, FileBlock(3));
  FaultDevice device(overlay, 1);
  device.add_rule(
      {.operation = FaultOperation::kRead, .offset_bytes = editor.geometry().byte_of(block) + 512, .length_bytes = 1});
  EXPECT_EQ(ids_of(fsck::check_filesystem(device, {.threads = 2})), std::set<std::string>());
  const fsck::CheckResult result = fsck::check_filesystem(device, {.threads = 2, .media = true});
  std::set<std::string> found;
  for (const fsck::Finding& finding : result.findings.findings()) {
    EXPECT_EQ(finding.problem, fsck::Problem::kIoUnreadable);
    EXPECT_EQ(finding.byte, editor.geometry().byte_of(block));
    EXPECT_EQ(finding.length_blocks, 1u);
    found.insert(fmt::format("{} {} {}", finding.structure, finding.path, finding.detail));
  }
  EXPECT_EQ(found, (std::set<std::string>{"media  the files that hold it are named apart",
                                          "data /small_clone file block 3", "data /small_source file block 3"}))
      << describe_all(result);
}

TEST_F(FsckFindings, MediaOfASoundDeviceIsSound) {
  for (const Base which : {Base::kFilled, Base::kFiles, Base::kCounted}) {
    const fsck::CheckResult result = fsck::check_filesystem(base(which), {.threads = 2, .media = true});
    EXPECT_EQ(ids_of(result), std::set<std::string>()) << describe_all(result);
  }
}

TEST(FsckBounds, EndlessGroupsAreAbandoned) {
  const fsck::CheckResult result = check_endless_groups();
  EXPECT_THAT(ids_of(result), ::testing::IsSupersetOf({"fs.abandoned", "copy.magic", "agf.magic"}))
      << describe_all(result);
  EXPECT_LT(result.groups_checked, 80000u);
  EXPECT_LE(result.findings.findings().size(), 10000u);
}

TEST(FsckTable, EveryProblemHasARow) {
  std::set<std::string> covered = {"fs.abandoned"};  // FsckBounds
  const AllNames names;
  std::size_t total = 0;
  for (const auto& rows :
       {inode_rows(names), fork_rows(names), name_rows(names), directory_rows(names), attribute_rows(names),
        superblock_rows(), header_rows(), tree_rows(), record_rows(), cross_rows(), counter_rows(), log_rows()}) {
    for (const Row& row : rows) covered.insert(row.id);
    total += rows.size();
  }
  std::set<std::string> known;
  for (const fsck::ProblemRow& row : fsck::kProblems) known.insert(row.id);
  std::set<std::string> left_out;
  std::set_difference(known.begin(), known.end(), covered.begin(), covered.end(),
                      std::inserter(left_out, left_out.end()));
  EXPECT_EQ(left_out, std::set<std::string>());
  EXPECT_EQ(covered.size(), known.size());
  EXPECT_GE(total, 300u);
}

}  // namespace
}  // namespace xdax::test

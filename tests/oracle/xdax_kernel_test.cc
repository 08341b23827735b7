// What xdax reads is what the kernel shows: images of several geometries with every form of every structure, compared
// with what was seen through their mount: names, inodes, bytes, targets, attributes, positions of readdir.
#include <dirent.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "libfs/base/crc32c.h"
#include "libfs/base/error.h"
#include "libfs/device/device.h"
#include "libfs/format/attr_leaf.h"
#include "libfs/format/btree_block.h"
#include "libfs/format/dir_free.h"
#include "libfs/format/dir_leaf.h"
#include "libfs/format/remote_block.h"
#include "libfs/volume/volume.h"
#include "tests/oracle/format_features.h"
#include "tests/oracle/format_populate.h"
#include "tests/support/loop_device.h"
#include "tests/support/mount.h"
#include "tests/support/oracle.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace xdax::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

// One file as the kernel shows it.
struct Seen {
  struct stat status = {};
  std::string target;
  std::string digest;
  std::map<std::string, std::string> attributes;
};
struct Position {
  std::string name;
  std::uint64_t next = 0;  ///< where readdir goes on behind it
};
struct SeenTree {
  std::map<std::string, Seen> files;  ///< by path from the root of the filesystem
  std::map<std::string, std::vector<Position>> positions;
};

std::string hex_digest(const std::string& bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

// Of a file of 1 TiB or more, as man/xdax.1 defines it: offset and bytes of each 4096 that are not all zeros, then the
// size.
std::string sparse_digest(const std::filesystem::path& path, std::uint64_t size) {
  const auto number = [](std::uint64_t value) {
    std::string text(8, '\0');
    for (unsigned i = 0; i < 8; ++i) text[7 - i] = static_cast<char>(value >> (8 * i));
    return text;
  };
  const OpenFile file(path, O_RDONLY);
  std::string all;
  for (off_t at = ::lseek(file.get(), 0, SEEK_DATA); at >= 0; at = ::lseek(file.get(), at, SEEK_DATA)) {
    at -= at % 4096;
    std::string piece(static_cast<std::size_t>(std::min<std::uint64_t>(4096, size - static_cast<std::uint64_t>(at))),
                      '\0');
    must(::pread(file.get(), piece.data(), piece.size(), at) == static_cast<ssize_t>(piece.size()), "pread");
    if (piece.find_first_not_of('\0') != std::string::npos) all += number(static_cast<std::uint64_t>(at)) + piece;
    if (static_cast<std::uint64_t>(at) + piece.size() >= size) break;
    at += 4096;
  }
  return hex_digest(all + number(size));
}

std::string content(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::map<std::string, std::string> attributes_of(const std::filesystem::path& path) {
  std::map<std::string, std::string> all;
  std::string names(65536, '\0');
  const ssize_t length = ::llistxattr(path.c_str(), names.data(), names.size());
  must(length >= 0, "llistxattr");
  for (std::size_t at = 0; at < static_cast<std::size_t>(length);) {
    const std::string name = names.c_str() + at;
    at += name.size() + 1;
    std::string value(65536, '\0');
    const ssize_t size = ::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
    must(size >= 0, "lgetxattr " + name);
    value.resize(static_cast<std::size_t>(size));
    all[name] = value;
  }
  return all;
}

std::vector<Position> positions_of(const std::filesystem::path& path) {
  std::vector<Position> all;
  DIR* folder = ::opendir(path.c_str());
  must(folder != nullptr, "opendir");
  while (const dirent* entry = ::readdir(folder)) {
    all.push_back({entry->d_name, static_cast<std::uint64_t>(entry->d_off)});
  }
  ::closedir(folder);
  return all;
}

SeenTree see(const std::filesystem::path& root) {
  SeenTree tree;
  const auto one = [&](const std::filesystem::path& path, const std::string& name) {
    Seen seen;
    must(::lstat(path.c_str(), &seen.status) == 0, "lstat");
    if (S_ISLNK(seen.status.st_mode)) {
      seen.target = std::filesystem::read_symlink(path).string();
      seen.digest = hex_digest(seen.target);
    }
    if (S_ISREG(seen.status.st_mode)) {
      const auto size = static_cast<std::uint64_t>(seen.status.st_size);
      seen.digest = size >= 1ull << 40 ? sparse_digest(path, size) : hex_digest(content(path));
    }
    if (S_ISDIR(seen.status.st_mode)) tree.positions[name] = positions_of(path);
    seen.attributes = attributes_of(path);
    tree.files[name] = std::move(seen);
  };
  one(root, "/");
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    one(entry.path(), "/" + entry.path().lexically_relative(root).string());
  }
  return tree;
}

// A time as xdax prints it.
std::string time_text(const timespec& time) {
  std::tm parts{};
  ::gmtime_r(&time.tv_sec, &parts);
  char text[64];
  std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &parts);
  return fmt::format("{}.{:09}", text, time.tv_nsec);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

ProcessResult xdax(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), program_path("xdax"));
  return run(arguments);
}

std::vector<Json> xdax_json(std::vector<std::string> arguments) {
  arguments.emplace_back("--json");
  const ProcessResult result = xdax(std::move(arguments));
  EXPECT_EQ(result.exit_status, 0) << result.describe().substr(0, 1000);
  EXPECT_EQ(result.err, "");
  std::vector<Json> objects;
  for (const std::string& line : lines_of(result.out)) objects.push_back(Json::parse(line));
  return objects;
}

struct Case {
  const char* name;
  std::vector<std::string> mkfs;
  PopulateOptions populate = {};
  bool parent_pointers = false;
};
std::ostream& operator<<(std::ostream& out, const Case& each) { return out << each.name; }

const std::vector<Case> kCases = {
    {.name = "Block4K", .mkfs = {"-m", "rmapbt=1"}},
    {.name = "Block1K", .mkfs = {"-b", "size=1024", "-i", "nrext64=1"}, .populate = {.block_bytes = 1024}},
    {.name = "Block1KDir8K",
     .mkfs = {"-b", "size=1024", "-n", "size=8192", "-m", "bigtime=0"},
     .populate = {.block_bytes = 1024, .dir_block_bytes = 8192, .fragments = 1500}},
    {.name = "Inode2K", .mkfs = {"-i", "size=2048"}, .populate = {.fragments = 1000}},
    {.name = "ParentPointers",
     .mkfs = {"-b", "size=1024"},
     .populate = {.block_bytes = 1024, .fragments = 500, .inodes = 500},
     .parent_pointers = true},
};

void make_filled_image(const std::filesystem::path& image, const Case& each, SeenTree& tree) {
  std::vector<std::string> argv{"mkfs.xfs", "-q"};
  argv.insert(argv.end(), each.mkfs.begin(), each.mkfs.end());
  argv.push_back(image.string());
  run_or_throw(argv);
  if (each.parent_pointers) add_incompat_features(image, incompat_bits::kParent);
  LoopDevice loop(image);
  Mount mount(loop.path(), "noatime");
  Populate(mount.path(), each.populate).everything();
  const OpenFile odd(mount.path("bad\x1b[31m\nname"), O_WRONLY | O_CREAT);
  must(::ftruncate(odd.get(), (5 << 20) + 17) == 0, "ftruncate");
  // The last byte a file can have, something in the middle of nothing, and zeros that are written.
  const OpenFile last(mount.path("last_byte"), O_RDWR | O_CREAT);
  const off_t end = std::numeric_limits<off_t>::max();
  must(::ftruncate(last.get(), end) == 0, "ftruncate");
  const std::string zeros(10000, '\0');
  must(::pwrite(last.get(), "end", 3, end - 3) == 3 && ::pwrite(last.get(), "middle", 6, 0x1234567890abc) == 6 &&
           ::pwrite(last.get(), zeros.data(), zeros.size(), 1 << 20) == 10000,
       "pwrite");
  const OpenFile tebibyte(mount.path("tebibyte"), O_WRONLY | O_CREAT);
  must(::ftruncate(tebibyte.get(), off_t{1} << 40) == 0, "ftruncate");
  must(::fallocate(tebibyte.get(), 0, 1 << 20, 3 << 20) == 0, "fallocate");
  must(::pwrite(tebibyte.get(), "x", 1, 2 << 20) == 1, "pwrite");
  must(::symlink("a/b", mount.path("to_b").c_str()) == 0, "symlink");
  must(::chmod(mount.path("target").c_str(), 06751) == 0, "chmod");
  tree = see(mount.path());
}

void compare_listing(const std::filesystem::path& image, const SeenTree& tree) {
  std::set<std::string> paths;
  for (const Json& object : xdax_json({"ls", "-l", "-R", image})) {
    const std::string path = object["path"];
    SCOPED_TRACE(path);
    EXPECT_TRUE(paths.insert(path).second);
    ASSERT_TRUE(tree.files.contains(path));
    const Seen& seen = tree.files.at(path);
    EXPECT_EQ(object["inode"], seen.status.st_ino);
    EXPECT_EQ(object["mode"], seen.status.st_mode & 07777);
    EXPECT_EQ(object["links"], seen.status.st_nlink);
    EXPECT_EQ(object["size"], seen.status.st_size);
    EXPECT_EQ(object["mtime"], time_text(seen.status.st_mtim));
    if (!seen.target.empty()) {
      EXPECT_EQ(object["target"], seen.target);
    }
    if (S_ISCHR(seen.status.st_mode) || S_ISBLK(seen.status.st_mode)) {
      EXPECT_EQ(object["device"], Json({major(seen.status.st_rdev), minor(seen.status.st_rdev)}));
    }
  }
  EXPECT_EQ(paths.size() + 1, tree.files.size());  // all but the root
  std::set<std::string> in_tree;
  for (const Json& object : xdax_json({"tree", image})) in_tree.insert(object["path"].get<std::string>());
  EXPECT_EQ(in_tree, paths);
}

void compare_digests(const std::filesystem::path& image, const SeenTree& tree) {
  std::vector<std::string> paths;
  for (const Json& object : xdax_json({"digest", image})) {
    paths.push_back(object["path"]);
    EXPECT_EQ(object["digest"], tree.files.at(paths.back()).digest) << paths.back();
  }
  EXPECT_TRUE(std::is_sorted(paths.begin(), paths.end()));
  std::vector<std::string> expected;
  for (const auto& [path, seen] : tree.files) {
    if (!seen.digest.empty()) expected.push_back(path);
  }
  EXPECT_EQ(paths, expected);
}

void compare_attributes(const std::filesystem::path& image, const SeenTree& tree) {
  unsigned files = 0;
  for (const auto& [path, seen] : tree.files) {
    if (seen.attributes.empty()) continue;
    ++files;
    SCOPED_TRACE(path);
    std::map<std::string, std::size_t> expected;
    for (const auto& [name, value] : seen.attributes) expected[name] = value.size();
    std::map<std::string, std::size_t> found;
    for (const Json& object : xdax_json({"xattr", image, path})) {
      if (object.contains("name")) found[object["name"]] = object["bytes"];
    }
    EXPECT_EQ(found, expected);
    unsigned nth = 0;
    for (const auto& [name, value] : seen.attributes) {
      if (seen.attributes.size() > 50 && nth++ % 29 != 0) continue;
      EXPECT_EQ(xdax({"xattr", image, path, name}).out, value) << name;
    }
  }
  EXPECT_GE(files, 8u);
}

// In the library: every name is found by its hash, positions are the kernel's, and reading on from one gives the rest.
void compare_directories(const std::filesystem::path& image, const SeenTree& tree) {
  const auto device = open_device(image.string(), {.mode = OpenMode::kRead});
  const Volume volume = Volume::open(*device, {});
  std::set<DirForm> forms;
  for (const auto& [path, positions] : tree.positions) {
    SCOPED_TRACE(path);
    Directory folder = volume.directory(volume.walk(path, Follow::kNo));
    forms.insert(folder.form());
    std::vector<DirItem> items;
    for (Directory::Batch batch; !batch.end;) {
      batch = folder.read(batch.next);
      items.insert(items.end(), batch.items.begin(), batch.items.end());
    }
    ASSERT_EQ(items.size(), positions.size());
    for (std::size_t i = 0; i < items.size(); ++i) {
      EXPECT_EQ(items[i].name, positions[i].name);
      if (i + 1 < items.size()) {
        EXPECT_EQ(items[i + 1].cookie, positions[i].next) << items[i].name;
      }
      const auto found = folder.lookup(items[i].name);
      ASSERT_TRUE(found.has_value()) << items[i].name;
      EXPECT_EQ(found->ino, items[i].ino);
      EXPECT_EQ(found->cookie, items[i].cookie);
    }
    EXPECT_FALSE(folder.lookup("no such name").has_value());
    for (std::size_t i = 0; i + 1 < items.size(); i += items.size() / 5 + 1) {
      const Directory::Batch rest = folder.read(items[i].cookie + 1);
      if (!rest.items.empty()) {
        EXPECT_EQ(rest.items.front().name, items[i + 1].name);
      }
    }
  }
  EXPECT_EQ(forms, (std::set<DirForm>{DirForm::kShort, DirForm::kBlock, DirForm::kLeaf, DirForm::kNode}));
}

class XdaxKernel : public ::testing::TestWithParam<Case> {};

TEST_P(XdaxKernel, ReadsWhatTheMountShows) {
  XDAX_NEED_KERNEL_XFS();
  XDAX_NEED_XFSPROGS();
  const TempDir dir(memory_temp_parent());
  const auto image = dir.sparse_file("image", 512ull << 20);
  SeenTree tree;
  make_filled_image(image, GetParam(), tree);
  compare_listing(image, tree);
  compare_digests(image, tree);
  compare_attributes(image, tree);
  compare_directories(image, tree);

  for (const char* path : {"/fragmented", "/unwritten", "/punched", "/clone", "/bad\x1b[31m\nname"}) {
    const ProcessResult copied = xdax({"cat", image, path});
    EXPECT_EQ(copied.exit_status, 0) << copied.err;
    EXPECT_EQ(copied.out.size(), tree.files.at(path).status.st_size);
    EXPECT_EQ(hex_digest(copied.out), tree.files.at(path).digest) << path;
  }
  for (const char* path : {"/", "/target", "/fragmented", "/link_1023", "/fifo", "/node", "/block_device"}) {
    SCOPED_TRACE(path);
    const struct stat& status = tree.files.at(path).status;
    const Json object = xdax_json({"stat", image, path}).at(0);
    EXPECT_EQ(object["inode"], status.st_ino);
    EXPECT_EQ(object["mode"], fmt::format("{:04o}", status.st_mode & 07777));
    EXPECT_EQ(object["links"], status.st_nlink);
    EXPECT_EQ(object["uid"], status.st_uid);
    EXPECT_EQ(object["size"], status.st_size);
    EXPECT_EQ(object["blocks"].get<std::uint64_t>() * object["block_bytes"].get<std::uint64_t>(),
              static_cast<std::uint64_t>(status.st_blocks) * 512);
    EXPECT_EQ(object["atime"], time_text(status.st_atim));
    EXPECT_EQ(object["ctime"], time_text(status.st_ctim));
  }
}

TEST(XdaxKernelAttributes, ParentPointersAreApart) {
  XDAX_NEED_KERNEL_XFS();
  XDAX_NEED_XFSPROGS();
  const TempDir dir(memory_temp_parent());
  const auto image = dir.sparse_file("image", 512ull << 20);
  SeenTree tree;
  make_filled_image(image, kCases.back(), tree);
  const Json object = xdax_json({"xattr", image, "/a/b/c/d"}).at(0);
  EXPECT_EQ(object["entry"], "d");
  EXPECT_EQ(object["parent"], tree.files.at("/a/b/c").status.st_ino);
  std::size_t parents = 0;
  for (const Json& each : xdax_json({"xattr", image, "/target"})) parents += each.contains("parent") ? 1u : 0u;
  EXPECT_EQ(parents, tree.files.at("/target").status.st_nlink);
}

INSTANTIATE_TEST_SUITE_P(Geometries, XdaxKernel, ::testing::ValuesIn(kCases),
                         [](const auto& each) { return std::string(each.param.name); });

TEST(XdaxKernelCommand, PathsLinksAndExtents) {
  XDAX_NEED_KERNEL_XFS();
  XDAX_NEED_XFSPROGS();
  const TempDir dir(memory_temp_parent());
  const auto image = dir.sparse_file("image", 512ull << 20);
  SeenTree tree;
  make_filled_image(image, kCases[0], tree);
  const std::uint64_t in_c = tree.files.at("/a/b/c").status.st_ino;
  for (const char* path : {"a/b/c", "/a/./b//c", "/to_b/c", "/a/b/c/", "/short/../to_b/../b/c", "/../a/b/c"}) {
    EXPECT_EQ(xdax_json({"stat", image, path}).at(0)["inode"], in_c) << path;
  }
  EXPECT_EQ(xdax_json({"stat", image, "/to_b"}).at(0)["type"], "symlink");
  EXPECT_EQ(xdax_json({"stat", "-L", image, "/to_b"}).at(0)["inode"], tree.files.at("/a/b").status.st_ino);
  for (const char* path : {"/target/x", "/nothing", "/a/b/nothing/x", "/target/"}) {
    const ProcessResult result = xdax({"stat", image, path});
    EXPECT_EQ(result.exit_status, 1) << path;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
  // 64 blocks laid out, one of them written, five of them punched out.
  std::uint64_t written = 0;
  std::uint64_t unwritten = 0;
  for (const Json& object : xdax_json({"extents", image, "/unwritten"})) {
    (object["unwritten"].get<bool>() ? unwritten : written) += object["blocks"].get<std::uint64_t>();
  }
  EXPECT_EQ(written, 1u);
  EXPECT_EQ(unwritten, 64u - 5 - 1);
  for (const char* verb : {"ls", "tree", "digest"}) {
    const ProcessResult result = xdax({verb, image});
    EXPECT_EQ(result.exit_status, 0);
    EXPECT_THAT(result.out, Not(HasSubstr("\x1b")));
    EXPECT_THAT(result.out, HasSubstr("bad?[31m; name"));
  }
  for (const char* how : {"auto", "uring"}) {
    EXPECT_EQ(xdax({"digest", std::string("--io=") + how, image}).out, xdax({"digest", image}).out);
  }
}

// Many kernels are built without names that ignore case, so that mkfs.xfs fills the image, from a prototype.
TEST(XdaxKernelCommand, NamesThatIgnoreCase) {
  XDAX_NEED_XFSPROGS();
  const TempDir dir(memory_temp_parent());
  const auto image = dir.sparse_file("image", 320ull << 20);
  const std::vector<unsigned> counts{3, 40, 300, 3000};
  std::string prototype = "/\n0 0\nd--755 0 0\n";
  for (const unsigned count : counts) {
    prototype += fmt::format("Folder{} d--755 0 0\n", count);
    for (unsigned i = 0; i < count; ++i) prototype += fmt::format("Entry{} ---644 0 0 /dev/null\n", i);
    prototype += "$\n";
  }
  prototype += "$\n";
  std::ofstream(dir.path("prototype")) << prototype;
  run_or_throw({"mkfs.xfs", "-q", "-n", "version=ci", "-p", dir.path("prototype"), image});
  std::set<std::string> forms;
  for (const unsigned count : counts) {
    const std::string folder = std::to_string(count);
    forms.insert(xdax_json({"stat", image, "/folder" + folder}).at(0)["directory_form"]);
    for (unsigned i = 0; i < count; i += count / 3) {
      const Json other = xdax_json({"stat", image, fmt::format("/fOLDER{}/eNTRY{}", count, i)}).at(0);
      const Json same = xdax_json({"stat", image, fmt::format("/Folder{}/Entry{}", count, i)}).at(0);
      EXPECT_EQ(other["inode"], same["inode"]) << folder;
    }
  }
  EXPECT_EQ(forms, (std::set<std::string>{"short", "block", "leaf", "node"}));
}

TEST(XdaxKernelCommand, ADirtyLogIsRefusedUnlessIgnored) {
  XDAX_NEED_KERNEL_XFS();
  XDAX_NEED_XFSPROGS();
  const TempDir dir(memory_temp_parent());
  const auto image = dir.sparse_file("image", 320ull << 20);
  run_or_throw({"mkfs.xfs", "-q", image});
  {
    LoopDevice loop(image);
    Mount mount(loop.path());
    const ProcessResult mounted = xdax({"ls", loop.path()});
    EXPECT_EQ(mounted.exit_status, 1);
    EXPECT_EQ(std::count(mounted.err.begin(), mounted.err.end(), '\n'), 1) << mounted.err;
    EXPECT_THAT(xdax({"ls", "--ignore-log", loop.path()}).err, HasSubstr("warning: "));
    Populate::touch(mount.path("file"));
    mount.shut_down(true);
  }
  const ProcessResult refused = xdax({"ls", image});
  EXPECT_EQ(refused.exit_status, 1);
  EXPECT_EQ(refused.out, "");
  EXPECT_THAT(refused.err, HasSubstr("xdax_repair --replay-only or by a mount"));
  EXPECT_THAT(refused.err, HasSubstr("--ignore-log"));
  EXPECT_EQ(xdax({"ls", "--ignore-log", image}).exit_status, 0);
}

// Where the checksum of a metadata block is, by the magic it starts with or that the common header of the hash tree
// has.
std::optional<std::size_t> checksum_offset(ByteSpan block) {
  switch (view<be32>(block)) {
    case DirDataHeader::kBlockMagic:
    case DirDataHeader::kDataMagic:
    case DirFreeHeader::kMagic:
      return offsetof(DirBlockInfo, crc);
    case RemoteHeader::kAttrMagic:
    case RemoteHeader::kSymlinkMagic:
      return offsetof(RemoteHeader, crc);
    default:
      break;
  }
  if (view<be32>(block) == btree_spec(BtreeKind::kBmap).magic) return offsetof(LongBtreeHeader, crc);
  switch (view<DaBlockInfo>(block).magic) {
    case DirLeafHeader::kLeaf1Magic:
    case DirLeafHeader::kLeafNMagic:
    case DaNodeHeader::kMagic:
    case AttrLeafHeader::kMagic:
      return offsetof(DaBlockInfo, crc);
    default:
      return std::nullopt;
  }
}

// Reads everything there is. Returns how many files an error kept from being read.
unsigned read_all(const Volume& volume, const std::vector<InodeNumber>& files) {
  unsigned failed = 0;
  std::vector<std::byte> buffer(4096);
  for (const InodeNumber ino : files) {
    try {
      const Inode inode = volume.inode(ino);
      if (inode.is_directory()) {
        Directory folder = volume.directory(ino);
        const std::vector<DirItem> items = folder.list();
        for (std::size_t i = 0; i < items.size(); i += 37) (void)folder.lookup(items[i].name);
      } else if (inode.type() == FileType::kSymlink) {
        (void)volume.symlink(ino);
      } else if (inode.type() == FileType::kRegular) {
        FileReader file = volume.file(ino);
        for (FileBlock at; const auto extent = file.next_extent(at);) {
          EXPECT_GT(extent->file_block + extent->length_blocks, at);
          at = extent->file_block + extent->length_blocks;
        }
        for (std::uint64_t at = 0; at < file.size_bytes(); at += file.size_bytes() / 8 + 1) (void)file.read(at, buffer);
      }
      Attributes attributes = volume.attributes(ino);
      (void)attributes.parents();
      for (const Attribute& each : attributes.list()) (void)attributes.get(each.space, each.name);
    } catch (const Error&) {
      ++failed;
    }
  }
  return failed;
}

// Bytes of metadata blocks changed, with checksums that are right: an answer or an error, and always an end.
TEST(XdaxKernelHostile, EveryReadEnds) {
  XDAX_NEED_KERNEL_XFS();
  XDAX_NEED_XFSPROGS();
  const TempDir dir(memory_temp_parent());
  const auto image = dir.sparse_file("image", 512ull << 20);
  SeenTree tree;
  // Blocks of one size, so that a magic tells where the checksum's end is.
  make_filled_image(image, {.name = "", .mkfs = {}, .populate = {.fragments = 3000, .inodes = 10}}, tree);
  const auto device = open_device(image.string(), {.mode = OpenMode::kReadWrite});
  const Volume volume = Volume::open(*device, {});
  std::vector<InodeNumber> files;
  std::set<std::uint64_t> known;
  for (const auto& [path, seen] : tree.files) {
    if (known.insert(seen.status.st_ino).second) files.emplace_back(seen.status.st_ino);
  }
  EXPECT_EQ(read_all(volume, files), 0u);
  std::vector<std::byte> whole(device->size_bytes());
  device->read(0, whole);
  const std::uint32_t block_bytes = volume.geometry().block_bytes;
  std::vector<std::uint64_t> blocks;
  for (std::uint64_t at = 0; at + block_bytes <= whole.size(); at += block_bytes) {
    if (checksum_offset(ByteSpan(whole).subspan(at, block_bytes))) blocks.push_back(at);
  }
  constexpr unsigned kSeed = 11;
  std::mt19937 random(kSeed);
  unsigned refused = 0;
  for (unsigned round = 0; round < 400; ++round) {
    const std::uint64_t at = blocks[random() % blocks.size()];
    const ByteSpan sound = ByteSpan(whole).subspan(at, block_bytes);
    std::vector<std::byte> bytes(sound.begin(), sound.end());
    // Half of the changes are in the first bytes, where counts, levels and addresses are.
    for (unsigned i = 0; i < 1 + round % 3; ++i) {
      bytes[random() % (round % 2 == 0 ? 128 : bytes.size())] = static_cast<std::byte>(random());
    }
    seal(bytes, *checksum_offset(sound));
    device->write(at, bytes);
    refused += read_all(volume, files) > 0 ? 1 : 0;
    device->write(at, sound);
  }
  EXPECT_GT(refused, 100u);
  EXPECT_EQ(read_all(volume, files), 0u);
}

}  // namespace
}  // namespace xdax::test

// Images for the tests of the checker: filled by the kernel, and edited field by field with checksums kept right.
//
// The editor finds its way with structs of libfs/format and a walk of its own; it shares nothing with the checker.
#pragma once

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "libfs/base/crc32c.h"
#include "libfs/device/overlay_device.h"
#include "libfs/format/agf.h"
#include "libfs/format/agfl.h"
#include "libfs/format/agi.h"
#include "libfs/format/btree_block.h"
#include "libfs/format/btree_records.h"
#include "libfs/format/superblock.h"
#include "tests/support/loop_device.h"
#include "tests/support/mount.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace xdax::test {

/// How a filesystem is filled. Everything goes to the root directory's group unless `folders` spreads it.
struct Filling {
  unsigned files = 0;                 ///< small files, every third deleted again
  unsigned file_bytes = 0;            ///< size of each
  unsigned folders = 0;               ///< over so many directories
  unsigned holes = 0;                 ///< single-block holes punched into one large file
  unsigned clones = 0;                ///< ranges of one file shared with another
  unsigned attributes = 0;            ///< extended attributes of one file
  std::uint64_t fill_until_full = 0;  ///< files of so many bytes until there is no space, then every other one deleted
  unsigned seed = 1;
};

class FileHandle {
 public:
  explicit FileHandle(const std::filesystem::path& path)
      : fd_(::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)) {
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), path.string());
  }
  ~FileHandle() { ::close(fd_); }
  FileHandle(const FileHandle&) = delete;
  FileHandle& operator=(const FileHandle&) = delete;
  [[nodiscard]] int fd() const { return fd_; }
  void allocate(int mode, std::uint64_t offset_bytes, std::uint64_t length_bytes) const {
    if (::fallocate(fd_, mode, static_cast<off_t>(offset_bytes), static_cast<off_t>(length_bytes)) != 0)
      throw std::system_error(errno, std::generic_category(), "fallocate");
  }
  void write(std::uint64_t offset_bytes, const std::string& bytes) const {
    if (::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset_bytes)) !=
        static_cast<ssize_t>(bytes.size()))
      throw std::system_error(errno, std::generic_category(), "pwrite");
  }

 private:
  int fd_;
};

inline void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream stream(path, std::ios::binary);
  stream << bytes;
  stream.close();
  if (!stream) throw std::runtime_error("cannot write " + path.string());
}

inline void make_small_files(const std::filesystem::path& root, const Filling& filling) {
  const auto path_of = [&](unsigned i) {
    const std::filesystem::path folder =
        filling.folders == 0 ? root : root / ("folder" + std::to_string(i % filling.folders));
    return folder / ("file" + std::to_string(i));
  };
  for (unsigned i = 0; i < filling.folders; ++i)
    std::filesystem::create_directory(root / ("folder" + std::to_string(i)));
  for (unsigned i = 0; i < filling.files; ++i) write_file(path_of(i), std::string(filling.file_bytes, 'f'));
  for (unsigned i = 0; i < filling.files; i += 3) std::filesystem::remove(path_of(i));
}

inline void make_holes(const std::filesystem::path& root, unsigned holes, std::uint64_t block_bytes) {
  const FileHandle file(root / "holes");
  file.allocate(0, 0, 3 * block_bytes * holes);
  // Holes of one and of two blocks, so that the sizes differ.
  for (unsigned i = 0; i < holes; ++i)
    file.allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3 * block_bytes * i, (1 + i % 2) * block_bytes);
}

inline void make_clones(const std::filesystem::path& root, const Filling& filling, std::uint64_t block_bytes) {
  std::mt19937 random(filling.seed);
  const std::uint64_t blocks = 4 * std::uint64_t{filling.clones} + 16;
  const FileHandle source(root / "source");
  source.write(0, std::string(blocks * block_bytes, 's'));
  if (::fsync(source.fd()) != 0) throw std::system_error(errno, std::generic_category(), "fsync");
  const FileHandle first(root / "clone1");
  const FileHandle second(root / "clone2");
  for (unsigned i = 0; i < filling.clones; ++i) {
    const std::uint64_t length_blocks = 1 + random() % 3;
    file_clone_range range{.src_fd = source.fd(),
                           .src_offset = 4 * block_bytes * i,
                           .src_length = length_blocks * block_bytes,
                           .dest_offset = 4 * block_bytes * i};
    for (const FileHandle* target : {&first, &second}) {
      if (target == &second && i % 3 != 0) continue;
      if (::ioctl(target->fd(), FICLONERANGE, &range) != 0)
        throw std::system_error(errno, std::generic_category(), "clone");
    }
  }
  // Writing to the source makes the kernel stage copies, and fragments the sharing.
  for (unsigned i = 0; i < filling.clones; i += 5) source.write(4 * block_bytes * i, std::string(block_bytes, 'w'));
}

inline void fill_until_full(const std::filesystem::path& root, std::uint64_t file_bytes) {
  const std::string bytes(file_bytes, 'x');
  unsigned count = 0;
  for (bool full = false; !full; ++count) {
    std::ofstream stream(root / ("full" + std::to_string(count)), std::ios::binary);
    stream << bytes;
    stream.close();
    full = !stream;
  }
  for (unsigned i = 0; i < count; i += 2) std::filesystem::remove(root / ("full" + std::to_string(i)));
  // Once the inodes that became free are used up, new ones go where only a few blocks lie together: sparse chunks.
  for (unsigned i = 0; i < 40000; ++i) {
    std::ofstream stream(root / ("late" + std::to_string(i)));
    if (!stream) break;
  }
}

inline void fill(const std::filesystem::path& root, const Filling& filling, std::uint64_t block_bytes) {
  if (filling.files > 0) make_small_files(root, filling);
  if (filling.holes > 0) make_holes(root, filling.holes, block_bytes);
  if (filling.clones > 0) make_clones(root, filling, block_bytes);
  for (unsigned i = 0; i < filling.attributes; ++i) {
    write_file(root / "attributes", "");
    (void)run({"setfattr", "-n", "user.name" + std::to_string(i), "-v", std::string(100 + i, 'v'),
               (root / "attributes").string()});
  }
  if (filling.fill_until_full > 0) fill_until_full(root, filling.fill_until_full);
}

/// What mkfs.xfs takes as leave to make small filesystems and logs, for tests.
inline const ProcessOptions kAllowSmall = {.environment = {{"TEST_DIR", "1"}, {"TEST_DEV", "1"}, {"QA_CHECK_FS", "1"}}};

/// How the kernel leaves the image.
enum class Leave { kUnmounted, kShutDown, kShutDownFlushed };

/// Makes `image` with mkfs.xfs, lets the kernel fill it, and leaves it.
inline void make_kernel_image(const std::filesystem::path& image, const std::vector<std::string>& options,
                              const Filling& filling, Leave leave = Leave::kUnmounted) {
  std::vector<std::string> argv = {"mkfs.xfs", "-q", "-f"};
  argv.insert(argv.end(), options.begin(), options.end());
  argv.push_back(image.string());
  run_or_throw(argv, kAllowSmall);
  const std::string bytes = read_bytes(image, 0, 512);
  const std::uint64_t block_bytes = view<Superblock>(std::as_bytes(std::span(bytes))).blocksize;
  LoopDevice loop(image);
  {
    Mount mount(loop.path());
    fill(mount.path(), filling, block_bytes);
    if (leave == Leave::kUnmounted)
      mount.unmount();
    else
      mount.shut_down(leave == Leave::kShutDownFlushed);
  }
  loop.detach();
}

/// Edits structures in place and keeps their checksums right.
class ImageEditor {
 public:
  explicit ImageEditor(Device& device) : device_(device) {
    std::vector<std::byte> sector(kBasicBlockBytes);
    device.read(0, sector);
    geometry_ = Geometry(view<Superblock>(sector));
  }

  [[nodiscard]] const Geometry& geometry() const { return geometry_; }
  [[nodiscard]] Device& device() { return device_; }

  template <class T>
  [[nodiscard]] T header(std::uint32_t ag, std::uint32_t sector) {
    std::vector<std::byte> bytes(geometry_.sector_bytes);
    device_.read(geometry_.header_byte(AgNumber(ag), sector), bytes);
    return view<T>(bytes);
  }
  [[nodiscard]] Agf agf(std::uint32_t ag) { return header<Agf>(ag, 1); }
  [[nodiscard]] Agi agi(std::uint32_t ag) { return header<Agi>(ag, 2); }

  using ByteEdit = std::function<void(MutableByteSpan)>;
  /// `crc_offset` of the structure; nothing leaves the checksum as the edit left it.
  void edit_bytes(std::uint64_t byte, std::size_t length, std::optional<std::size_t> crc_offset, const ByteEdit& edit) {
    std::vector<std::byte> bytes(length);
    device_.read(byte, bytes);
    edit(bytes);
    if (crc_offset) seal(bytes, *crc_offset);
    device_.write(byte, bytes);
  }
  template <class T>
  void edit_header(std::uint32_t ag, std::uint32_t sector, std::optional<std::size_t> crc_offset,
                   const std::function<void(T&)>& edit) {
    edit_bytes(geometry_.header_byte(AgNumber(ag), sector), geometry_.sector_bytes, crc_offset,
               [&](MutableByteSpan bytes) { edit(mutable_view<T>(bytes)); });
  }
  void edit_superblock(std::uint32_t ag, const std::function<void(Superblock&)>& edit, bool reseal = true) {
    edit_header<Superblock>(ag, 0, reseal ? std::optional(offsetof(Superblock, crc)) : std::nullopt, edit);
  }
  void edit_agf(std::uint32_t ag, const std::function<void(Agf&)>& edit, bool reseal = true) {
    edit_header<Agf>(ag, 1, reseal ? std::optional(offsetof(Agf, crc)) : std::nullopt, edit);
  }
  void edit_agi(std::uint32_t ag, const std::function<void(Agi&)>& edit, bool reseal = true) {
    edit_header<Agi>(ag, 2, reseal ? std::optional(offsetof(Agi, crc)) : std::nullopt, edit);
  }
  void edit_agfl(std::uint32_t ag, const std::function<void(AgflHeader&, std::span<be32>)>& edit, bool reseal = true) {
    edit_bytes(geometry_.header_byte(AgNumber(ag), 3), geometry_.sector_bytes,
               reseal ? std::optional(offsetof(AgflHeader, crc)) : std::nullopt,
               [&](MutableByteSpan bytes) { edit(mutable_view<AgflHeader>(bytes), agfl_entries(bytes)); });
  }

  /// The blocks of a tree, the root's level first, each level left to right.
  [[nodiscard]] std::vector<std::vector<AgBlock>> levels(BtreeKind kind, std::uint32_t ag) {
    const BtreeLayout layout(kind, geometry_.block_bytes);
    std::vector<std::vector<AgBlock>> result = {{root(kind, ag)}};
    while (true) {
      std::vector<AgBlock> children;
      for (const AgBlock block : result.back()) {
        const std::vector<std::byte> bytes = read_block(ag, block);
        const auto& header = view<ShortBtreeHeader>(bytes);
        if (header.level == 0) return result;
        for (std::uint32_t i = 0; i < header.numrecs; ++i)
          children.emplace_back(view<be32>(bytes, layout.pointer_offset(i)));
      }
      result.push_back(std::move(children));
    }
  }
  [[nodiscard]] AgBlock root(BtreeKind kind, std::uint32_t ag) {
    switch (kind) {
      case BtreeKind::kBno:
        return AgBlock(agf(ag).roots[Agf::kBno]);
      case BtreeKind::kCnt:
        return AgBlock(agf(ag).roots[Agf::kCnt]);
      case BtreeKind::kRmap:
        return AgBlock(agf(ag).roots[Agf::kRmap]);
      case BtreeKind::kRefcount:
        return AgBlock(agf(ag).refcount_root);
      case BtreeKind::kInobt:
        return AgBlock(agi(ag).root);
      case BtreeKind::kFinobt:
        return AgBlock(agi(ag).free_root);
      case BtreeKind::kBmap:
        break;
    }
    throw std::logic_error("no such tree in a group");
  }

  [[nodiscard]] std::vector<std::byte> read_block(std::uint32_t ag, AgBlock block) {
    std::vector<std::byte> bytes(geometry_.block_bytes);
    device_.read(geometry_.byte_of(AgNumber(ag), block), bytes);
    return bytes;
  }
  void edit_block(std::uint32_t ag, AgBlock block, const ByteEdit& edit, bool reseal = true) {
    edit_bytes(geometry_.byte_of(AgNumber(ag), block), geometry_.block_bytes,
               reseal ? std::optional(offsetof(ShortBtreeHeader, crc)) : std::nullopt, edit);
  }
  void edit_tree_header(std::uint32_t ag, AgBlock block, const std::function<void(ShortBtreeHeader&)>& edit,
                        bool reseal = true) {
    edit_block(ag, block, [&](MutableByteSpan bytes) { edit(mutable_view<ShortBtreeHeader>(bytes)); }, reseal);
  }

  template <class Record>
  [[nodiscard]] std::vector<Record> records(std::uint32_t ag, AgBlock leaf) {
    const std::vector<std::byte> bytes = read_block(ag, leaf);
    const std::uint32_t count = view<ShortBtreeHeader>(bytes).numrecs;
    const auto span = view_array<Record>(bytes, sizeof(ShortBtreeHeader), count);
    return {span.begin(), span.end()};
  }
  /// The records may become more or fewer, as long as they fit the block.
  template <class Record>
  void edit_records(std::uint32_t ag, AgBlock leaf, const std::function<void(std::vector<Record>&)>& edit) {
    std::vector<Record> list = records<Record>(ag, leaf);
    edit(list);
    edit_block(ag, leaf, [&](MutableByteSpan bytes) {
      if (sizeof(ShortBtreeHeader) + list.size() * sizeof(Record) > bytes.size())
        throw std::logic_error("leaf is full");
      mutable_view<ShortBtreeHeader>(bytes).numrecs = static_cast<std::uint16_t>(list.size());
      std::memcpy(bytes.data() + sizeof(ShortBtreeHeader), list.data(), list.size() * sizeof(Record));
    });
  }

  struct Place {
    AgBlock leaf;
    std::size_t index = 0;
  };
  /// A record for which `wanted(records, index)` holds, inside a leaf: neither its first nor its last, so that no key
  /// in a node depends on it. `spare`: the leaf can lose a record, and gain one.
  template <class Record>
  [[nodiscard]] Place find(BtreeKind kind, std::uint32_t ag,
                           const std::function<bool(const std::vector<Record>&, std::size_t)>& wanted) {
    const BtreeLayout layout(kind, geometry_.block_bytes);
    const std::vector<AgBlock> leaves = levels(kind, ag).back();
    for (const AgBlock leaf : leaves) {
      const std::vector<Record> list = records<Record>(ag, leaf);
      if (list.size() <= layout.min_entries(0) || list.size() >= layout.max_entries(0)) continue;
      for (std::size_t i = 1; i + 1 < list.size(); ++i) {
        if (wanted(list, i)) return {leaf, i};
      }
    }
    throw std::runtime_error(std::string("the image has no such record in ") + btree_spec(kind).name);
  }

 private:
  Device& device_;
  Geometry geometry_;
};

}  // namespace xdax::test

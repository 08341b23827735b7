// Edits files of an image by their paths: inodes, blocks of their forks, what lies in them.
#pragma once

#include <sys/stat.h>

#include <map>
#include <stdexcept>
#include <string>

#include "fsck/fork_walk.h"
#include "fsck/name_scan.h"
#include "libfs/format/da_node.h"
#include "libfs/format/inode.h"
#include "libfs/format/inode_fork.h"
#include "tests/oracle/fsck_image.h"

namespace xdax::test {

/// Inode numbers by path from the root, as the kernel gave them. Filled before the rows are used.
using FileNames = std::map<std::string, std::uint64_t>;

inline void note_names(const std::filesystem::path& root, FileNames& names) {
  struct stat status{};
  if (::lstat(root.c_str(), &status) != 0) throw std::system_error(errno, std::generic_category(), "stat");
  names["/"] = status.st_ino;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (::lstat(entry.path().c_str(), &status) != 0) throw std::system_error(errno, std::generic_category(), "stat");
    names[entry.path().lexically_relative(root).string()] = status.st_ino;
  }
}

class FileEditor {
 public:
  FileEditor(ImageEditor& image, const FileNames& names) : image_(image), names_(names) {}

  [[nodiscard]] const Geometry& geometry() const { return image_.geometry(); }
  [[nodiscard]] ImageEditor& image() { return image_; }
  [[nodiscard]] InodeNumber ino(const std::string& path) const {
    const auto found = names_.find(path);
    if (found == names_.end()) throw std::logic_error("no file " + path);
    return InodeNumber(found->second);
  }

  /// Another file of the same group whose inode belongs to the same list of unlinked ones.
  [[nodiscard]] std::string in_same_bucket(const std::string& path) const {
    const InodeNumber own = ino(path);
    for (const auto& [name, number] : names_) {
      const InodeNumber other(number);
      if (other == own || name.starts_with('?') || geometry().ag_of(other) != geometry().ag_of(own)) continue;
      if ((geometry().ag_inode_of(other) - geometry().ag_inode_of(own)) % 64 == 0) return name;
    }
    throw std::logic_error("no other file in the bucket of " + path);
  }

  [[nodiscard]] std::vector<std::byte> inode(const std::string& path) {
    std::vector<std::byte> bytes(geometry().inode_bytes);
    image_.device().read(geometry().byte_of(ino(path)), bytes);
    return bytes;
  }
  void edit_inode_bytes(const std::string& path, const ImageEditor::ByteEdit& edit, bool reseal = true) {
    image_.edit_bytes(geometry().byte_of(ino(path)), geometry().inode_bytes,
                      reseal ? std::optional(offsetof(InodeCore, crc)) : std::nullopt, edit);
  }
  void edit_inode(const std::string& path, const std::function<void(InodeCore&)>& edit, bool reseal = true) {
    edit_inode_bytes(path, [&](MutableByteSpan bytes) { edit(mutable_view<InodeCore>(bytes)); }, reseal);
  }
  /// The fork's own bytes inside the inode.
  void edit_fork(const std::string& path, Fork fork, const ImageEditor::ByteEdit& edit) {
    edit_inode_bytes(path, [&](MutableByteSpan bytes) {
      const ForkArea area = fork_area(view<InodeCore>(bytes), geometry().inode_bytes, fork);
      edit(bytes.subspan(area.offset_bytes, area.size_bytes));
    });
  }
  void edit_extent(const std::string& path, std::size_t index, const std::function<void(Extent&)>& edit,
                   Fork fork = Fork::kData) {
    edit_fork(path, fork, [&](MutableByteSpan bytes) {
      auto& record = mutable_view<ExtentRecord>(bytes, index * sizeof(ExtentRecord));
      Extent extent = Extent::decode(record);
      edit(extent);
      record = extent.encode();
    });
  }

  [[nodiscard]] std::vector<Extent> extents(const std::string& path, Fork fork = Fork::kData) {
    const std::vector<std::byte> bytes = inode(path);
    fsck::NoFindings silence;
    fsck::FileView file(image_.device(), geometry(), silence);
    file.ino = ino(path);
    file.inode = bytes;
    fsck::ForkMap map;
    fsck::MapKeeper keeper(map);
    fsck::ForkWalk(file, fork, keeper).run();
    return map.extents;
  }
  [[nodiscard]] FsBlock address(const std::string& path, Fork fork, FileBlock at) {
    for (const Extent& extent : extents(path, fork)) {
      if (at >= extent.file_block && at - extent.file_block < extent.length_blocks) {
        return extent.start + (at - extent.file_block);
      }
    }
    throw std::logic_error("block not mapped: " + path);
  }
  /// A block of a fork, or a directory's block of several.
  void edit_block(const std::string& path, Fork fork, FileBlock at, std::optional<std::size_t> crc_offset,
                  const ImageEditor::ByteEdit& edit) {
    const std::size_t bytes = fork == Fork::kData ? geometry().dir_block_bytes() : geometry().block_bytes;
    image_.edit_bytes(geometry().byte_of(address(path, fork, at)), bytes, crc_offset, edit);
  }
  /// Blocks of a fork's extent map, leaves first seen.
  [[nodiscard]] FsBlock map_block(const std::string& path, std::uint32_t index, Fork fork = Fork::kData) {
    const std::vector<std::byte> bytes = inode(path);
    const ByteSpan root = fork_bytes(bytes, fork);
    const BmapRootLayout layout(static_cast<std::uint32_t>(root.size()));
    return FsBlock(view<be64>(root, layout.pointer_offset(index)));
  }
  void edit_map_block(FsBlock block, const ImageEditor::ByteEdit& edit, bool reseal = true) {
    image_.edit_bytes(geometry().byte_of(block), geometry().block_bytes,
                      reseal ? std::optional(offsetof(LongBtreeHeader, crc)) : std::nullopt, edit);
  }

  [[nodiscard]] FileBlock leaf_region() const { return DirRegions::of(geometry()).leaf; }
  [[nodiscard]] FileBlock free_region() const { return DirRegions::of(geometry()).free; }

 private:
  ImageEditor& image_;
  const FileNames& names_;
};

}  // namespace xdax::test

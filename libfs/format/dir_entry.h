// A directory entry, decoded: what all forms of a directory have in common.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "libfs/base/bytes.h"
#include "libfs/base/units.h"
#include "libfs/format/inode.h"

namespace xdax {

/// The type of file an entry names, as stored beside it.
enum class DirFileType : std::uint8_t {
  kUnknown = 0,
  kRegular = 1,
  kDirectory = 2,
  kCharacterDevice = 3,
  kBlockDevice = 4,
  kFifo = 5,
  kSocket = 6,
  kSymlink = 7,
  kWhiteout = 8,
};
inline constexpr std::uint8_t kMaxDirFileType = 8;

/// The type an entry for an inode with this mode stores.
[[nodiscard]] constexpr DirFileType dir_file_type_of(FileType type) {
  switch (type) {
    case FileType::kFifo:
      return DirFileType::kFifo;
    case FileType::kCharacterDevice:
      return DirFileType::kCharacterDevice;
    case FileType::kDirectory:
      return DirFileType::kDirectory;
    case FileType::kBlockDevice:
      return DirFileType::kBlockDevice;
    case FileType::kRegular:
      return DirFileType::kRegular;
    case FileType::kSymlink:
      return DirFileType::kSymlink;
    case FileType::kSocket:
      return DirFileType::kSocket;
    default:
      return DirFileType::kUnknown;
  }
}

struct DirEntry {
  std::string_view name;  ///< looks into the block
  InodeNumber ino;
  DirFileType file_type = DirFileType::kUnknown;  ///< unknown where the filesystem does not store it
  std::uint32_t at_bytes = 0;                     ///< where it lies in its block or fork
};

namespace limits {
/// Largest inode number that fits 32 bits; a shortform directory that names a larger one stores all in 64.
inline constexpr std::uint64_t kMaxShortInode = 0xffffffffull;
}  // namespace limits

/// Directory addresses count in units of this many bytes.
inline constexpr std::uint32_t kDirAlignBytes = 8;

/// Bytes of an entry in a data or block form block: number, name with its length, type, and its own offset at the end.
[[nodiscard]] constexpr std::uint32_t dir_data_entry_bytes(std::uint32_t name_bytes, bool file_type) {
  const std::uint32_t bytes = 8 + 1 + name_bytes + (file_type ? 1 : 0) + 2;
  return (bytes + kDirAlignBytes - 1) / kDirAlignBytes * kDirAlignBytes;
}

/// The characters of a name that lies at `offset_bytes`. Asserts that it is inside.
[[nodiscard]] inline std::string_view name_at(ByteSpan bytes, std::size_t offset_bytes, std::size_t length_bytes) {
  const ByteSpan name = bytes.subspan(offset_bytes, length_bytes);
  return {reinterpret_cast<const char*>(name.data()), name.size()};
}

}  // namespace xdax

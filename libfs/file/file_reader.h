// Bytes of files, and targets of symbolic links.
//
// A hole and an extent that was never written read as zeros, and so does the rest of the last block. Not thread-safe:
// the extent map remembers its last leaf. Each user makes its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "libfs/base/bytes.h"
#include "libfs/format/extent.h"
#include "libfs/inode/extent_map.h"
#include "libfs/inode/inode_reader.h"

namespace xdax {

class FileReader {
 public:
  /// Of a regular file. Throws RefusalError: kBadArgument for another type, kNotSupported for a file on a realtime
  /// device. Throws CorruptionError and IoError, as all members do. The inode need not outlive the reader.
  FileReader(const MetadataReader& reader, const Inode& inode);

  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }
  /// Reads at an offset and returns how many bytes that gave: fewer than asked for only at the end of the file.
  std::size_t read(std::uint64_t offset_bytes, MutableByteSpan buffer);
  /// The first extent that ends behind `from`, as it is stored: unwritten ones and those past the end too.
  [[nodiscard]] std::optional<Extent> next_extent(FileBlock from) { return map_.next(from); }
  /// The first byte at or behind `offset_bytes` that is not in a hole; the size when there is none.
  [[nodiscard]] std::uint64_t next_data(std::uint64_t offset_bytes);
  /// The first byte at or behind `offset_bytes` that was written, and the first that was not, where blocks are the
  /// unit; the size when there is none. SEEK_DATA and SEEK_HOLE, for a file whose bytes are all on disk.
  [[nodiscard]] std::uint64_t next_written(std::uint64_t offset_bytes);
  [[nodiscard]] std::uint64_t next_unwritten(std::uint64_t offset_bytes);

 private:
  MetadataReader reader_;
  InodeNumber ino_;
  std::uint64_t size_bytes_;
  ExtentMap map_;
};

/// The target of a symbolic link, at most 1024 bytes, wherever it is stored. Throws RefusalError (kBadArgument) for
/// another type, CorruptionError, IoError.
[[nodiscard]] std::string read_symlink(const MetadataReader& reader, const Inode& inode);

}  // namespace xdax

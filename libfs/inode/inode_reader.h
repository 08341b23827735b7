// Inodes, read one at a time and verified.
//
// An Inode is a copy of the bytes on disk that verify_inode() found sound: every field, and what lies in its forks but
// for the content of shortform directories and attributes, which libfs/dir and libfs/attr verify. A value; thread-safe
// as one.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "libfs/base/bytes.h"
#include "libfs/base/units.h"
#include "libfs/format/inode.h"
#include "libfs/format/inode_fork.h"
#include "libfs/inode/metadata_reader.h"

namespace xdax {

class Inode {
 public:
  /// `bytes` is a whole inode that verify_inode() found sound.
  Inode(InodeNumber ino, std::vector<std::byte> bytes) : ino_(ino), bytes_(std::move(bytes)) {}

  [[nodiscard]] InodeNumber ino() const { return ino_; }
  [[nodiscard]] const InodeCore& core() const { return view<InodeCore>(bytes_); }
  [[nodiscard]] ByteSpan bytes() const { return bytes_; }
  [[nodiscard]] ByteSpan fork(Fork fork) const { return fork_bytes(bytes_, fork); }
  [[nodiscard]] FileType type() const { return core().type(); }
  [[nodiscard]] bool is_directory() const { return type() == FileType::kDirectory; }

 private:
  InodeNumber ino_;
  std::vector<std::byte> bytes_;
};

/// The content that a fork holds inside the inode: for the data fork as many bytes as the inode's size says.
[[nodiscard]] ByteSpan local_content(const Inode& inode, Fork fork);
/// Where the inode, or one of its forks, lies on the device, for messages.
[[nodiscard]] MetadataPlace inode_place(const MetadataReader& reader, const Inode& inode);
[[nodiscard]] MetadataPlace fork_place(const MetadataReader& reader, const Inode& inode, Fork fork,
                                       const char* structure);

class InodeReader {
 public:
  explicit InodeReader(const MetadataReader& reader) : reader_(reader) {}

  /// The inode, which something names and which must therefore be in use. Throws RefusalError (kOutOfRange) for a
  /// number that cannot exist, CorruptionError for a flaw or a free inode, IoError. Thread-safe.
  [[nodiscard]] Inode read(InodeNumber ino) const;

 private:
  MetadataReader reader_;
};

}  // namespace xdax

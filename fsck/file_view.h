// One file under check: its inode, the extents of its forks, and where findings about it are placed.
//
// A FileView looks at an inode that has the magic of one; nothing else of it is believed. A ForkMap lists the extents
// of a fork as they could be found, in order of the file and without overlaps; `intact` says whether that is all of
// them. Not thread-safe; each worker has its own.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "fsck/finding.h"
#include "fsck/group_context.h"
#include "libfs/base/bytes.h"
#include "libfs/device/aligned_buffer.h"
#include "libfs/device/device.h"
#include "libfs/format/extent.h"
#include "libfs/format/geometry.h"
#include "libfs/format/inode.h"
#include "libfs/format/inode_fork.h"

namespace xdax::fsck {

struct ForkMap {
  std::vector<Extent> extents;  ///< in order of file_block, without overlaps, each inside the filesystem
  /// Everything the fork maps is listed: a block that is not is a hole, not damage that was reported already.
  bool intact = false;

  /// The extent that maps `block`; null for a hole.
  [[nodiscard]] const Extent* find(FileBlock block) const;
  /// Blocks mapped.
  [[nodiscard]] std::uint64_t blocks() const;
  /// The first file block behind the last extent; 0 when there is none.
  [[nodiscard]] std::uint64_t end_block() const;
  /// Whether two extents map the same blocks of the device, which only regular files may, and those not twice in one.
  [[nodiscard]] bool overlaps_on_disk() const;
};

class FileView {
 public:
  FileView(Device& device_in, const Geometry& geometry_in, FindingSink& findings_in)
      : device(device_in), geometry(geometry_in), findings(findings_in) {}

  Device& device;
  const Geometry& geometry;
  FindingSink& findings;
  std::optional<LogSequence> log_head;
  /// For sums that stand for sets (fsck/extent_sums.h); nobody who makes an image can know it.
  std::uint64_t seed = 0;
  /// What lists made to explain a difference may take.
  std::uint64_t memory_bytes = 256ull << 20;
  InodeNumber ino;
  /// The whole inode; valid while the file is checked.
  ByteSpan inode;

  [[nodiscard]] const InodeCore& core() const { return view<InodeCore>(inode); }

  /// A finding about this file, placed at its inode.
  [[nodiscard]] Finding place(const char* structure) const;
  /// The same, placed at a block of the file.
  [[nodiscard]] Finding place(const char* structure, FsBlock block) const;
  void add(Problem problem, Finding finding) {
    finding.problem = problem;
    findings.add(std::move(finding));
  }
  /// Whether a structure is stamped past the end of the log.
  [[nodiscard]] bool stamped_ahead(LogSequence lsn) const { return log_head && lsn > *log_head && lsn != ~0ull; }
  /// Reports a structure that is.
  void check_stamp(LogSequence lsn, const Finding& where);
};

/// Reads blocks of a fork tolerantly: a failure is a finding and an answer, never an exception. Neighbouring blocks are
/// read ahead, so that walking a fork in order costs few requests.
class ForkReader {
 public:
  ForkReader(FileView& file, const ForkMap& map, const char* structure)
      : file_(file), map_(map), structure_(structure) {}

  struct Piece {
    ByteSpan bytes;  ///< valid until the next read
    FsBlock first;   ///< address of the first block
  };

  /// Reads `length_blocks` blocks (at most 64 KiB) from `at` as one piece. Nothing when one of them is not mapped or is
  /// unwritten (not reported here: the caller knows what it means), or cannot be read (reported as io.unreadable).
  [[nodiscard]] std::optional<Piece> read(FileBlock at, std::uint32_t length_blocks);
  /// Whether all of them are mapped and written.
  [[nodiscard]] bool mapped(FileBlock at, std::uint32_t length_blocks) const;

 private:
  [[nodiscard]] std::optional<Piece> from_window(FileBlock at, std::uint32_t length_blocks) const;
  [[nodiscard]] std::uint64_t in_one_piece(FileBlock at, std::uint64_t most_blocks) const;
  enum class Report : std::uint8_t { kNo, kYes };
  [[nodiscard]] bool fill_window(FileBlock at, std::uint64_t length_blocks, Report report);

  FileView& file_;
  const ForkMap& map_;
  const char* structure_;
  IoBytes buffer_;
  std::vector<ReadRequest> requests_;
  // What the buffer holds: blocks of the file without a hole.
  ByteSpan window_;
  FileBlock window_start_;
  FileBlock singly_until_;                  ///< reading ahead failed: blocks before it are read as they are asked for
  std::optional<FileBlock> expected_next_;  ///< nothing before the first read
};

}  // namespace xdax::fsck

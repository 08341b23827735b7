// Where a metadata block keeps its stamp and its checksum, told by the magic it starts with.
//
// Recovery meets blocks of every kind and knows of some only their bytes; what it writes must carry the LSN of the
// change and a right checksum. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "libfs/base/bytes.h"
#include "libfs/base/uuid.h"
#include "libfs/format/log_items.h"

namespace xdax {

struct BlockStamp {
  std::size_t lsn_offset = 0;
  std::size_t uuid_offset = 0;
  std::size_t crc_offset = 0;

  [[nodiscard]] std::uint64_t lsn(ByteSpan block) const;
  [[nodiscard]] const Uuid& uuid(ByteSpan block) const { return view<Uuid>(block, uuid_offset); }
  /// Whether the checksum is right: otherwise the block may have been written in part, and its LSN says nothing.
  [[nodiscard]] bool whole(ByteSpan block) const;
  /// Stores `lsn` and the checksum of the whole.
  void set(MutableByteSpan block, std::uint64_t lsn) const;
};

/// Of a block with one stamp; nothing for inodes, quota records and what is no metadata.
[[nodiscard]] std::optional<BlockStamp> stamp_of(ByteSpan block);

/// What the log calls such a block; kUnknown for what is no metadata.
[[nodiscard]] BufLogType log_type_of(ByteSpan block);

}  // namespace xdax

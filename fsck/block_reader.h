// Reads blocks of a group in batches, tolerantly.
//
// Neighbouring blocks are read in one request; when such a request fails its blocks are read one by one, so that one
// bad sector costs one block. A failure is an answer, never an exception. Not thread-safe; each group has its own.
#pragma once

#include <cstdint>
#include <span>
#include <system_error>
#include <vector>

#include "libfs/base/bytes.h"
#include "libfs/base/units.h"
#include "libfs/device/aligned_buffer.h"
#include "libfs/device/device.h"
#include "libfs/format/geometry.h"

namespace xdax::fsck {

class BlockReader {
 public:
  BlockReader(Device& device, const Geometry& geometry, AgNumber ag);

  /// The most blocks one read() takes: about a mebibyte.
  [[nodiscard]] std::uint32_t batch_blocks() const { return batch_blocks_; }

  /// Reads up to batch_blocks() blocks, which must lie inside the group. What block() gives is valid until the next
  /// read.
  void read(std::span<const AgBlock> blocks);

  /// The bytes of the i-th block of the last read; meaningless when error(i) is set.
  [[nodiscard]] ByteSpan block(std::size_t index) const {
    return ByteSpan(buffer_).subspan(index << geometry_.block_log, geometry_.block_bytes);
  }
  [[nodiscard]] const std::error_code& error(std::size_t index) const { return errors_[index]; }

 private:
  void read_one_by_one(std::span<const AgBlock> blocks, std::size_t first, std::size_t count);

  Device& device_;
  const Geometry& geometry_;
  AgNumber ag_;
  std::uint32_t batch_blocks_;
  IoBytes buffer_;
  std::vector<std::error_code> errors_;
  std::vector<ReadRequest> requests_;
  std::vector<std::size_t> first_of_request_;
};

}  // namespace xdax::fsck

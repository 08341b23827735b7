#include "fsck/block_reader.h"

#include <algorithm>

namespace xdax::fsck {
namespace {

constexpr std::uint32_t kBatchBytes = 1u << 20;

}  // namespace

BlockReader::BlockReader(Device& device, const Geometry& geometry, AgNumber ag)
    : device_(device), geometry_(geometry), ag_(ag), batch_blocks_(kBatchBytes >> geometry.block_log) {}

void BlockReader::read(std::span<const AgBlock> blocks) {
  XDAX_ASSERT(blocks.size() <= batch_blocks_);
  // Most trees are one block: the buffer grows with what is asked for.
  if (buffer_.size() < blocks.size() << geometry_.block_log) buffer_.resize(blocks.size() << geometry_.block_log);
  errors_.assign(blocks.size(), {});
  requests_.clear();
  first_of_request_.clear();
  for (std::size_t i = 0; i < blocks.size();) {
    std::size_t end = i + 1;
    while (end < blocks.size() && blocks[end] == blocks[end - 1] + 1) ++end;
    const std::size_t at = i << geometry_.block_log;
    const std::size_t bytes = (end - i) << geometry_.block_log;
    requests_.push_back({.offset_bytes = geometry_.byte_of(ag_, blocks[i]),
                         .buffer = MutableByteSpan(buffer_).subspan(at, bytes),
                         .error = {}});
    first_of_request_.push_back(i);
    i = end;
  }
  device_.read_batch(requests_);
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    if (!requests_[i].error) continue;
    const std::size_t first = first_of_request_[i];
    const std::size_t count = requests_[i].buffer.size() >> geometry_.block_log;
    if (count == 1)
      errors_[first] = requests_[i].error;
    else
      read_one_by_one(blocks, first, count);
  }
}

void BlockReader::read_one_by_one(std::span<const AgBlock> blocks, std::size_t first, std::size_t count) {
  std::vector<ReadRequest> singles(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = (first + i) << geometry_.block_log;
    singles[i] = {.offset_bytes = geometry_.byte_of(ag_, blocks[first + i]),
                  .buffer = MutableByteSpan(buffer_).subspan(at, geometry_.block_bytes),
                  .error = {}};
  }
  device_.read_batch(singles);
  for (std::size_t i = 0; i < count; ++i) errors_[first + i] = singles[i].error;
}

}  // namespace xdax::fsck

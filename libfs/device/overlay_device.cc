// Copy on write over a device that is never written. See overlay_device.h.

#include "libfs/device/overlay_device.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "libfs/base/assert.h"
#include "libfs/base/math.h"
#include "libfs/device/checks.h"

namespace xdax {
namespace {

/// Roughly what a node of a hash table or tree costs beside its payload.
constexpr std::uint64_t kNodeBytes = 64;

}  // namespace

OverlayDevice::OverlayDevice(std::unique_ptr<Device> base, OverlayOptions options) : OverlayDevice(*base, options) {
  owned_ = std::move(base);
}

OverlayDevice::OverlayDevice(Device& base, OverlayOptions options)
    : base_(base), traits_(base.traits()), block_bytes_(options.block_bytes) {
  XDAX_ASSERT(std::has_single_bit(block_bytes_) && block_bytes_ >= 512 && block_bytes_ <= (1u << 20));
  traits_.read_only = false;
  traits_.persistent_memory = false;
}

std::uint64_t OverlayDevice::block_end_bytes(std::uint64_t block) const {
  const std::uint64_t begin_bytes = block * block_bytes_;
  return begin_bytes + std::min<std::uint64_t>(block_bytes_, size_bytes() - begin_bytes);
}

OverlayDevice::State OverlayDevice::state_of(std::uint64_t block) const {
  if (const auto found = blocks_.find(block); found != blocks_.end())
    return {.bytes = found->second.get(), .zeroed = false};
  const auto after = zeroed_.upper_bound(block);
  const bool zeroed = after != zeroed_.begin() && std::prev(after)->second > block;
  return {.bytes = nullptr, .zeroed = zeroed};
}

void OverlayDevice::read_batch(std::span<ReadRequest> requests) {
  // Everything is read from the base at once, outside the lock, and then what was changed is laid over it.
  base_.read_batch(requests);
  for (ReadRequest& request : requests) {
    if (request.error == Errc::kOutOfRange) continue;
    if (request.error) {
      request.error = read_piecewise(request.offset_bytes, request.buffer);
    } else {
      patch(request.offset_bytes, request.buffer);
    }
  }
}

void OverlayDevice::patch(std::uint64_t offset_bytes, MutableByteSpan buffer) {
  const MutexLock lock(mutex_);
  if (blocks_.empty() && zeroed_.empty()) return;
  while (!buffer.empty()) {
    const std::uint64_t block = offset_bytes / block_bytes_;
    const auto length_bytes =
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), block_end_bytes(block) - offset_bytes));
    const State state = state_of(block);
    if (state.bytes != nullptr) {
      std::memcpy(buffer.data(), state.bytes + offset_bytes % block_bytes_, length_bytes);
    } else if (state.zeroed) {
      std::memset(buffer.data(), 0, length_bytes);
    }
    offset_bytes += length_bytes;
    buffer = buffer.subspan(length_bytes);
  }
}

/// After the base failed the request as a whole: only blocks that the overlay does not hold need the base.
std::error_code OverlayDevice::read_piecewise(std::uint64_t offset_bytes, MutableByteSpan buffer) {
  while (!buffer.empty()) {
    const std::uint64_t block = offset_bytes / block_bytes_;
    const auto length_bytes =
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), block_end_bytes(block) - offset_bytes));
    const MutableByteSpan piece = buffer.first(length_bytes);
    bool held = false;
    {
      const MutexLock lock(mutex_);
      const State state = state_of(block);
      held = state.bytes != nullptr || state.zeroed;
    }
    if (held) {
      patch(offset_bytes, piece);
    } else {
      ReadRequest request{.offset_bytes = offset_bytes, .buffer = piece, .error = {}};
      base_.read_batch({&request, 1});
      if (request.error) return request.error;
    }
    offset_bytes += length_bytes;
    buffer = buffer.subspan(length_bytes);
  }
  return {};
}

void OverlayDevice::write_batch(std::span<WriteRequest> requests) {
  for (WriteRequest& request : requests) {
    request.error = write_range_error(*this, request.offset_bytes, request.buffer.size());
    if (request.error || request.buffer.empty()) continue;
    request.error = change(request.offset_bytes, request.buffer.data(), request.buffer.size());
  }
}

std::error_code OverlayDevice::change(std::uint64_t offset_bytes, const std::byte* data, std::uint64_t length_bytes) {
  while (length_bytes > 0) {
    const std::uint64_t block = offset_bytes / block_bytes_;
    const auto piece_bytes = static_cast<std::size_t>(std::min(length_bytes, block_end_bytes(block) - offset_bytes));
    {
      const MutexLock lock(mutex_);
      const std::error_code error = change_block(block, offset_bytes % block_bytes_, data, piece_bytes);
      if (error) return error;
    }
    offset_bytes += piece_bytes;
    length_bytes -= piece_bytes;
    if (data != nullptr) data += piece_bytes;
  }
  return {};
}

std::error_code OverlayDevice::change_block(std::uint64_t block, std::uint64_t into_bytes, const std::byte* data,
                                            std::size_t length_bytes) {
  State state = state_of(block);
  if (state.bytes == nullptr) {
    const std::uint64_t begin_bytes = block * block_bytes_;
    const auto held_bytes = static_cast<std::size_t>(block_end_bytes(block) - begin_bytes);
    Block fresh = std::make_unique<std::byte[]>(block_bytes_);
    if (!state.zeroed && length_bytes < held_bytes) {
      ReadRequest rest{.offset_bytes = begin_bytes, .buffer = {fresh.get(), held_bytes}, .error = {}};
      base_.read_batch({&rest, 1});
      if (rest.error) return rest.error;
    }
    state.bytes = fresh.get();
    blocks_.emplace(block, std::move(fresh));
  }
  if (data != nullptr) {
    std::memcpy(state.bytes + into_bytes, data, length_bytes);
  } else {
    std::memset(state.bytes + into_bytes, 0, length_bytes);
  }
  return {};
}

void OverlayDevice::zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, ZeroMode) {
  require_writable_range(*this, offset_bytes, length_bytes, "zero");
  if (length_bytes == 0) return;
  const std::uint64_t end_bytes = offset_bytes + length_bytes;
  // The last block of the device counts as whole even when the device ends inside it.
  const std::uint64_t first = div_ceil(offset_bytes, std::uint64_t{block_bytes_});
  const std::uint64_t end =
      end_bytes == size_bytes() ? div_ceil(end_bytes, std::uint64_t{block_bytes_}) : end_bytes / block_bytes_;
  const auto zero_part = [&](std::uint64_t part_offset, std::uint64_t part_bytes) {
    if (!change(part_offset, nullptr, part_bytes)) return;
    throw IoError(Errc::kWriteFailed, name() + ": cannot zero part of a block at byte " + std::to_string(part_offset) +
                                          ": the device cannot read the rest of it");
  };
  if (first >= end) {
    zero_part(offset_bytes, length_bytes);
    return;
  }
  if (first * block_bytes_ > offset_bytes) zero_part(offset_bytes, first * block_bytes_ - offset_bytes);
  if (end * block_bytes_ < end_bytes) zero_part(end * block_bytes_, end_bytes - end * block_bytes_);
  const MutexLock lock(mutex_);
  zero_blocks(first, end);
}

void OverlayDevice::zero_blocks(std::uint64_t first, std::uint64_t end) {
  // Whichever is fewer: the blocks of the range or the blocks held.
  if (end - first < blocks_.size()) {
    for (std::uint64_t block = first; block < end; ++block) blocks_.erase(block);
  } else {
    std::erase_if(blocks_, [&](const auto& entry) { return entry.first >= first && entry.first < end; });
  }
  // Join with every interval that overlaps or touches.
  auto next = zeroed_.upper_bound(first);
  if (next != zeroed_.begin() && std::prev(next)->second >= first) --next;
  while (next != zeroed_.end() && next->first <= end) {
    first = std::min(first, next->first);
    end = std::max(end, next->second);
    next = zeroed_.erase(next);
  }
  zeroed_.emplace(first, end);
}

bool OverlayDevice::discard(std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  require_writable_range(*this, offset_bytes, length_bytes, "discard");
  return false;
}

std::vector<ChangedRange> OverlayDevice::changed_ranges() const {
  const MutexLock lock(mutex_);
  std::vector<std::uint64_t> changed;
  changed.reserve(blocks_.size());
  for (const auto& [block, bytes] : blocks_) changed.push_back(block);
  std::sort(changed.begin(), changed.end());

  std::vector<ChangedRange> ranges;
  const auto add = [&](std::uint64_t first, std::uint64_t end, bool zeroed) {
    if (first >= end) return;
    const std::uint64_t begin_bytes = first * block_bytes_;
    const std::uint64_t length_bytes = block_end_bytes(end - 1) - begin_bytes;
    ChangedRange* const last = ranges.empty() ? nullptr : &ranges.back();
    if (last != nullptr && last->zeroed == zeroed && last->offset_bytes + last->length_bytes == begin_bytes) {
      last->length_bytes += length_bytes;
    } else {
      ranges.push_back({.offset_bytes = begin_bytes, .length_bytes = length_bytes, .zeroed = zeroed});
    }
  };
  auto block = changed.begin();
  for (const auto& [first, end] : zeroed_) {
    for (; block != changed.end() && *block < first; ++block) add(*block, *block + 1, false);
    std::uint64_t from = first;
    for (; block != changed.end() && *block < end; ++block) {
      add(from, *block, true);
      add(*block, *block + 1, false);
      from = *block + 1;
    }
    add(from, end, true);
  }
  for (; block != changed.end(); ++block) add(*block, *block + 1, false);
  return ranges;
}

void OverlayDevice::drop_changes() {
  const MutexLock lock(mutex_);
  blocks_.clear();
  zeroed_.clear();
}

std::uint64_t OverlayDevice::memory_use_bytes() const {
  const MutexLock lock(mutex_);
  return blocks_.size() * (block_bytes_ + kNodeBytes) + blocks_.bucket_count() * sizeof(void*) +
         zeroed_.size() * (kNodeBytes + 2 * sizeof(std::uint64_t));
}

}  // namespace xdax

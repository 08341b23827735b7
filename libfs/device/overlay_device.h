// Copy on write over a device that is never written: changes live in memory and can be looked at, kept or dropped.
//
// A block of the overlay is untouched, zeroed or changed. Changed blocks are held whole, so a write that covers part of
// an untouched block first reads the rest from the base; zeroed blocks are held as intervals, so zeroing a terabyte
// costs a few bytes. A block that was overwritten or zeroed is readable even where the base is not. persist() does
// nothing: what an overlay holds is as durable as this process. The base must not change underneath. Thread-safe for
// non-overlapping ranges.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "libfs/base/mutex.h"
#include "libfs/device/device.h"

namespace xdax {

struct OverlayOptions {
  /// What is copied at once: a power of two from 512 to 1 MiB.
  std::uint32_t block_bytes = 4096;
};

/// A run of blocks that differ, or may differ, from the base; clipped to the size of the device.
struct ChangedRange {
  std::uint64_t offset_bytes = 0;
  std::uint64_t length_bytes = 0;
  /// The range reads as zeros and has no bytes of its own in memory.
  bool zeroed = false;
  bool operator==(const ChangedRange&) const = default;
};

class OverlayDevice final : public Device {
 public:
  explicit OverlayDevice(std::unique_ptr<Device> base, OverlayOptions options = {});
  /// Over a base that somebody else owns and that lives longer.
  explicit OverlayDevice(Device& base, OverlayOptions options = {});

  [[nodiscard]] const std::string& name() const override { return base_.name(); }
  [[nodiscard]] std::uint64_t size_bytes() const override { return base_.size_bytes(); }
  /// The base's, but writable and not persistent memory.
  [[nodiscard]] const DeviceTraits& traits() const override { return traits_; }

  void read_batch(std::span<ReadRequest> requests) override XDAX_EXCLUDES(mutex_);
  /// A request that needs the rest of a block the base cannot give fails with the base's error and changes nothing of
  /// that block.
  void write_batch(std::span<WriteRequest> requests) override XDAX_EXCLUDES(mutex_);
  void zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, ZeroMode mode) override XDAX_EXCLUDES(mutex_);
  /// Does nothing: what the base holds there may still be wanted.
  bool discard(std::uint64_t offset_bytes, std::uint64_t length_bytes) override;
  void persist() override {}

  /// What was changed since the start or the last drop_changes(), ascending, neighbours of one kind joined. The content
  /// is read with read().
  [[nodiscard]] std::vector<ChangedRange> changed_ranges() const XDAX_EXCLUDES(mutex_);
  /// Forgets every change; the device reads as the base again.
  void drop_changes() XDAX_EXCLUDES(mutex_);
  /// About what the changes occupy in memory, in bytes, with the tables that find them.
  [[nodiscard]] std::uint64_t memory_use_bytes() const XDAX_EXCLUDES(mutex_);
  [[nodiscard]] std::uint32_t block_bytes() const { return block_bytes_; }

 private:
  using Block = std::unique_ptr<std::byte[]>;
  /// What the overlay knows of one block: its bytes, that it is zero, or nothing.
  struct State {
    std::byte* bytes = nullptr;
    bool zeroed = false;
  };

  [[nodiscard]] State state_of(std::uint64_t block) const XDAX_REQUIRES(mutex_);
  void patch(std::uint64_t offset_bytes, MutableByteSpan buffer) XDAX_EXCLUDES(mutex_);
  [[nodiscard]] std::error_code read_piecewise(std::uint64_t offset_bytes, MutableByteSpan buffer)
      XDAX_EXCLUDES(mutex_);
  [[nodiscard]] std::error_code change(std::uint64_t offset_bytes, const std::byte* data, std::uint64_t length_bytes)
      XDAX_EXCLUDES(mutex_);
  /// Sets bytes of one block: from `data`, or to zero when it is null.
  [[nodiscard]] std::error_code change_block(std::uint64_t block, std::uint64_t into_bytes, const std::byte* data,
                                             std::size_t length_bytes) XDAX_REQUIRES(mutex_);
  void zero_blocks(std::uint64_t first, std::uint64_t end) XDAX_REQUIRES(mutex_);
  [[nodiscard]] std::uint64_t block_end_bytes(std::uint64_t block) const;

  std::unique_ptr<Device> owned_;
  Device& base_;
  DeviceTraits traits_;
  const std::uint32_t block_bytes_;
  mutable Mutex mutex_;
  /// Changed blocks by number. A block here wins over an interval of zeroed_.
  std::unordered_map<std::uint64_t, Block> blocks_ XDAX_GUARDED_BY(mutex_);
  /// Zeroed blocks: first block to the one past the last. Disjoint, never touching.
  std::map<std::uint64_t, std::uint64_t> zeroed_ XDAX_GUARDED_BY(mutex_);
};

}  // namespace xdax

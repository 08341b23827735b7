// Records what is asked of a device: every write, zeroing, discard and barrier, with its bytes.
//
// A write enters the trace when the device has accepted it, a barrier when it begins. So a write that runs beside a
// barrier never counts as covered by it, which is what the barrier promises and no more. Reads are passed on and not
// recorded. The trace grows with what is written; take_trace() starts a new one. Thread-safe for non-overlapping
// ranges; the order of concurrent writes in the trace is the order in which they finished.
#pragma once

#include <memory>
#include <string>

#include "libfs/base/mutex.h"
#include "libfs/device/device.h"
#include "libfs/device/trace.h"

namespace xdax {

class RecordingDevice final : public Device {
 public:
  explicit RecordingDevice(std::unique_ptr<Device> base);
  /// Over a base that somebody else owns and that lives longer.
  explicit RecordingDevice(Device& base);

  [[nodiscard]] const std::string& name() const override { return base_.name(); }
  [[nodiscard]] std::uint64_t size_bytes() const override { return base_.size_bytes(); }
  [[nodiscard]] const DeviceTraits& traits() const override { return base_.traits(); }

  void read_batch(std::span<ReadRequest> requests) override { base_.read_batch(requests); }
  void write_batch(std::span<WriteRequest> requests) override XDAX_EXCLUDES(mutex_);
  void zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, ZeroMode mode) override XDAX_EXCLUDES(mutex_);
  bool discard(std::uint64_t offset_bytes, std::uint64_t length_bytes) override XDAX_EXCLUDES(mutex_);
  void persist() override XDAX_EXCLUDES(mutex_);
  [[nodiscard]] std::optional<ByteSpan> mapped(std::uint64_t offset_bytes, std::uint64_t length_bytes) const override {
    return base_.mapped(offset_bytes, length_bytes);
  }

  /// How many events the trace holds now: a place in it, to relate what a program had done to what was recorded.
  [[nodiscard]] std::size_t event_count() const XDAX_EXCLUDES(mutex_);
  /// A copy of the trace so far.
  [[nodiscard]] Trace trace() const XDAX_EXCLUDES(mutex_);
  /// The trace so far; recording starts anew. No barrier may be under way.
  [[nodiscard]] Trace take_trace() XDAX_EXCLUDES(mutex_);

 private:
  void record(TraceEvent event) XDAX_EXCLUDES(mutex_);

  std::unique_ptr<Device> owned_;
  Device& base_;
  mutable Mutex mutex_;
  Trace trace_ XDAX_GUARDED_BY(mutex_);
};

}  // namespace xdax

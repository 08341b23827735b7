// Records what is asked of a device. See recording_device.h.

#include "libfs/device/recording_device.h"

#include <utility>

namespace xdax {

using Kind = TraceEvent::Kind;

RecordingDevice::RecordingDevice(std::unique_ptr<Device> base) : RecordingDevice(*base) { owned_ = std::move(base); }

RecordingDevice::RecordingDevice(Device& base) : base_(base), trace_(base.traits().sector_bytes) {}

void RecordingDevice::record(TraceEvent event) {
  const MutexLock lock(mutex_);
  trace_.append(std::move(event));
}

void RecordingDevice::write_batch(std::span<WriteRequest> requests) {
  base_.write_batch(requests);
  for (const WriteRequest& request : requests) {
    // These never reached the device; whatever else failed may have, in part.
    if (request.error == Errc::kOutOfRange || request.error == Errc::kReadOnly || request.buffer.empty()) continue;
    TraceEvent event;
    event.failed = static_cast<bool>(request.error);
    event.offset_bytes = request.offset_bytes;
    event.length_bytes = request.buffer.size();
    event.data.assign(request.buffer.begin(), request.buffer.end());
    record(std::move(event));
  }
}

void RecordingDevice::zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, ZeroMode mode) {
  TraceEvent event;
  event.kind = Kind::kZero;
  event.offset_bytes = offset_bytes;
  event.length_bytes = length_bytes;
  try {
    base_.zero(offset_bytes, length_bytes, mode);
  } catch (const IoError&) {  // a refusal did nothing and leaves no event
    event.failed = true;
    record(std::move(event));
    throw;
  }
  record(std::move(event));
}

bool RecordingDevice::discard(std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  if (!base_.discard(offset_bytes, length_bytes)) return false;
  TraceEvent event;
  event.kind = Kind::kDiscard;
  event.offset_bytes = offset_bytes;
  event.length_bytes = length_bytes;
  record(std::move(event));
  return true;
}

void RecordingDevice::persist() {
  std::size_t barrier = 0;
  {
    const MutexLock lock(mutex_);
    TraceEvent event;
    event.kind = Kind::kBarrier;
    barrier = trace_.append(std::move(event));
  }
  try {
    base_.persist();
  } catch (...) {
    const MutexLock lock(mutex_);
    trace_.fail_barrier(barrier);
    throw;
  }
}

std::size_t RecordingDevice::event_count() const {
  const MutexLock lock(mutex_);
  return trace_.events().size();
}

Trace RecordingDevice::trace() const {
  const MutexLock lock(mutex_);
  return trace_;
}

Trace RecordingDevice::take_trace() {
  const MutexLock lock(mutex_);
  return std::exchange(trace_, Trace(base_.traits().sector_bytes));
}

}  // namespace xdax

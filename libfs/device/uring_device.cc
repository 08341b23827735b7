// A file or block device through io_uring. See uring_device.h.

#include "libfs/device/uring_device.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "libfs/base/assert.h"
#include "libfs/base/math.h"
#include "libfs/device/aligned_buffer.h"
#include "libfs/device/checks.h"
#include "libfs/device/host_zero.h"

namespace xdax {
namespace {

/// Longest piece of one request that passes through bounce memory at once.
constexpr std::size_t kLongestBounceBytes = std::size_t{128} << 10;

bool make_direct(int descriptor) {
  const int flags = ::fcntl(descriptor, F_GETFL);
  return flags >= 0 && ::fcntl(descriptor, F_SETFL, flags | O_DIRECT) == 0;
}

/// Engines only read through the pointer of a write.
std::byte* engine_data(const std::byte* data) { return const_cast<std::byte*>(data); }

}  // namespace

/// What a batch comes to: transfers straight from or to the caller's memory, and pieces that take the way round.
struct UringDevice::Plan {
  struct Piece {
    std::size_t owner = 0;  ///< index of its request
    std::uint64_t offset_bytes = 0;
    std::byte* data = nullptr;
    std::size_t length_bytes = 0;
  };
  std::vector<Transfer> transfers;
  std::vector<std::size_t> owners;  ///< of `transfers`
  std::vector<Piece> pieces;
  std::vector<std::error_code> errors;  ///< of each request

  explicit Plan(std::size_t requests) : errors(requests) {
    transfers.reserve(requests);
    owners.reserve(requests);
  }

  void add_transfer(std::size_t owner, std::uint64_t offset_bytes, std::byte* data, std::size_t length_bytes) {
    Transfer transfer;
    transfer.offset_bytes = offset_bytes;
    transfer.data = data;
    transfer.length_bytes = length_bytes;
    transfers.push_back(transfer);
    owners.push_back(owner);
  }

  void fail(std::size_t owner, const std::error_code& error) {
    if (error && !errors[owner]) errors[owner] = error;
  }

  void collect() {
    for (std::size_t i = 0; i < transfers.size(); ++i) fail(owners[i], transfers[i].error);
  }
};

UringDevice::UringDevice(HostFile file, UringOptions options)
    : file_(std::move(file)), engines_(options.engine, options.max_engines, std::move(options.make_ring)) {
  XDAX_ASSERT(file_.kind == HostKind::kRegularFile || file_.kind == HostKind::kBlockDevice);
  XDAX_ASSERT(options.engine.bounce_bytes >= kLongestBounceBytes);
  file_.traits.kind = DeviceKind::kUring;
  const bool direct = options.direct && file_.kind == HostKind::kBlockDevice && make_direct(file_.descriptor.get());
  if (direct) granule_bytes_ = file_.traits.sector_bytes;
}

bool UringDevice::accepts(std::uint64_t offset_bytes, const std::byte* data, std::size_t length_bytes) const {
  if (!is_direct()) return true;
  const bool whole_sectors = offset_bytes % granule_bytes_ == 0 && length_bytes % granule_bytes_ == 0;
  return whole_sectors && reinterpret_cast<std::uintptr_t>(data) % file_.memory_alignment_bytes == 0;
}

TransferTarget UringDevice::target(Direction direction) const {
  return {.descriptor = file_.descriptor.get(), .direction = direction, .granule_bytes = granule_bytes_};
}

void UringDevice::run(Direction direction, std::span<Transfer> transfers) {
  // A ring is for waiting on the medium. A buffered write does not wait, and the kernel would hand it to a worker
  // thread; the same goes for reads that the page cache can answer. One transfer alone gains nothing from a ring
  // either.
  const bool copies_only = !is_direct() && (direction == Direction::kWrite || file_.in_memory);
  if (transfers.size() <= 1 || copies_only) {
    run_by_system_calls(target(direction), transfers);
    return;
  }
  if (!is_direct() && read_cached(file_.descriptor.get(), transfers)) return;
  engines_.borrow()->run(target(direction), transfers);
}

void UringDevice::read_batch(std::span<ReadRequest> requests) {
  Plan plan(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const ReadRequest& request = requests[i];
    plan.errors[i] = range_error(*this, request.offset_bytes, request.buffer.size());
    if (plan.errors[i] || request.buffer.empty()) continue;
    if (accepts(request.offset_bytes, request.buffer.data(), request.buffer.size())) {
      plan.add_transfer(i, request.offset_bytes, request.buffer.data(), request.buffer.size());
    } else {
      plan.pieces.push_back({i, request.offset_bytes, request.buffer.data(), request.buffer.size()});
    }
  }
  run(Direction::kRead, plan.transfers);
  plan.collect();
  run_bounced(Direction::kRead, plan);
  for (std::size_t i = 0; i < requests.size(); ++i) requests[i].error = plan.errors[i];
}

void UringDevice::write_batch(std::span<WriteRequest> requests) {
  Plan plan(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    plan.errors[i] = write_range_error(*this, requests[i].offset_bytes, requests[i].buffer.size());
    if (!plan.errors[i] && !requests[i].buffer.empty()) plan_write(i, requests[i], plan);
  }
  run(Direction::kWrite, plan.transfers);
  plan.collect();
  run_bounced(Direction::kWrite, plan);
  for (std::size_t i = 0; i < requests.size(); ++i) requests[i].error = plan.errors[i];
}

/// Splits a write into the part of its first sector, whole sectors, and the part of its last sector; patches the parts.
void UringDevice::plan_write(std::size_t owner, const WriteRequest& request, Plan& plan) {
  std::uint64_t offset_bytes = request.offset_bytes;
  ByteSpan bytes = request.buffer;
  const auto patch = [&](std::size_t length_bytes) {
    plan.fail(owner, patch_sector(offset_bytes, bytes.first(length_bytes)));
    offset_bytes += length_bytes;
    bytes = bytes.subspan(length_bytes);
  };
  const std::uint64_t into_sector_bytes = offset_bytes % granule_bytes_;
  if (into_sector_bytes != 0) {
    patch(std::min(static_cast<std::size_t>(granule_bytes_ - into_sector_bytes), bytes.size()));
  }
  const std::size_t whole_bytes = round_down(bytes.size(), std::size_t{granule_bytes_});
  if (whole_bytes > 0) {
    std::byte* const data = engine_data(bytes.data());
    if (accepts(offset_bytes, data, whole_bytes)) {
      plan.add_transfer(owner, offset_bytes, data, whole_bytes);
    } else {
      plan.pieces.push_back({owner, offset_bytes, data, whole_bytes});
    }
    offset_bytes += whole_bytes;
    bytes = bytes.subspan(whole_bytes);
  }
  if (!bytes.empty()) patch(bytes.size());
}

std::error_code UringDevice::patch_sector(std::uint64_t offset_bytes, ByteSpan bytes) {
  const std::uint64_t sector_offset_bytes = round_down(offset_bytes, std::uint64_t{granule_bytes_});
  const auto into_sector_bytes = static_cast<std::size_t>(offset_bytes - sector_offset_bytes);
  AlignedBuffer sector(granule_bytes_, std::max<std::size_t>(file_.memory_alignment_bytes, granule_bytes_));
  const auto move = [&](Direction direction) {
    Transfer transfer;
    transfer.offset_bytes = sector_offset_bytes;
    transfer.data = sector.bytes().data();
    transfer.length_bytes = granule_bytes_;
    run_by_system_calls(target(direction), {&transfer, 1});
    return transfer.error;
  };
  const MutexLock lock(patch_mutex_);
  if (const std::error_code error = move(Direction::kRead)) return error;
  std::memcpy(sector.bytes().data() + into_sector_bytes, bytes.data(), bytes.size());
  return move(Direction::kWrite);
}

/// Moves the plan's pieces through bounce memory, as many at once as fit. Pieces of reads may cover sectors in part.
void UringDevice::run_bounced(Direction direction, Plan& plan) {
  if (plan.pieces.empty()) return;
  const EnginePool::Lease engine = engines_.borrow();
  const MutableByteSpan memory = engine->bounce();
  std::vector<Transfer> wave;
  std::vector<Plan::Piece> parts;
  std::size_t used_bytes = 0;
  const auto flush = [&] {
    if (wave.size() == 1) {
      run_by_system_calls(target(direction), wave);  // as in run()
    } else {
      engine->run(target(direction), wave);
    }
    for (std::size_t i = 0; i < wave.size(); ++i) {
      plan.fail(parts[i].owner, wave[i].error);
      if (direction == Direction::kWrite || wave[i].error) continue;
      std::memcpy(parts[i].data, wave[i].data + (parts[i].offset_bytes - wave[i].offset_bytes), parts[i].length_bytes);
    }
    wave.clear();
    parts.clear();
    used_bytes = 0;
  };
  for (Plan::Piece& piece : plan.pieces) {
    while (piece.length_bytes > 0) {
      const std::uint64_t begin = round_down(piece.offset_bytes, std::uint64_t{granule_bytes_});
      const std::uint64_t end = round_up(piece.offset_bytes + piece.length_bytes, std::uint64_t{granule_bytes_});
      Transfer transfer;
      transfer.offset_bytes = begin;
      transfer.length_bytes = static_cast<std::size_t>(std::min<std::uint64_t>(end - begin, kLongestBounceBytes));
      transfer.in_bounce = true;
      if (memory.size() - used_bytes < transfer.length_bytes) flush();
      transfer.data = memory.data() + used_bytes;
      used_bytes += round_up(transfer.length_bytes, std::size_t{file_.memory_alignment_bytes});
      Plan::Piece part = piece;
      part.length_bytes = static_cast<std::size_t>(
          std::min<std::uint64_t>(piece.length_bytes, begin + transfer.length_bytes - piece.offset_bytes));
      if (direction == Direction::kWrite) std::memcpy(transfer.data, part.data, part.length_bytes);
      wave.push_back(transfer);
      parts.push_back(part);
      piece.offset_bytes += part.length_bytes;
      piece.data += part.length_bytes;
      piece.length_bytes -= part.length_bytes;
    }
  }
  flush();
}

void UringDevice::zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, ZeroMode mode) {
  require_writable_range(*this, offset_bytes, length_bytes, "zero");
  if (mode != ZeroMode::kAllocated && is_hole(file_, offset_bytes, length_bytes)) return;
  if (mode == ZeroMode::kKept && file_.kind == HostKind::kRegularFile) {
    for_each_data_run(file_, offset_bytes, length_bytes, [&](std::uint64_t run_offset, std::uint64_t run_bytes) {
      zero(run_offset, run_bytes, ZeroMode::kAllocated);
    });
    return;
  }
  const std::uint64_t end_bytes = offset_bytes + length_bytes;
  const std::uint64_t unit_bytes = file_.kind == HostKind::kBlockDevice ? file_.traits.sector_bytes : 1;
  const std::uint64_t begin = round_up(offset_bytes, unit_bytes);
  const std::uint64_t end = round_down(end_bytes, unit_bytes);
  const bool worth_asking = begin < end && end - begin >= kSmallestHostZeroBytes;
  const std::size_t alignment = file_.memory_alignment_bytes;
  if (!worth_asking || !zero_by_host(file_, begin, end - begin, mode)) {
    zero_by_writing(*this, offset_bytes, length_bytes, alignment);
    return;
  }
  zero_by_writing(*this, offset_bytes, begin - offset_bytes, alignment);
  zero_by_writing(*this, end, end_bytes - end, alignment);
}

bool UringDevice::discard(std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  require_writable_range(*this, offset_bytes, length_bytes, "discard");
  const std::uint64_t unit_bytes = file_.kind == HostKind::kBlockDevice ? file_.traits.sector_bytes : 1;
  const std::uint64_t begin = round_up(offset_bytes, unit_bytes);
  const std::uint64_t end = round_down(offset_bytes + length_bytes, unit_bytes);
  return begin < end && discard_by_host(file_, begin, end - begin);
}

void UringDevice::persist() {
  if (file_.traits.read_only) return;
  int error_number = 0;
  if (!persist_failed_) {
    while (::fdatasync(file_.descriptor.get()) != 0) {
      error_number = errno;
      if (error_number != EINTR) break;
      error_number = 0;
    }
    if (error_number == 0) return;
    persist_failed_ = true;
  }
  const std::string reason = error_number != 0 ? errno_text(error_number) : "an earlier barrier failed";
  throw IoError(
      Errc::kPersistFailed,
      fmt::format("{}: what was written may not be durable: {}; check the device and start over", name(), reason));
}

}  // namespace xdax

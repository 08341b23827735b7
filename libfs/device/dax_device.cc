// A device mapped whole. See dax_device.h.

#include "libfs/device/dax_device.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "libfs/base/assert.h"
#include "libfs/base/math.h"
#include "libfs/device/checks.h"
#include "libfs/device/host_zero.h"
#include "libfs/device/io_engine.h"
#include "libfs/device/pmem_library.h"

namespace xdax {
namespace {

struct Mapping {
  void* memory = nullptr;
  bool persistent = false;
};

[[noreturn]] void refuse_mapping(const HostFile& file, const std::string& reason) {
  const char* advice = file.kind == HostKind::kDaxDevice ? "" : "; use --io=uring";
  throw RefusalError(Errc::kNotSupported,
                     fmt::format("{}: cannot be mapped ({} bytes): {}{}", file.name, file.size_bytes, reason, advice));
}

Mapping map_for_reading(const HostFile& file) {
  Mapping mapping;
  mapping.memory =
      ::mmap(nullptr, static_cast<std::size_t>(file.size_bytes), PROT_READ, MAP_SHARED, file.descriptor.get(), 0);
  if (mapping.memory == MAP_FAILED) refuse_mapping(file, errno_text(errno));
  mapping.persistent = file.kind == HostKind::kDaxDevice || file.on_dax_filesystem;
  return mapping;
}

Mapping map_for_writing(const HostFile& file) {
  // By descriptor and not by path: this is the object that was claimed, whatever the path has come to mean.
  const std::string path = fmt::format("/proc/self/fd/{}", file.descriptor.get());
  std::size_t mapped_bytes = 0;
  int persistent = 0;
  Mapping mapping;
  mapping.memory = pmem_library().map_file(path.c_str(), 0, 0, 0, &mapped_bytes, &persistent);
  if (mapping.memory == nullptr) refuse_mapping(file, pmem_library().errormsg());
  if (mapped_bytes != file.size_bytes) {
    pmem_library().unmap(mapping.memory, mapped_bytes);
    refuse_mapping(file, "its size changed while it was being mapped");
  }
  mapping.persistent = persistent != 0;
  return mapping;
}

/// A file all of whose blocks are there, so that no store can run out of space.
bool is_fully_allocated(const HostFile& file) {
  struct stat status{};
  if (file.kind == HostKind::kDaxDevice) return true;
  return ::fstat(file.descriptor.get(), &status) == 0 &&
         static_cast<std::uint64_t>(status.st_blocks) * 512 >= file.size_bytes;
}

std::error_code transfer_by_system_call(const HostFile& file, Direction direction, std::uint64_t offset_bytes,
                                        std::byte* data, std::size_t length_bytes) {
  Transfer transfer;
  transfer.offset_bytes = offset_bytes;
  transfer.data = data;
  transfer.length_bytes = length_bytes;
  run_by_system_calls({.descriptor = file.descriptor.get(), .direction = direction, .granule_bytes = 1},
                      {&transfer, 1});
  return transfer.error;
}

}  // namespace

DaxDevice::DaxDevice(HostFile&& file) {
  XDAX_ASSERT(file.kind == HostKind::kRegularFile || file.kind == HostKind::kDaxDevice);
  if (file.size_bytes == 0) refuse_mapping(file, "it is empty");
  if (file.size_bytes > std::numeric_limits<std::size_t>::max() / 2) refuse_mapping(file, "it is too large");
  mapped_by_libpmem_ = !file.traits.read_only;
  const Mapping mapping = mapped_by_libpmem_ ? map_for_writing(file) : map_for_reading(file);
  memory_ = static_cast<std::byte*>(mapping.memory);
  file_ = std::move(file);
  file_.traits.kind = DeviceKind::kDax;
  file_.traits.persistent_memory = mapping.persistent;
  stores_through_mapping_ =
      mapped_by_libpmem_ && (file_.kind == HostKind::kDaxDevice || (mapping.persistent && is_fully_allocated(file_)));
}

DaxDevice::~DaxDevice() {
  const auto length_bytes = static_cast<std::size_t>(file_.size_bytes);
  if (mapped_by_libpmem_) {
    pmem_library().unmap(memory_, length_bytes);
  } else {
    ::munmap(memory_, length_bytes);
  }
}

bool DaxDevice::still_long_enough(std::uint64_t end_bytes) const {
  struct stat status{};
  if (!is_regular()) return true;
  return ::fstat(file_.descriptor.get(), &status) == 0 && static_cast<std::uint64_t>(status.st_size) >= end_bytes;
}

void DaxDevice::read_batch(std::span<ReadRequest> requests) {
  for (ReadRequest& request : requests) {
    request.error = range_error(*this, request.offset_bytes, request.buffer.size());
    if (request.error || request.buffer.empty()) continue;
    if (is_regular()) {
      request.error = transfer_by_system_call(file_, Direction::kRead, request.offset_bytes, request.buffer.data(),
                                              request.buffer.size());
    } else {
      std::memcpy(request.buffer.data(), memory_ + request.offset_bytes, request.buffer.size());
    }
  }
}

void DaxDevice::write_batch(std::span<WriteRequest> requests) {
  for (WriteRequest& request : requests) {
    const std::size_t length_bytes = request.buffer.size();
    request.error = write_range_error(*this, request.offset_bytes, length_bytes);
    if (request.error || length_bytes == 0) continue;
    if (stores_through_mapping_) {
      if (still_long_enough(request.offset_bytes + length_bytes)) {
        pmem_library().memcpy(memory_ + request.offset_bytes, request.buffer.data(), length_bytes, PMEM_F_MEM_NODRAIN);
      } else {
        request.error = make_error_code(Errc::kWriteFailed);
      }
      continue;
    }
    // The engine only reads through the pointer of a write.
    auto* const data = const_cast<std::byte*>(request.buffer.data());
    request.error = transfer_by_system_call(file_, Direction::kWrite, request.offset_bytes, data, length_bytes);
    mark_dirty(request.offset_bytes, length_bytes);
  }
  if (stores_through_mapping_) pmem_library().drain();
}

void DaxDevice::zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, ZeroMode mode) {
  require_writable_range(*this, offset_bytes, length_bytes, "zero");
  if (length_bytes == 0) return;
  if (!stores_through_mapping_) {
    if (mode != ZeroMode::kAllocated) {
      // Holes read as zeros already; only what lies between them is written.
      for_each_data_run(file_, offset_bytes, length_bytes, [&](std::uint64_t run_offset, std::uint64_t run_bytes) {
        zero_by_writing(*this, run_offset, run_bytes, 4096);
      });
    } else {
      zero_by_writing(*this, offset_bytes, length_bytes, 4096);
    }
    return;
  }
  if (!still_long_enough(offset_bytes + length_bytes)) {
    throw IoError(Errc::kWriteFailed, fmt::format("{}: cannot zero {} bytes at byte {}: the file has become shorter",
                                                  name(), length_bytes, offset_bytes));
  }
  pmem_library().memset(memory_ + offset_bytes, 0, static_cast<std::size_t>(length_bytes),
                        PMEM_F_MEM_NONTEMPORAL | PMEM_F_MEM_NODRAIN);
  pmem_library().drain();
}

bool DaxDevice::discard(std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  require_writable_range(*this, offset_bytes, length_bytes, "discard");
  return false;
}

void DaxDevice::DirtyRange::include(std::uint64_t begin, std::uint64_t end) {
  if (begin >= end) return;
  const bool empty = begin_bytes == end_bytes;
  begin_bytes = empty ? begin : std::min(begin_bytes, begin);
  end_bytes = empty ? end : std::max(end_bytes, end);
}

void DaxDevice::mark_dirty(std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  const MutexLock lock(dirty_mutex_);
  dirty_.include(offset_bytes, offset_bytes + length_bytes);
}

void DaxDevice::refuse_persist(const std::string& reason) const {
  throw IoError(
      Errc::kPersistFailed,
      fmt::format("{}: what was written may not be durable: {}; check the device and start over", name(), reason));
}

void DaxDevice::persist() {
  if (file_.traits.read_only) return;
  if (stores_through_mapping_) {
    pmem_library().drain();
    return;
  }
  const MutexLock barrier(persist_mutex_);
  if (persist_failed_) refuse_persist("an earlier barrier failed");
  DirtyRange range;
  {
    const MutexLock lock(dirty_mutex_);
    range = std::exchange(dirty_, {});
  }
  if (range.begin_bytes == range.end_bytes) return;
  if (pmem_library().msync(memory_ + range.begin_bytes,
                           static_cast<std::size_t>(range.end_bytes - range.begin_bytes)) == 0)
    return;
  persist_failed_ = true;
  refuse_persist(errno_text(errno));
}

std::optional<ByteSpan> DaxDevice::mapped(std::uint64_t offset_bytes, std::uint64_t length_bytes) const {
  XDAX_ASSERT(range_fits(offset_bytes, length_bytes, size_bytes()));
  if (!still_long_enough(offset_bytes + length_bytes)) return std::nullopt;
  return ByteSpan(memory_ + offset_bytes, static_cast<std::size_t>(length_bytes));
}

}  // namespace xdax

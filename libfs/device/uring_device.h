// A regular file or block device through io_uring, or through plain system calls where the kernel refuses rings.
//
// Direct or buffered. A block device is opened once and everything on it is direct (O_DIRECT): there is no second,
// buffered view of it that could disagree. What a direct descriptor does not accept goes through aligned memory: whole
// sectors are copied, and a sector that is changed in part is read, patched and written under one mutex. That suffices:
// two writes that do not overlap can only meet in a sector that both change in part. A regular file is buffered
// throughout. Its bytes usually are in the page cache already, and a direct write beside a buffered one in the same
// page can be lost.
//
// What goes through a ring: batches that wait for the medium, that is all batches of a direct descriptor and the reads
// of a buffered one that the page cache cannot answer. Measured for batches of 64 transfers of 4 KiB on two processors,
// in microseconds each: direct reads of a loop device 3.1 by ring and 23 by pread; cached reads 2.5 by ring and 1.2 by
// pread; buffered writes 5.4 by ring and 1.8 by pwrite, because the kernel hands them to worker threads.
//
// A barrier that failed once fails for ever: the host may have dropped what it could not write and report success next
// time. Thread-safe for non-overlapping ranges.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "libfs/base/mutex.h"
#include "libfs/device/device.h"
#include "libfs/device/engine_pool.h"
#include "libfs/device/host_file.h"
#include "libfs/device/io_engine.h"

namespace xdax {

struct UringOptions {
  EngineOptions engine;
  /// Batches under way at once, each with an engine of its own; further threads wait.
  unsigned max_engines = 8;
  /// Block devices bypass the page cache where the host allows it.
  bool direct = true;
  /// How to get a ring; one that returns null makes every transfer a system call.
  RingMaker make_ring = make_ring_engine;
};

class UringDevice final : public Device {
 public:
  /// Takes over an open regular file or block device. Asserts its kind.
  UringDevice(HostFile file, UringOptions options);

  [[nodiscard]] const std::string& name() const override { return file_.name; }
  [[nodiscard]] std::uint64_t size_bytes() const override { return file_.size_bytes; }
  [[nodiscard]] const DeviceTraits& traits() const override { return file_.traits; }

  void read_batch(std::span<ReadRequest> requests) override;
  void write_batch(std::span<WriteRequest> requests) override;
  void zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, ZeroMode mode) override;
  bool discard(std::uint64_t offset_bytes, std::uint64_t length_bytes) override;
  void persist() override;

  /// Whether transfers go through rings.
  [[nodiscard]] bool uses_rings() { return engines_.has_rings(); }
  /// Whether the page cache is bypassed.
  [[nodiscard]] bool is_direct() const { return granule_bytes_ > 1; }

 private:
  struct Plan;

  [[nodiscard]] bool accepts(std::uint64_t offset_bytes, const std::byte* data, std::size_t length_bytes) const;
  [[nodiscard]] TransferTarget target(Direction direction) const;
  void run(Direction direction, std::span<Transfer> transfers);
  void run_bounced(Direction direction, Plan& plan);
  void plan_write(std::size_t owner, const WriteRequest& request, Plan& plan);
  [[nodiscard]] std::error_code patch_sector(std::uint64_t offset_bytes, ByteSpan bytes) XDAX_EXCLUDES(patch_mutex_);

  HostFile file_;
  /// What offsets and lengths of transfers are multiples of: the sector when direct, 1 otherwise.
  std::uint32_t granule_bytes_ = 1;
  EnginePool engines_;
  /// Held while a sector is read, patched and written back.
  Mutex patch_mutex_;
  std::atomic<bool> persist_failed_ = false;
};

}  // namespace xdax

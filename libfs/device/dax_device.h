// A device mapped whole: a device-DAX device, a file on a filesystem mounted DAX, or any regular file.
//
// Two ways lie below. Persistent memory (libpmem's pmem_is_pmem, asked of the mapping libpmem made): bytes are stored
// past the caches and drained at the end of each batch by the thread that stored them, because a drain only covers its
// own processor; persist() has little left to do. Anything else: bytes go through the page cache by pread and pwrite,
// and persist() is an msync of the range that was changed.
//
// Why not through the mapping there: touching a mapped page that the host cannot read, cannot allocate or has truncated
// away is a SIGBUS, while the same system call is an error of one request. For the same reason every regular file is
// read by pread, and a file with holes is written by pwrite even on persistent memory. The page cache and the mapping
// are one memory, so mapped() shows the same bytes; who reads through it takes the risk of a SIGBUS, except that a file
// that has become shorter is refused. Nothing is ever punched under the mapping: zero() stores zeros, and skips what is
// a hole already where holes are allowed.
//
// A device opened for reading is mapped from a read-only descriptor; libpmem would open the path for writing.
// A barrier that failed once fails for ever. Thread-safe for non-overlapping ranges.
#pragma once

#include <string>

#include "libfs/base/mutex.h"
#include "libfs/device/device.h"
#include "libfs/device/host_file.h"

namespace xdax {

class DaxDevice final : public Device {
 public:
  /// Maps `file` and takes it over. Throws RefusalError (kNotSupported, kOpenFailed), and then leaves `file` as it was.
  explicit DaxDevice(HostFile&& file);
  ~DaxDevice() override;

  [[nodiscard]] const std::string& name() const override { return file_.name; }
  [[nodiscard]] std::uint64_t size_bytes() const override { return file_.size_bytes; }
  [[nodiscard]] const DeviceTraits& traits() const override { return file_.traits; }

  void read_batch(std::span<ReadRequest> requests) override;
  void write_batch(std::span<WriteRequest> requests) override;
  void zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, ZeroMode mode) override;
  /// Does nothing: giving space back would take pages away from under the mapping.
  bool discard(std::uint64_t offset_bytes, std::uint64_t length_bytes) override;
  void persist() override XDAX_EXCLUDES(persist_mutex_, dirty_mutex_);
  /// nullopt when the file has become shorter than the range.
  [[nodiscard]] std::optional<ByteSpan> mapped(std::uint64_t offset_bytes, std::uint64_t length_bytes) const override;

  /// Whether writes are stores into the mapping.
  [[nodiscard]] bool stores_through_mapping() const { return stores_through_mapping_; }

 private:
  struct DirtyRange {
    std::uint64_t begin_bytes = 0;
    std::uint64_t end_bytes = 0;  ///< equal to begin_bytes when nothing is dirty
    void include(std::uint64_t begin, std::uint64_t end);
  };

  [[nodiscard]] bool is_regular() const { return file_.kind == HostKind::kRegularFile; }
  [[nodiscard]] bool still_long_enough(std::uint64_t end_bytes) const;
  void mark_dirty(std::uint64_t offset_bytes, std::uint64_t length_bytes) XDAX_EXCLUDES(dirty_mutex_);
  [[noreturn]] void refuse_persist(const std::string& reason) const;

  HostFile file_;
  std::byte* memory_ = nullptr;
  bool mapped_by_libpmem_ = false;
  bool stores_through_mapping_ = false;
  /// Held through a barrier, so that a second one does not return before the first has finished its range.
  Mutex persist_mutex_;
  bool persist_failed_ XDAX_GUARDED_BY(persist_mutex_) = false;
  Mutex dirty_mutex_;
  DirtyRange dirty_ XDAX_GUARDED_BY(dirty_mutex_);
};

}  // namespace xdax

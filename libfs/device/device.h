// A device: an array of bytes with sectors, and the one barrier.
//
// *Written* means that later reads see it. *Drained* means that it has left the caches of this processor. *Durable*
// means that it survives a power cut. Only persist() makes anything durable; until it returns, any subset of the writes
// since the last persist(), in any order and torn at sector boundaries, may be on the medium.
//
// Implementations: memory, dax (libpmem), uring (liburing, or plain system calls where the kernel has none).
// Decorators: overlay, recording, fault. All members are thread-safe for non-overlapping ranges unless an
// implementation says more.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "libfs/base/bytes.h"
#include "libfs/base/error.h"

namespace xdax {

enum class DeviceKind : std::uint8_t { kMemory, kDax, kUring };

/// One read of a batch. `error` is clear on success; the buffer's content is unspecified otherwise.
struct ReadRequest {
  std::uint64_t offset_bytes = 0;
  MutableByteSpan buffer;
  std::error_code error;
};

/// One write of a batch.
struct WriteRequest {
  std::uint64_t offset_bytes = 0;
  ByteSpan buffer;
  std::error_code error;
};

/// How zero() may reach its end.
enum class ZeroMode : std::uint8_t {
  kFastest,    ///< any means after which reads give zeros; space may be given back to the host (holes)
  kAllocated,  ///< the host must keep space for the range (no holes)
  kKept,       ///< what the host has for the range stays as it is: holes stay holes, space stays allocated
};

/// What guarantees a device gives, for messages and choices.
struct DeviceTraits {
  DeviceKind kind = DeviceKind::kMemory;
  bool block_device = false;
  bool read_only = false;
  /// Logical sector: the unit of atomic writes and the smallest direct transfer. A power of two from 512 to 64 KiB.
  std::uint32_t sector_bytes = 512;
  /// Physical sector as the device reports it; at least sector_bytes.
  std::uint32_t physical_sector_bytes = 512;
  /// Preferred stripe unit and width as the device reports them; 0 where it reports none.
  std::uint64_t minimum_io_bytes = 0;
  std::uint64_t optimal_io_bytes = 0;
  /// True when stores need only a cache flush to be durable (pmem_is_pmem).
  bool persistent_memory = false;
};

class Device {
 public:
  virtual ~Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  /// What the user called it; used in messages.
  [[nodiscard]] virtual const std::string& name() const = 0;
  [[nodiscard]] virtual std::uint64_t size_bytes() const = 0;
  [[nodiscard]] virtual const DeviceTraits& traits() const = 0;

  /// Performs all requests, in any order and possibly at once, and returns when all are finished. A failure is
  /// reported in its request's `error` (an Errc or an errno), never thrown. Ranges past the end fail with
  /// Errc::kOutOfRange. Any offset, length and alignment is allowed; sector-aligned ones are faster.
  virtual void read_batch(std::span<ReadRequest> requests) = 0;

  /// The same for writes. On a device opened for reading each fails with Errc::kReadOnly.
  virtual void write_batch(std::span<WriteRequest> requests) = 0;

  /// Makes [offset, offset+length) read as zeros by the best means the device has. Throws IoError, or RefusalError
  /// (kOutOfRange, kReadOnly). Durable after the next persist().
  virtual void zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, ZeroMode mode) = 0;

  /// Tells the device the range is unused; its content is unspecified afterwards. A hint: a device that cannot
  /// does nothing. Returns whether anything was done. Throws RefusalError as zero() does, never IoError.
  virtual bool discard(std::uint64_t offset_bytes, std::uint64_t length_bytes) = 0;

  /// The barrier: everything written before the call is durable when it returns. Throws IoError (kPersistFailed).
  virtual void persist() = 0;

  /// The device's bytes in memory, when they can be read without copying; nullopt otherwise. Valid as long as the
  /// device. The range must lie inside the device.
  [[nodiscard]] virtual std::optional<ByteSpan> mapped(std::uint64_t offset_bytes, std::uint64_t length_bytes) const;

  /// One read; throws IoError naming the device and address.
  void read(std::uint64_t offset_bytes, MutableByteSpan buffer);
  /// One write; throws IoError or RefusalError (kReadOnly, kOutOfRange).
  void write(std::uint64_t offset_bytes, ByteSpan buffer);

 protected:
  Device() = default;
};

enum class OpenMode : std::uint8_t { kRead, kReadWrite };
enum class IoChoice : std::uint8_t { kAuto, kDax, kUring };

/// "auto", "dax", "uring"; nullopt for anything else.
[[nodiscard]] std::optional<IoChoice> parse_io_choice(std::string_view text);

struct OpenOptions {
  OpenMode mode = OpenMode::kRead;
  IoChoice io = IoChoice::kAuto;
  /// Refuse what is mounted, swap, or held by another (block devices: O_EXCL; both: an advisory lock). Off only for
  /// looking at something that may be mounted.
  bool exclusive = true;
  /// For regular files opened for writing: create, and grow to, this size. 0 leaves the file as it is.
  std::uint64_t create_size_bytes = 0;
};

/// Opens `path`. kAuto takes dax for a device-DAX character device and for a regular file on a filesystem mounted DAX,
/// uring for everything else. Never opens for writing to look. Throws RefusalError (kOpenFailed, kInUse, kNotSupported,
/// kBadArgument) with one line that names the path and what to do.
[[nodiscard]] std::unique_ptr<Device> open_device(const std::string& path, const OpenOptions& options);

}  // namespace xdax

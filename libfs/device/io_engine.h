// Engines that move bytes between memory and one descriptor: many transfers at once.
//
// A Transfer is an offset, memory and progress. An engine finishes every transfer it is given: short ones are
// continued, interrupted ones repeated, failed ones marked, and none stops the others. Two engines exist: a ring
// (liburing) and plain system calls, for kernels and sandboxes that refuse rings. An engine serves one thread at a
// time; EnginePool shares them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <system_error>

#include "libfs/base/bytes.h"
#include "libfs/device/aligned_buffer.h"

namespace xdax {

enum class Direction : std::uint8_t { kRead, kWrite };

struct Transfer {
  std::uint64_t offset_bytes = 0;
  /// Written to by reads, only read by writes.
  std::byte* data = nullptr;
  std::size_t length_bytes = 0;
  /// The memory lies in the engine's own bounce() memory.
  bool in_bounce = false;

  std::size_t done_bytes = 0;
  /// Rounds without progress so far.
  std::uint32_t idle_rounds = 0;
  std::error_code error;
};

/// Nothing is left to do for `transfer`, because it succeeded or because it failed.
[[nodiscard]] inline bool is_finished(const Transfer& transfer) {
  return static_cast<bool>(transfer.error) || transfer.done_bytes == transfer.length_bytes;
}

/// Where transfers go.
struct TransferTarget {
  int descriptor = -1;
  Direction direction = Direction::kRead;
  /// Transfers are continued at multiples of this many bytes: the sector of a direct descriptor, 1 otherwise.
  std::uint32_t granule_bytes = 1;
};

/// Takes the result of one system call (bytes, or a negative errno) into `transfer`. True when the transfer is
/// finished, well or not; false when the rest has to be asked for again. Zero bytes end a transfer with kReadFailed or
/// kWriteFailed.
[[nodiscard]] bool advance(Transfer& transfer, const TransferTarget& target, std::int64_t result);

/// One transfer is asked for in pieces of at most this many bytes.
inline constexpr std::size_t kLongestCallBytes = std::size_t{1} << 30;

/// Finishes `transfers` one after the other by pread and pwrite. Thread-safe.
void run_by_system_calls(const TransferTarget& target, std::span<Transfer> transfers);

/// Takes what the page cache holds of each transfer, without waiting for the medium. True when that finished them all;
/// the others are left where they stopped. Thread-safe.
[[nodiscard]] bool read_cached(int descriptor, std::span<Transfer> transfers);

class IoEngine {
 public:
  virtual ~IoEngine() = default;
  IoEngine(const IoEngine&) = delete;
  IoEngine& operator=(const IoEngine&) = delete;

  /// Finishes every transfer that is not finished yet. Never throws for what a transfer met.
  virtual void run(const TransferTarget& target, std::span<Transfer> transfers) = 0;
  /// Whether transfers run at once.
  [[nodiscard]] virtual bool is_ring() const = 0;
  /// Page-aligned memory for transfers whose own memory a direct descriptor does not accept.
  [[nodiscard]] MutableByteSpan bounce() { return bounce_.bytes(); }

 protected:
  explicit IoEngine(std::size_t bounce_bytes) : bounce_(bounce_bytes, 4096) {}

 private:
  AlignedBuffer bounce_;
};

struct EngineOptions {
  /// Transfers under way at once; from 1 to 4096.
  unsigned depth = 128;
  /// Size of bounce(); at least 128 KiB, a multiple of 64 KiB.
  std::size_t bounce_bytes = std::size_t{512} << 10;
};

/// A ring with its bounce memory registered where the limit on locked memory allows; null when the kernel gives no
/// ring.
[[nodiscard]] std::unique_ptr<IoEngine> make_ring_engine(const EngineOptions& options);

/// Plain system calls; always there.
[[nodiscard]] std::unique_ptr<IoEngine> make_system_call_engine(const EngineOptions& options);

/// Makes a ring engine or returns null.
using RingMaker = std::function<std::unique_ptr<IoEngine>(const EngineOptions&)>;

}  // namespace xdax

// Transfers by pread and pwrite, and the bookkeeping that both engines share. See io_engine.h.

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "libfs/base/math.h"
#include "libfs/device/checks.h"
#include "libfs/device/io_engine.h"

namespace xdax {
namespace {

/// A kernel that says "again" this often without moving a byte will not move any.
constexpr std::uint32_t kMaxIdleRounds = 1000;

class SystemCallEngine final : public IoEngine {
 public:
  explicit SystemCallEngine(const EngineOptions& options) : IoEngine(options.bounce_bytes) {}
  void run(const TransferTarget& target, std::span<Transfer> transfers) override {
    run_by_system_calls(target, transfers);
  }
  [[nodiscard]] bool is_ring() const override { return false; }
};

std::int64_t call_once(const TransferTarget& target, const Transfer& transfer) {
  const std::size_t length_bytes = std::min(transfer.length_bytes - transfer.done_bytes, kLongestCallBytes);
  const auto offset = static_cast<off_t>(transfer.offset_bytes + transfer.done_bytes);
  std::byte* const data = transfer.data + transfer.done_bytes;
  const ssize_t result = target.direction == Direction::kRead ? ::pread(target.descriptor, data, length_bytes, offset)
                                                              : ::pwrite(target.descriptor, data, length_bytes, offset);
  return result < 0 ? -static_cast<std::int64_t>(errno) : result;
}

}  // namespace

bool advance(Transfer& transfer, const TransferTarget& target, std::int64_t result) {
  const bool again = result == -EINTR || result == -EAGAIN;
  if (result < 0 && !again) {
    transfer.error = errno_code(static_cast<int>(-result));
    return true;
  }
  if (result == 0) {
    transfer.error = make_error_code(target.direction == Direction::kRead ? Errc::kReadFailed : Errc::kWriteFailed);
    return true;
  }
  const std::size_t before_bytes = transfer.done_bytes;
  if (result > 0) transfer.done_bytes += static_cast<std::size_t>(result);
  if (transfer.done_bytes >= transfer.length_bytes) return true;
  transfer.done_bytes = round_down(transfer.done_bytes, std::size_t{target.granule_bytes});
  transfer.idle_rounds = transfer.done_bytes > before_bytes ? 0 : transfer.idle_rounds + 1;
  if (transfer.idle_rounds < kMaxIdleRounds) return false;
  transfer.error = again ? errno_code(static_cast<int>(-result)) : errno_code(EIO);
  return true;
}

void run_by_system_calls(const TransferTarget& target, std::span<Transfer> transfers) {
  for (Transfer& transfer : transfers) {
    if (is_finished(transfer)) continue;
    while (!advance(transfer, target, call_once(target, transfer))) continue;
  }
}

bool read_cached(int descriptor, std::span<Transfer> transfers) {
  bool all = true;
  for (Transfer& transfer : transfers) {
    while (!is_finished(transfer)) {
      const std::size_t rest_bytes = std::min(transfer.length_bytes - transfer.done_bytes, kLongestCallBytes);
      const iovec memory{.iov_base = transfer.data + transfer.done_bytes, .iov_len = rest_bytes};
      const auto offset = static_cast<off_t>(transfer.offset_bytes + transfer.done_bytes);
      const ssize_t result = ::preadv2(descriptor, &memory, 1, offset, RWF_NOWAIT);
      if (result <= 0) break;  // not there without waiting, or a fault: whoever waits for it will find out
      transfer.done_bytes += static_cast<std::size_t>(result);
    }
    all = all && is_finished(transfer);
  }
  return all;
}

std::unique_ptr<IoEngine> make_system_call_engine(const EngineOptions& options) {
  return std::make_unique<SystemCallEngine>(options);
}

}  // namespace xdax

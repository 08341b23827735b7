// Transfers through an io_uring. See io_engine.h.
//
// Invariant: run() returns only when the kernel holds no reference to the caller's memory. A ring that refuses to go on
// is marked broken after what it already accepted has come back, and the rest is done by system calls, now and from
// then on.

#include <liburing.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <deque>

#include "libfs/base/assert.h"
#include "libfs/device/io_engine.h"

namespace xdax {
namespace {

bool is_transient(int error_number) { return error_number == EINTR || error_number == EAGAIN || error_number == EBUSY; }

/// A ring that refuses submissions this often in a row, while nothing is under way, is given up.
constexpr unsigned kMaxRefusals = 100;

class RingEngine final : public IoEngine {
 public:
  explicit RingEngine(const EngineOptions& options) : IoEngine(options.bounce_bytes), depth_(options.depth) {}
  ~RingEngine() override {
    if (started_) ::io_uring_queue_exit(&ring_);
  }

  /// Asks the kernel for the ring; false when it gives none.
  [[nodiscard]] bool start();
  void run(const TransferTarget& target, std::span<Transfer> transfers) override;
  [[nodiscard]] bool is_ring() const override { return !broken_; }

 private:
  /// Transfers that wait for their first or their next call.
  struct Work {
    std::span<Transfer> transfers;
    std::size_t next = 0;
    std::deque<Transfer*> again;
    /// Calls placed in the ring and not yet reaped.
    unsigned outstanding = 0;

    /// Whether a call can be made; passes over transfers that are finished already.
    [[nodiscard]] bool waiting();
    Transfer* take();
  };

  void fill(const TransferTarget& target, Work& work);
  void place(const TransferTarget& target, Transfer& transfer, io_uring_sqe* entry) const;
  void reap(const TransferTarget& target, Work& work);
  void retire(const TransferTarget& target, Work& work);

  io_uring ring_{};
  unsigned depth_;
  bool started_ = false;
  bool bounce_registered_ = false;
  bool broken_ = false;
};

bool RingEngine::start() {
  // Completions are looked at when the thread enters the kernel anyway; older kernels only know how to interrupt it.
  if (::io_uring_queue_init(depth_, &ring_, IORING_SETUP_COOP_TASKRUN) != 0 &&
      ::io_uring_queue_init(depth_, &ring_, 0) != 0) {
    return false;
  }
  started_ = true;
  const iovec memory{.iov_base = bounce().data(), .iov_len = bounce().size()};
  // Registered memory counts against the limit on locked memory; unregistered memory works as well, only slower.
  bounce_registered_ = ::io_uring_register_buffers(&ring_, &memory, 1) == 0;
  return true;
}

bool RingEngine::Work::waiting() {
  while (next < transfers.size() && is_finished(transfers[next])) ++next;
  return next < transfers.size() || !again.empty();
}

Transfer* RingEngine::Work::take() {
  if (!again.empty()) {
    Transfer* const transfer = again.front();
    again.pop_front();
    return transfer;
  }
  return &transfers[next++];
}

void RingEngine::run(const TransferTarget& target, std::span<Transfer> transfers) {
  if (broken_) {
    run_by_system_calls(target, transfers);
    return;
  }
  Work work;
  work.transfers = transfers;
  unsigned refusals = 0;
  while (work.waiting() || work.outstanding > 0) {
    fill(target, work);
    // Each time the thread sleeps and wakes costs more than a transfer: it waits for half the ring, or for the last
    // one.
    const unsigned awaited = work.waiting() ? std::max(1u, work.outstanding / 2) : work.outstanding;
    const int submitted = ::io_uring_submit_and_wait(&ring_, awaited);
    refusals = submitted < 0 && submitted != -EINTR ? refusals + 1 : 0;
    if (submitted < 0 && (!is_transient(-submitted) || refusals > kMaxRefusals)) {
      retire(target, work);
      return;
    }
    reap(target, work);
  }
}

void RingEngine::fill(const TransferTarget& target, Work& work) {
  while (work.waiting() && work.outstanding < depth_) {
    io_uring_sqe* const entry = ::io_uring_get_sqe(&ring_);
    if (entry == nullptr) return;
    place(target, *work.take(), entry);
    ++work.outstanding;
  }
}

void RingEngine::place(const TransferTarget& target, Transfer& transfer, io_uring_sqe* entry) const {
  const std::size_t rest_bytes = transfer.length_bytes - transfer.done_bytes;
  const auto length_bytes = static_cast<unsigned>(std::min(rest_bytes, kLongestCallBytes));
  const std::uint64_t offset_bytes = transfer.offset_bytes + transfer.done_bytes;
  std::byte* const data = transfer.data + transfer.done_bytes;
  const bool fixed = transfer.in_bounce && bounce_registered_;
  if (target.direction == Direction::kRead) {
    if (fixed) {
      ::io_uring_prep_read_fixed(entry, target.descriptor, data, length_bytes, offset_bytes, 0);
    } else {
      ::io_uring_prep_read(entry, target.descriptor, data, length_bytes, offset_bytes);
    }
  } else if (fixed) {
    ::io_uring_prep_write_fixed(entry, target.descriptor, data, length_bytes, offset_bytes, 0);
  } else {
    ::io_uring_prep_write(entry, target.descriptor, data, length_bytes, offset_bytes);
  }
  ::io_uring_sqe_set_data(entry, &transfer);
}

void RingEngine::reap(const TransferTarget& target, Work& work) {
  io_uring_cqe* completion = nullptr;
  while (::io_uring_peek_cqe(&ring_, &completion) == 0 && completion != nullptr) {
    auto* const transfer = static_cast<Transfer*>(::io_uring_cqe_get_data(completion));
    const int result = completion->res;
    ::io_uring_cqe_seen(&ring_, completion);
    --work.outstanding;
    if (!advance(*transfer, target, result)) work.again.push_back(transfer);
  }
}

void RingEngine::retire(const TransferTarget& target, Work& work) {
  broken_ = true;
  // Entries that the kernel has not taken never come back; they are the newest ones.
  const unsigned refused = ::io_uring_sq_ready(&ring_);
  while (work.outstanding > refused) {
    io_uring_cqe* completion = nullptr;
    const int waited = ::io_uring_wait_cqe(&ring_, &completion);
    // Memory that the kernel may still write to cannot be given back to the caller.
    XDAX_ASSERT(waited == 0 || is_transient(-waited));
    if (waited == 0) reap(target, work);
  }
  run_by_system_calls(target, work.transfers);
}

}  // namespace

std::unique_ptr<IoEngine> make_ring_engine(const EngineOptions& options) {
  XDAX_ASSERT(options.depth >= 1 && options.depth <= 4096);
  auto engine = std::make_unique<RingEngine>(options);
  if (!engine->start()) return nullptr;
  return engine;
}

}  // namespace xdax

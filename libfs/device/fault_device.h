// A device that fails as told: errors, torn, lost and misdirected writes, silent corruption, barriers that lie.
//
// Rules say which operations are meant and what happens to them. Each request of a batch is judged by itself, in order,
// and the first rule that fires decides; requests that no rule touches go to the base together. A rule's chance is
// drawn from the seed, the rule and how often the rule has matched, so equal sequences of requests meet equal faults
// whatever ran between them. Thread-safe for non-overlapping ranges; with several threads the order of requests is
// theirs.
//
// mapped() gives nothing, so that no read passes by the rules.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "libfs/base/mutex.h"
#include "libfs/device/device.h"

namespace xdax {

enum class FaultOperation : std::uint8_t { kRead, kWrite, kZero, kDiscard, kPersist, kAny };

enum class FaultAction : std::uint8_t {
  /// Fails with the rule's error; nothing is done. A discard reports that nothing was done.
  kError,
  /// A write or zeroing of which only the first `torn_sectors` sectors arrive, and which fails with the rule's error
  /// or,
  /// when `silent`, succeeds. A read fails; a barrier fails unless `silent`; a discard is lost.
  kTorn,
  /// Reports success and does nothing: a dropped write, a barrier that lies. A read gives what the buffer held.
  kLost,
  /// A write or zeroing that lands `misdirect_bytes` further on (wrapping within the device) and reports success; a
  /// read that
  /// comes from there. A barrier or discard is lost.
  kMisdirected,
  /// One bit is flipped, chosen by the seed, in what a write stores or a read returns; success. A zeroing leaves one
  /// bit set; a
  /// barrier or discard is lost.
  kCorrupt,
};

struct FaultRule {
  FaultOperation operation = FaultOperation::kAny;
  FaultAction action = FaultAction::kError;
  /// Requests that touch this range are meant; barriers match whatever the range.
  std::uint64_t offset_bytes = 0;
  std::uint64_t length_bytes = std::numeric_limits<std::uint64_t>::max();
  /// These many matching requests pass unharmed first.
  std::uint64_t skip = 0;
  /// After it has fired so often the rule is silent.
  std::uint64_t count = std::numeric_limits<std::uint64_t>::max();
  /// Fires for one in so many of the requests left, by chance; 1 is always.
  std::uint32_t one_in = 1;
  /// For kError and kTorn.
  std::error_code error = std::make_error_code(std::errc::io_error);
  bool silent = false;
  std::uint64_t torn_sectors = 0;
  std::uint64_t misdirect_bytes = 4096;
};

/// A fault that happened.
struct FaultEvent {
  std::size_t rule = 0;
  FaultOperation operation = FaultOperation::kRead;
  std::uint64_t offset_bytes = 0;
  std::uint64_t length_bytes = 0;
  bool operator==(const FaultEvent&) const = default;
};

class FaultDevice final : public Device {
 public:
  FaultDevice(std::unique_ptr<Device> base, std::uint64_t seed);
  /// Over a base that somebody else owns and that lives longer.
  FaultDevice(Device& base, std::uint64_t seed);

  [[nodiscard]] const std::string& name() const override { return base_.name(); }
  [[nodiscard]] std::uint64_t size_bytes() const override { return base_.size_bytes(); }
  [[nodiscard]] const DeviceTraits& traits() const override { return base_.traits(); }

  void read_batch(std::span<ReadRequest> requests) override XDAX_EXCLUDES(mutex_);
  void write_batch(std::span<WriteRequest> requests) override XDAX_EXCLUDES(mutex_);
  void zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, ZeroMode mode) override XDAX_EXCLUDES(mutex_);
  bool discard(std::uint64_t offset_bytes, std::uint64_t length_bytes) override XDAX_EXCLUDES(mutex_);
  void persist() override XDAX_EXCLUDES(mutex_);

  /// Adds a rule, judged after the earlier ones; returns its number.
  std::size_t add_rule(const FaultRule& rule) XDAX_EXCLUDES(mutex_);
  /// Takes all rules away; what happened so far stays listed.
  void clear_rules() XDAX_EXCLUDES(mutex_);
  /// The faults so far, in order.
  [[nodiscard]] std::vector<FaultEvent> faults() const XDAX_EXCLUDES(mutex_);

 private:
  struct ActiveRule {
    FaultRule rule;
    std::size_t number = 0;
    std::uint64_t matched = 0;
    std::uint64_t fired = 0;
  };
  /// What is to happen to a request; `rule` is null when nothing is.
  struct Verdict {
    std::optional<FaultRule> rule;
    std::uint64_t chance = 0;  ///< random bits for the action
  };

  [[nodiscard]] Verdict judge(FaultOperation operation, std::uint64_t offset_bytes, std::uint64_t length_bytes)
      XDAX_EXCLUDES(mutex_);
  void read_with_fault(ReadRequest& request, const Verdict& verdict);
  void write_with_fault(WriteRequest& request, const Verdict& verdict);
  [[nodiscard]] std::uint64_t torn_length(std::uint64_t offset_bytes, std::uint64_t length_bytes,
                                          std::uint64_t sectors) const;
  [[nodiscard]] std::uint64_t misdirected(std::uint64_t offset_bytes, std::uint64_t length_bytes,
                                          std::uint64_t by_bytes) const;

  std::unique_ptr<Device> owned_;
  Device& base_;
  const std::uint64_t seed_;
  mutable Mutex mutex_;
  std::vector<ActiveRule> rules_ XDAX_GUARDED_BY(mutex_);
  std::size_t rules_added_ XDAX_GUARDED_BY(mutex_) = 0;
  std::vector<FaultEvent> faults_ XDAX_GUARDED_BY(mutex_);
};

}  // namespace xdax

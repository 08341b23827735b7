// A device that fails as told. See fault_device.h.

#include "libfs/device/fault_device.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "libfs/base/assert.h"
#include "libfs/base/math.h"
#include "libfs/device/checks.h"
#include "libfs/device/random.h"

namespace xdax {
namespace {

bool overlaps(const FaultRule& rule, std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  const bool begins_before_end = rule.offset_bytes < offset_bytes + length_bytes;
  return begins_before_end &&
         (offset_bytes < rule.offset_bytes || offset_bytes - rule.offset_bytes < rule.length_bytes);
}

void flip_bit(MutableByteSpan bytes, std::uint64_t chance) {
  if (bytes.empty()) return;
  const std::uint64_t bit = chance % (std::uint64_t{bytes.size()} * 8);
  bytes[static_cast<std::size_t>(bit / 8)] ^= static_cast<std::byte>(1u << (bit % 8));
}

}  // namespace

FaultDevice::FaultDevice(std::unique_ptr<Device> base, std::uint64_t seed) : FaultDevice(*base, seed) {
  owned_ = std::move(base);
}

FaultDevice::FaultDevice(Device& base, std::uint64_t seed) : base_(base), seed_(seed) {}

std::size_t FaultDevice::add_rule(const FaultRule& rule) {
  XDAX_ASSERT(rule.one_in >= 1 && rule.error);
  const MutexLock lock(mutex_);
  ActiveRule active;
  active.rule = rule;
  active.number = rules_added_++;
  rules_.push_back(active);
  return active.number;
}

void FaultDevice::clear_rules() {
  const MutexLock lock(mutex_);
  rules_.clear();
}

std::vector<FaultEvent> FaultDevice::faults() const {
  const MutexLock lock(mutex_);
  return faults_;
}

FaultDevice::Verdict FaultDevice::judge(FaultOperation operation, std::uint64_t offset_bytes,
                                        std::uint64_t length_bytes) {
  const MutexLock lock(mutex_);
  for (ActiveRule& active : rules_) {
    const FaultRule& rule = active.rule;
    if (rule.operation != FaultOperation::kAny && rule.operation != operation) continue;
    if (operation != FaultOperation::kPersist && !overlaps(rule, offset_bytes, length_bytes)) continue;
    const std::uint64_t match = active.matched++;
    const std::uint64_t chance = mix_bits(seed_ ^ mix_bits(active.number ^ mix_bits(match)));
    if (match < rule.skip || active.fired >= rule.count || chance % rule.one_in != 0) continue;
    ++active.fired;
    faults_.push_back({active.number, operation, offset_bytes, length_bytes});
    return {.rule = rule, .chance = mix_bits(chance)};
  }
  return {};
}

std::uint64_t FaultDevice::torn_length(std::uint64_t offset_bytes, std::uint64_t length_bytes,
                                       std::uint64_t sectors) const {
  const std::uint64_t sector_bytes = traits().sector_bytes;
  const std::uint64_t first_bytes = sector_bytes - offset_bytes % sector_bytes;  // in the first sector touched
  if (sectors == 0) return 0;
  if (sectors - 1 >= length_bytes / sector_bytes + 1) return length_bytes;
  return std::min(length_bytes, first_bytes + (sectors - 1) * sector_bytes);
}

/// Where the range is found instead: further on, or from the start again when it would pass the end.
std::uint64_t FaultDevice::misdirected(std::uint64_t offset_bytes, std::uint64_t length_bytes,
                                       std::uint64_t by_bytes) const {
  const std::uint64_t places = size_bytes() - length_bytes + 1;
  const std::uint64_t from = offset_bytes % places;
  const std::uint64_t by = by_bytes % places;
  return by < places - from ? from + by : by - (places - from);
}

void FaultDevice::read_with_fault(ReadRequest& request, const Verdict& verdict) {
  const FaultRule& rule = *verdict.rule;
  switch (rule.action) {
    case FaultAction::kError:
    case FaultAction::kTorn:
      request.error = rule.error;
      return;
    case FaultAction::kLost:
      request.error = {};
      return;
    case FaultAction::kMisdirected: {
      ReadRequest other = request;
      other.offset_bytes = misdirected(request.offset_bytes, request.buffer.size(), rule.misdirect_bytes);
      base_.read_batch({&other, 1});
      request.error = other.error;
      return;
    }
    case FaultAction::kCorrupt:
      base_.read_batch({&request, 1});
      if (!request.error) flip_bit(request.buffer, verdict.chance);
      return;
  }
}

void FaultDevice::read_batch(std::span<ReadRequest> requests) {
  std::vector<ReadRequest> passed;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    ReadRequest& request = requests[i];
    request.error = range_error(*this, request.offset_bytes, request.buffer.size());
    if (request.error || request.buffer.empty()) continue;
    const Verdict verdict = judge(FaultOperation::kRead, request.offset_bytes, request.buffer.size());
    if (verdict.rule) {
      read_with_fault(request, verdict);
    } else {
      passed.push_back(request);
      places.push_back(i);
    }
  }
  base_.read_batch(passed);
  for (std::size_t i = 0; i < passed.size(); ++i) requests[places[i]].error = passed[i].error;
}

void FaultDevice::write_with_fault(WriteRequest& request, const Verdict& verdict) {
  const FaultRule& rule = *verdict.rule;
  WriteRequest other = request;
  std::vector<std::byte> corrupted;
  switch (rule.action) {
    case FaultAction::kError:
      request.error = rule.error;
      return;
    case FaultAction::kLost:
      request.error = {};
      return;
    case FaultAction::kTorn: {
      const std::uint64_t kept = torn_length(request.offset_bytes, request.buffer.size(), rule.torn_sectors);
      other.buffer = request.buffer.first(static_cast<std::size_t>(kept));
      base_.write_batch({&other, 1});
      request.error = other.error ? other.error : rule.silent ? std::error_code{} : rule.error;
      return;
    }
    case FaultAction::kMisdirected:
      other.offset_bytes = misdirected(request.offset_bytes, request.buffer.size(), rule.misdirect_bytes);
      break;
    case FaultAction::kCorrupt:
      corrupted.assign(request.buffer.begin(), request.buffer.end());
      flip_bit(corrupted, verdict.chance);
      other.buffer = corrupted;
      break;
  }
  base_.write_batch({&other, 1});
  request.error = other.error;
}

void FaultDevice::write_batch(std::span<WriteRequest> requests) {
  std::vector<WriteRequest> passed;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    WriteRequest& request = requests[i];
    request.error = write_range_error(*this, request.offset_bytes, request.buffer.size());
    if (request.error || request.buffer.empty()) continue;
    const Verdict verdict = judge(FaultOperation::kWrite, request.offset_bytes, request.buffer.size());
    if (verdict.rule) {
      write_with_fault(request, verdict);
    } else {
      passed.push_back(request);
      places.push_back(i);
    }
  }
  base_.write_batch(passed);
  for (std::size_t i = 0; i < passed.size(); ++i) requests[places[i]].error = passed[i].error;
}

void FaultDevice::zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, ZeroMode mode) {
  require_writable_range(*this, offset_bytes, length_bytes, "zero");
  if (length_bytes == 0) return;
  const Verdict verdict = judge(FaultOperation::kZero, offset_bytes, length_bytes);
  if (!verdict.rule) {
    base_.zero(offset_bytes, length_bytes, mode);
    return;
  }
  const FaultRule& rule = *verdict.rule;
  if (rule.action == FaultAction::kLost) return;
  if (rule.action == FaultAction::kMisdirected) {
    base_.zero(misdirected(offset_bytes, length_bytes, rule.misdirect_bytes), length_bytes, mode);
    return;
  }
  if (rule.action == FaultAction::kCorrupt) {
    base_.zero(offset_bytes, length_bytes, mode);
    const std::byte bit{static_cast<unsigned char>(1u << (verdict.chance % 8))};
    base_.write(offset_bytes + (verdict.chance >> 3) % length_bytes, {&bit, 1});
    return;
  }
  if (rule.action == FaultAction::kTorn)
    base_.zero(offset_bytes, torn_length(offset_bytes, length_bytes, rule.torn_sectors), mode);
  if (rule.action == FaultAction::kTorn && rule.silent) return;
  throw IoError(Errc::kWriteFailed, fmt::format("{}: cannot zero {} bytes at byte {}: {}", name(), length_bytes,
                                                offset_bytes, rule.error.message()));
}

bool FaultDevice::discard(std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  require_writable_range(*this, offset_bytes, length_bytes, "discard");
  if (length_bytes == 0) return false;
  const Verdict verdict = judge(FaultOperation::kDiscard, offset_bytes, length_bytes);
  if (!verdict.rule) return base_.discard(offset_bytes, length_bytes);
  return verdict.rule->action != FaultAction::kError;
}

void FaultDevice::persist() {
  const Verdict verdict = judge(FaultOperation::kPersist, 0, 0);
  if (!verdict.rule) {
    base_.persist();
    return;
  }
  const bool fails = verdict.rule->action == FaultAction::kError || verdict.rule->action == FaultAction::kTorn;
  if (!fails || verdict.rule->silent) return;
  throw IoError(Errc::kPersistFailed,
                fmt::format("{}: what was written may not be durable: {}", name(), verdict.rule->error.message()));
}

}  // namespace xdax

// Flaws: the rules a structure breaks, as values.
//
// A verifier looks at bytes and at what is expected of them and returns Flaws. It never throws, never allocates and
// never trusts a count it has not checked. The list is bounded: past kMax flaws only their number is kept, so
// hostile bytes cost no memory. Thread-safety: values.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <type_traits>

namespace xdax {

enum class FlawKind : std::uint8_t {
  kMagic,        ///< not this kind of structure at all
  kVersion,      ///< a version this format does not have
  kChecksum,     ///< the stored CRC32C is not the computed one
  kUuid,         ///< belongs to another filesystem
  kSelfAddress,  ///< says it lives elsewhere (misdirected write)
  kOwner,        ///< belongs to another owner
  kSequence,     ///< wrong allocation group number
  kLevel,        ///< not the level expected of a tree block
  kCount,        ///< a count beyond what fits, or that contradicts the content
  kRange,        ///< a value outside its legal range
  kOrder,        ///< records or entries not in order, or overlapping
  kPointer,      ///< an address that leads outside, or to where it must not
  kReserved,     ///< bits or bytes that must be zero are not
  kConsistency,  ///< two fields of one structure contradict each other
};

/// Lower-case word for messages, e.g. "checksum".
[[nodiscard]] const char* to_string(FlawKind kind);

/// One broken rule. `field` and `rule` are string literals.
struct Flaw {
  FlawKind kind{};
  const char* field = "";          ///< documentation name of the field, e.g. "agf.flcount"
  std::uint32_t offset_bytes = 0;  ///< where the field lies in the structure
  std::uint64_t found = 0;
  std::uint64_t expected = 0;  ///< the value, or the bound that was broken
  const char* rule = "";       ///< what ought to hold, e.g. "at most the length of the group"
};

class Flaws {
 public:
  static constexpr std::size_t kMax = 16;

  void add(const Flaw& flaw) {
    if (total_ < kMax) kept_.flaws[total_] = flaw;
    ++total_;
  }
  void add_all(const Flaws& other) {
    for (const Flaw& flaw : other) add(flaw);
    total_ += other.total_ - other.size();
  }
  [[nodiscard]] bool empty() const { return total_ == 0; }
  /// How many are kept.
  [[nodiscard]] std::size_t size() const { return std::min<std::size_t>(total_, kMax); }
  /// How many there were.
  [[nodiscard]] std::uint64_t total() const { return total_; }
  [[nodiscard]] const Flaw* begin() const { return kept_.flaws.data(); }
  [[nodiscard]] const Flaw* end() const { return kept_.flaws.data() + size(); }
  [[nodiscard]] const Flaw& operator[](std::size_t index) const { return kept_.flaws[index]; }
  [[nodiscard]] bool has(FlawKind kind) const {
    return total_ != 0 && std::any_of(begin(), end(), [kind](const Flaw& flaw) { return flaw.kind == kind; });
  }

 private:
  // Not written to until there is a flaw: a verifier is called a million times and finds none.
  union Kept {
    Kept() {}  // NOLINT(modernize-use-equals-default): a default one would write
    std::array<Flaw, kMax> flaws;
  };
  static_assert(std::is_trivially_copyable_v<Flaw> && std::is_trivially_destructible_v<Flaw>);

  Kept kept_;
  std::uint64_t total_ = 0;
};

}  // namespace xdax

// The table of problems: permanent ids, how bad they are, and what can be done about them.
//
// The rows are in problems.def, one a problem. Thread-safe: constants.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace xdax::fsck {

enum class Severity : std::uint8_t {
  kInfo,     ///< worth knowing; does not change the exit status
  kWarning,  ///< wrong, but nothing can be lost by it
  kError,    ///< wrong: data or space can be lost, or a mount may fail
};

/// What mends it. The checker only names it.
enum class Cure : std::uint8_t {
  kNone,          ///< nothing on the device can
  kReplayLog,     ///< mounting, or replaying the log
  kReplayPrefix,  ///< replaying what can be read of the log and starting it anew
  kRestoreCopy,   ///< another copy of the superblock
  kRebuild,       ///< rebuilding the structure from the others
  kRecompute,     ///< counting again
  kClearMark,     ///< clearing a mark once everything else is well
  kClear,         ///< clearing the inode, when nothing better is left
  kReconnect,     ///< giving it a name in lost+found, or in its parent where that is known
};

enum class Problem : std::uint8_t {
#define XDAX_PROBLEM(enumerator, id, severity, cure, text) enumerator,
#include "fsck/problems.def"
#undef XDAX_PROBLEM
};

struct ProblemRow {
  Problem problem;
  const char* id;
  Severity severity;
  Cure cure;
  const char* text;
};

inline constexpr ProblemRow kProblems[] = {
#define XDAX_PROBLEM(enumerator, id, severity, cure, text) \
  {Problem::enumerator, id, Severity::severity, Cure::cure, text},
#include "fsck/problems.def"
#undef XDAX_PROBLEM
};
inline constexpr std::size_t kProblemCount = sizeof(kProblems) / sizeof(kProblems[0]);
static_assert(kProblemCount <= 256, "Problem is one byte");

[[nodiscard]] constexpr std::size_t index_of(Problem problem) { return static_cast<std::size_t>(problem); }
[[nodiscard]] constexpr const ProblemRow& row_of(Problem problem) { return kProblems[index_of(problem)]; }

/// The problem with this id, if there is one.
[[nodiscard]] std::optional<Problem> find_problem(std::string_view id);

/// Lower-case words for output: "error", "restore-copy".
[[nodiscard]] const char* to_string(Severity severity);
[[nodiscard]] const char* to_string(Cure cure);

}  // namespace xdax::fsck

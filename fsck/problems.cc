#include "fsck/problems.h"

namespace xdax::fsck {

std::optional<Problem> find_problem(std::string_view id) {
  for (const ProblemRow& row : kProblems) {
    if (id == row.id) return row.problem;
  }
  return std::nullopt;
}

const char* to_string(Severity severity) {
  switch (severity) {
    case Severity::kInfo:
      return "info";
    case Severity::kWarning:
      return "warning";
    case Severity::kError:
      return "error";
  }
  return "unknown";
}

const char* to_string(Cure cure) {
  switch (cure) {
    case Cure::kNone:
      return "none";
    case Cure::kReplayLog:
      return "replay-log";
    case Cure::kReplayPrefix:
      return "replay-prefix";
    case Cure::kRestoreCopy:
      return "restore-copy";
    case Cure::kRebuild:
      return "rebuild";
    case Cure::kRecompute:
      return "recompute";
    case Cure::kClearMark:
      return "clear-mark";
    case Cure::kClear:
      return "clear";
    case Cure::kReconnect:
      return "reconnect";
  }
  return "unknown";
}

}  // namespace xdax::fsck

// What a check found, for people (text) and for programs (JSON). Pure: from values to strings.
//
// The JSON object is documented in man/fsck.xdax.8.scd under its version; fields are only ever added within one
// version.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "fsck/check.h"
#include "fsck/finding.h"

namespace xdax::fsck {

/// How the check of one device ended.
struct Outcome {
  std::string device;
  /// Absent when there was nothing to check; `error` then says why.
  std::optional<CheckResult> result;
  std::string error;
  std::vector<std::string> warnings;
  bool quick = false;
  /// The user asked for repair (-y, -a, -p).
  bool repair_wanted = false;
  /// The sum of fsck(8).
  int exit_status = 0;
};

/// The finding without the device: "agf.checksum: group 1, agf, byte 512: the checksum ... (found 1, expected 2)".
[[nodiscard]] std::string describe(const Finding& finding);

/// The lines for standard output, each ending in a line end. Nothing for a clean filesystem unless `verbose`.
[[nodiscard]] std::string text_report(const Outcome& outcome, bool verbose);

/// One JSON object on one line, with a line end.
[[nodiscard]] std::string json_report(const Outcome& outcome);

}  // namespace xdax::fsck

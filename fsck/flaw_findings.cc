#include "fsck/flaw_findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

namespace xdax::fsck {

Problem problem_of(const Flaw& flaw, std::string_view group_name) {
  const std::string_view field = flaw.field;
  std::string id(group_name.empty() ? field.substr(0, field.find('.')) : group_name);
  id += '.';
  id += to_string(flaw.kind);
  std::replace(id.begin(), id.end(), '-', '_');
  return find_problem(id).value_or(Problem::kStructureFlaw);
}

void add_flaws(FindingSink& sink, const Flaws& flaws, const Finding& place, std::string_view group_name) {
  for (const Flaw& flaw : flaws) {
    Finding finding = place;
    finding.problem = problem_of(flaw, group_name);
    finding.field = flaw.field;
    // A uuid does not fit a number; its flaw says all there is to say.
    if (flaw.kind != FlawKind::kUuid) {
      finding.found = flaw.found;
      finding.expected = flaw.expected;
    }
    if (finding.byte) *finding.byte += flaw.offset_bytes;
    finding.detail = fmt::format("{}: ought to be {}", flaw.field, flaw.rule);
    sink.add(std::move(finding));
  }
  if (flaws.total() > flaws.size()) {
    Finding rest = place;
    rest.problem = Problem::kStructureFlaw;
    rest.detail = fmt::format("{} more flaws in the same place", flaws.total() - flaws.size());
    sink.add(std::move(rest));
  }
}

}  // namespace xdax::fsck

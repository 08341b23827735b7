#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "fsck/report.h"

namespace xdax::fsck {
namespace {

using nlohmann::ordered_json;

constexpr int kSchemaVersion = 1;

ordered_json json_of(const Lsn& lsn) { return {{"cycle", lsn.cycle}, {"block", lsn.block}}; }

ordered_json json_of(const LogSummary& log) {
  ordered_json json = {{"state", to_string(log.state)}};
  if (log.head) json["head"] = json_of(*log.head);
  if (log.tail) json["tail"] = json_of(*log.tail);
  if (log.last_record) json["last_record"] = json_of(*log.last_record);
  json["records"] = log.records;
  json["torn_records"] = log.torn_records;
  json["bad_checksums"] = log.bad_checksums;
  if (log.first_bad) json["first_bad"] = json_of(*log.first_bad);
  json["uuid_matches"] = log.uuid_matches;
  if (!log.detail.empty()) json["detail"] = log.detail;
  return json;
}

ordered_json json_of(const Finding& finding) {
  const ProblemRow& row = row_of(finding.problem);
  ordered_json json = {{"id", row.id},
                       {"severity", to_string(row.severity)},
                       {"cure", to_string(row.cure)},
                       {"text", row.text},
                       {"structure", finding.structure}};
  if (*finding.field != '\0') json["field"] = finding.field;
  if (finding.group) json["group"] = *finding.group;
  if (finding.block) {
    json["block"] = *finding.block;
    json["length_blocks"] = finding.length_blocks;
  }
  if (finding.byte) json["byte"] = *finding.byte;
  if (finding.inode) json["inode"] = *finding.inode;
  if (!finding.path.empty()) json["path"] = finding.path;
  if (finding.found) json["found"] = *finding.found;
  if (finding.expected) json["expected"] = *finding.expected;
  if (!finding.detail.empty()) json["detail"] = finding.detail;
  return json;
}

ordered_json json_of_filesystem(const CheckResult& result) {
  const Geometry& geometry = *result.geometry;
  std::string label(result.superblock->fname, sizeof(result.superblock->fname));
  label.resize(std::min(label.find('\0'), label.size()));
  return {{"uuid", geometry.user_uuid.to_string()}, {"label", label},
          {"block_bytes", geometry.block_bytes},    {"data_blocks", geometry.data_blocks},
          {"group_count", geometry.ag_count},       {"group_blocks", geometry.ag_blocks}};
}

void add_result(ordered_json& json, const CheckResult& result) {
  if (result.geometry) json["filesystem"] = json_of_filesystem(result);
  if (result.log) json["log"] = json_of(*result.log);
  json["groups_checked"] = result.groups_checked;
  if (result.inodes_checked) {
    json["inodes_checked"] = *result.inodes_checked;
    json["directories_checked"] = result.directories_checked;
  }
  json["waits_for_replay"] = result.waits_for_replay;
  ordered_json skipped = ordered_json::array();
  for (std::size_t i = 0; i < kCrossCheckCount; ++i) {
    const auto check = static_cast<CrossCheck>(i);
    if (result.skipped.count(check) == 0) continue;
    skipped.push_back({{"check", to_string(check)}, {"groups", result.skipped.count(check)}});
  }
  json["skipped"] = std::move(skipped);
  ordered_json counts = ordered_json::object();
  for (const ProblemRow& row : kProblems) {
    if (result.findings.count(row.problem) > 0) counts[row.id] = result.findings.count(row.problem);
  }
  json["counts"] = std::move(counts);
  ordered_json findings = ordered_json::array();
  for (const Finding& finding : result.findings.findings()) findings.push_back(json_of(finding));
  json["findings"] = std::move(findings);
  json["findings_not_listed"] = result.findings.not_kept();
}

}  // namespace

std::string json_report(const Outcome& outcome) {
  ordered_json json = {{"schema", "xdax-fsck"},
                       {"version", kSchemaVersion},
                       {"device", outcome.device},
                       {"quick", outcome.quick},
                       {"exit_status", outcome.exit_status}};
  json["error"] = outcome.error.empty() ? ordered_json(nullptr) : ordered_json(outcome.error);
  json["warnings"] = outcome.warnings;
  if (outcome.result) add_result(json, *outcome.result);
  // Labels and paths may be any bytes; what is not UTF-8 is replaced, never refused.
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace xdax::fsck

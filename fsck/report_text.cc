#include <fmt/format.h>

#include <iterator>

#include "fsck/report.h"
#include "libfs/cli/message.h"

namespace xdax::fsck {
namespace {

using Lines = std::back_insert_iterator<std::string>;

// The label is whatever lies on the disk.
std::string label_of(const Superblock& superblock) {
  std::string label(superblock.fname, sizeof(superblock.fname));
  label.resize(std::min(label.find('\0'), label.size()));
  return cli::one_line(label);
}

void describe_filesystem(Lines out, const Outcome& outcome) {
  const CheckResult& result = *outcome.result;
  const Geometry& geometry = *result.geometry;
  fmt::format_to(out, "{}: uuid {}, label \"{}\", {} groups of {} blocks of {} bytes\n", outcome.device,
                 geometry.user_uuid.to_string(), label_of(*result.superblock), geometry.ag_count, geometry.ag_blocks,
                 geometry.block_bytes);
  if (result.inodes_checked) {
    fmt::format_to(out, "{}: {} inodes in use, {} of them directories\n", outcome.device, *result.inodes_checked,
                   result.directories_checked);
  }
  if (!result.log) return;
  const LogSummary& log = *result.log;
  fmt::format_to(out, "{}: the log is {}", outcome.device, to_string(log.state));
  if (log.head && log.tail) {
    fmt::format_to(out, ", head at cycle {} block {}, tail at cycle {} block {}", log.head->cycle, log.head->block,
                   log.tail->cycle, log.tail->block);
  }
  fmt::format_to(out, "\n");
}

void describe_limits(Lines out, const Outcome& outcome) {
  const CheckResult& result = *outcome.result;
  for (std::size_t i = 0; i < kCrossCheckCount; ++i) {
    const auto check = static_cast<CrossCheck>(i);
    const std::uint64_t groups = result.skipped.count(check);
    if (groups == 0) continue;
    fmt::format_to(out, "{}: not compared in {} of {} groups, because of the damage: {}\n", outcome.device, groups,
                   result.groups_checked, to_string(check));
  }
  if (result.waits_for_replay && !outcome.quick) {
    fmt::format_to(out,
                   "{}: {} kinds of check wait for the replay of the log; replay it with xdax_repair --replay-only or "
                   "by a mount, then check again\n",
                   outcome.device, kCrossCheckCount);
  }
}

void describe_end(Lines out, const Outcome& outcome, bool verbose) {
  const CheckResult& result = *outcome.result;
  const std::uint64_t problems = result.findings.problems();
  if (result.findings.not_kept() > 0) {
    fmt::format_to(out, "{}: {} more findings are not listed\n", outcome.device, result.findings.not_kept());
  }
  if (outcome.exit_status == 0 && outcome.quick && result.waits_for_replay) {
    fmt::format_to(out, "{}: the log holds changes that the next mount replays; left to it\n", outcome.device);
    return;
  }
  if (problems == 0) {
    if (!verbose || !result.complete()) return;
    const char* clean = outcome.quick ? "superblock and log are clean; nothing else was looked at (-f checks all)"
                                      : "no problems found";
    fmt::format_to(out, "{}: {}\n", outcome.device, clean);
    return;
  }
  fmt::format_to(out, "{}: {} problem{} found, nothing was changed{}\n", outcome.device, problems,
                 problems == 1 ? "" : "s", outcome.repair_wanted ? " (this version cannot repair)" : "");
}

}  // namespace

std::string describe(const Finding& finding) {
  std::string text = row_of(finding.problem).id;
  const auto out = std::back_inserter(text);
  const char* separator = ": ";
  const auto part = [&](const std::string& words) {
    text += separator + words;
    separator = ", ";
  };
  if (finding.group) part(fmt::format("group {}", *finding.group));
  if (*finding.structure != '\0') part(finding.structure);
  if (finding.block && finding.length_blocks > 1) {
    const std::uint64_t last = std::uint64_t{*finding.block} + finding.length_blocks - 1;
    part(fmt::format("blocks {} to {}", *finding.block, last));
  } else if (finding.block) {
    part(fmt::format("block {}", *finding.block));
  }
  if (finding.inode) part(fmt::format("inode {}", *finding.inode));
  if (!finding.path.empty()) part(finding.path);
  if (finding.byte) part(fmt::format("byte {}", *finding.byte));
  fmt::format_to(out, ": {}", row_of(finding.problem).text);
  if (!finding.detail.empty()) fmt::format_to(out, "; {}", finding.detail);
  if (finding.found && finding.expected) {
    fmt::format_to(out, " (found {}, expected {})", *finding.found, *finding.expected);
  }
  return cli::one_line(text);
}

std::string text_report(const Outcome& outcome, bool verbose) {
  std::string text;
  const Lines out = std::back_inserter(text);
  if (!outcome.result || !outcome.result->geometry) return text;
  if (verbose) describe_filesystem(out, outcome);
  const bool left_to_mount = outcome.quick && outcome.exit_status == 0;
  for (const Finding& finding : outcome.result->findings.findings()) {
    if (left_to_mount && finding.problem == Problem::kLogDirty && !verbose) continue;
    fmt::format_to(out, "{}: {}\n", outcome.device, describe(finding));
  }
  describe_limits(out, outcome);
  describe_end(out, outcome, verbose);
  return text;
}

}  // namespace xdax::fsck

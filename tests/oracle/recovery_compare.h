// Two recovered filesystems beside each other, and one under the eyes of two checkers.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "fsck/check.h"
#include "fsck/report.h"
#include "libfs/device/device.h"
#include "tests/support/process.h"
#include "tests/support/xfs_repair.h"

namespace xdax::test {

// What xdax shows of everything.
inline std::string tree_of(const std::filesystem::path& image) {
  std::string all;
  for (const std::vector<std::string>& verb : {std::vector<std::string>{"ls", "-l", "-R"}, {"digest"}}) {
    std::vector<std::string> argv = {program_path("xdax")};
    argv.insert(argv.end(), verb.begin(), verb.end());
    argv.push_back(image.string());
    const ProcessResult result = run(argv);
    EXPECT_EQ(result.exit_status, 0) << result.err;
    all += result.out;
  }
  return all;
}

enum class Checkers : std::uint8_t { kBoth, kOurs };

inline void expect_sound(const std::filesystem::path& image, Checkers checkers = Checkers::kBoth) {
  const auto device = open_device(image.string(), {.mode = OpenMode::kRead});
  const fsck::CheckResult result = fsck::check_filesystem(*device, {.threads = 2});
  std::string text;
  // A truncation cut short leaves blocks behind the end of its file, before a mount and behind it.
  for (const fsck::Finding& finding : result.findings.findings()) {
    if (finding.problem == fsck::Problem::kInodeSize) continue;
    if (text.size() < 3000) text += fsck::describe(finding) + "\n";
  }
  EXPECT_EQ(text, "");
  EXPECT_TRUE(result.complete());
  if (checkers == Checkers::kOurs) return;
  const RepairVerdict verdict = xfs_repair_check(image);
  EXPECT_TRUE(verdict.clean) << verdict.output;
}

}  // namespace xdax::test

#include "tests/support/xfs_repair.h"

#include <vector>

#include "tests/support/process.h"

namespace xdax::test {
namespace {

ProcessResult repair(const std::filesystem::path& image, bool force_geometry) {
  std::vector<std::string> argv = {"xfs_repair", "-n"};
  if (std::filesystem::is_regular_file(image)) argv.emplace_back("-f");
  if (force_geometry) argv.insert(argv.end(), {"-o", "force_geometry"});
  argv.push_back(image.string());
  return run(argv, {.timeout = std::chrono::minutes(10)});
}

}  // namespace

RepairVerdict xfs_repair_check(const std::filesystem::path& image) {
  ProcessResult result = repair(image, false);
  if (!result.ok() && result.err.find("force_geometry") != std::string::npos) result = repair(image, true);
  return {.clean = result.ok(), .exit_status = result.exit_status, .output = result.describe()};
}

}  // namespace xdax::test

// What a test asks of the machine before it uses an oracle: the kernel or xfsprogs.
//
// Each macro stands at the start of a test's body (or SetUp). Where the machine lacks the thing, the test is skipped
// and says why; with XDAX_REQUIRE_ORACLES=1 in the environment (CI; script/test --require-oracles) it fails.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace xdax::test {

/// Whether XDAX_REQUIRE_ORACLES is set to anything but 0 or nothing.
[[nodiscard]] bool oracles_required();

/// Each says what is missing, or nothing. They try what they promise (a loop device is attached and detached).
[[nodiscard]] std::optional<std::string> missing_root_and_loop();
[[nodiscard]] std::optional<std::string> missing_kernel_xfs();
[[nodiscard]] std::optional<std::string> missing_xfsprogs();
/// A program that is neither ours nor xfsprogs' ("fsfreeze", "setfattr").
[[nodiscard]] std::optional<std::string> missing_program(const std::string& name);

}  // namespace xdax::test

#define XDAX_NEED(missing_expression)                                                          \
  do {                                                                                         \
    if (const std::optional<std::string> xdax_missing = (missing_expression); xdax_missing) {  \
      if (::xdax::test::oracles_required()) GTEST_FAIL() << "required but: " << *xdax_missing; \
      GTEST_SKIP() << *xdax_missing;                                                           \
    }                                                                                          \
  } while (false)

/// Root, and loop devices that can be attached.
#define XDAX_NEED_ROOT_AND_LOOP() XDAX_NEED(::xdax::test::missing_root_and_loop())
/// Root, loop devices, and a kernel that knows XFS.
#define XDAX_NEED_KERNEL_XFS() XDAX_NEED(::xdax::test::missing_kernel_xfs())
/// mkfs.xfs, xfs_db, xfs_repair, xfs_io.
#define XDAX_NEED_XFSPROGS() XDAX_NEED(::xdax::test::missing_xfsprogs())
#define XDAX_NEED_PROGRAM(name) XDAX_NEED(::xdax::test::missing_program(name))

#include "libfs/cli/message.h"

#include <gtest/gtest.h>

#include "libfs/cli/exit_codes.h"
#include "libfs/cli/terminal.h"

namespace xdax::cli {
namespace {

TEST(Message, IsOneLineWhateverIsInIt) {
  EXPECT_EQ(one_line("plain"), "plain");
  EXPECT_EQ(one_line("two\nlines\n"), "two; lines");
  EXPECT_EQ(one_line("\x1b[2Jwiped\ttab\r\n"), "?[2Jwiped?tab");
  EXPECT_EQ(one_line("name \xc3\xa9"), "name \xc3\xa9") << "UTF-8 stays";
  EXPECT_EQ(one_line(""), "");
}

TEST(Message, GoesToStandardErrorWithItsProgram) {
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  error_line("fsck.xdax", "/dev/x: no superblock\nhelp");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "fsck.xdax: /dev/x: no superblock; help\n");
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
}

TEST(ExitCodes, AreThoseOfFsckAndSumUp) {
  EXPECT_EQ(kFsckClean, 0);
  EXPECT_EQ(kFsckCorrected | kFsckReboot | kFsckUncorrected | kFsckOperational | kFsckUsage | kFsckCancelled, 63);
  EXPECT_EQ(kFsckUncorrected, 4);
  EXPECT_EQ(kFsckOperational, 8);
  EXPECT_EQ(kFsckUsage, 16);
  EXPECT_EQ(kFsckLibrary, 128);
}

}  // namespace
}  // namespace xdax::cli

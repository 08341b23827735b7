#include "libfs/base/error.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>
#include <string>

#include "libfs/base/assert.h"

namespace xdax {
namespace {

struct Row {
  Errc code;
  int errno_value;
};

constexpr Row kRows[] = {
    {Errc::kReadFailed, EIO},     {Errc::kWriteFailed, EIO},
    {Errc::kPersistFailed, EIO},  {Errc::kBadStructure, EUCLEAN},
    {Errc::kNotXfs, EINVAL},      {Errc::kOutOfRange, EINVAL},
    {Errc::kBadArgument, EINVAL}, {Errc::kNotSupported, EOPNOTSUPP},
    {Errc::kReadOnly, EROFS},     {Errc::kNoSpace, ENOSPC},
    {Errc::kInUse, EBUSY},        {Errc::kHoldsSignature, EEXIST},
    {Errc::kOpenFailed, EIO},     {Errc::kCancelled, ECANCELED},
    {Errc::kNotFound, ENOENT},    {Errc::kExists, EEXIST},
};

TEST(Error, EveryCodeIsAnErrnoAndHasItsOwnText) {
  std::set<std::string> texts;
  for (const Row& row : kRows) {
    const std::error_code code = row.code;
    EXPECT_EQ(code, std::error_condition(row.errno_value, std::generic_category())) << code.message();
    EXPECT_STREQ(code.category().name(), "xdax");
    texts.insert(code.message());
  }
  EXPECT_EQ(texts.size(), std::size(kRows));
  EXPECT_FALSE(texts.contains("unknown error"));
  EXPECT_EQ(error_category().message(9999), "unknown error");
}

TEST(Error, CarriesItsLineAndItsCause) {
  try {
    throw IoError(Errc::kReadFailed, "/dev/x: block 7 of group 1 cannot be read");
  } catch (const std::system_error& caught) {
    EXPECT_STREQ(caught.what(), "/dev/x: block 7 of group 1 cannot be read");
    EXPECT_EQ(caught.code(), std::errc::io_error);
    const auto* error = dynamic_cast<const Error*>(&caught);
    ASSERT_NE(error, nullptr);
    EXPECT_EQ(error->cause(), Errc::kReadFailed);
  }
}

TEST(Error, TheThreeKindsAreApart) {
  EXPECT_THROW(throw RefusalError(Errc::kNoSpace, "full"), RefusalError);
  bool corruption = false;
  try {
    throw CorruptionError(Errc::kBadStructure, "bad");
  } catch (const IoError&) {       // NOLINT(bugprone-empty-catch)
  } catch (const RefusalError&) {  // NOLINT(bugprone-empty-catch)
  } catch (const Error&) {
    corruption = true;
  }
  EXPECT_TRUE(corruption);
}

TEST(AssertDeathTest, SaysWhatAndWhereAndStaysOn) {
  EXPECT_DEATH(XDAX_ASSERT(1 + 1 == 3), "1 \\+ 1 == 3 is false at .*base_error_test.cc:[0-9]+");
  XDAX_ASSERT(true);
}

}  // namespace
}  // namespace xdax

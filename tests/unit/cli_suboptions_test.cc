#include "libfs/cli/suboptions.h"

#include <gtest/gtest.h>

namespace xdax::cli {
namespace {

using List = std::vector<Suboption>;

TEST(Suboptions, SplitAtCommasAndTheFirstEqualsSign) {
  EXPECT_EQ(split_suboptions("agcount=4,su=64k,noalign"),
            (List{{"agcount", "4"}, {"su", "64k"}, {"noalign", std::nullopt}}));
  EXPECT_EQ(split_suboptions("noalign"), (List{{"noalign", std::nullopt}}));
  EXPECT_EQ(split_suboptions("name=a=b"), (List{{"name", "a=b"}}));
}

TEST(Suboptions, AnEmptyValueIsNotAMissingOne) {
  EXPECT_EQ(split_suboptions("size="), (List{{"size", ""}}));
  EXPECT_NE(split_suboptions("size="), split_suboptions("size"));
}

TEST(Suboptions, RefuseHoles) {
  for (const char* text : {"", ",", "a,", ",a", "a,,b", "=4", "a=1,=2"}) {
    const auto result = split_suboptions(text);
    ASSERT_FALSE(result) << text;
    EXPECT_FALSE(result.error().empty()) << text;
  }
}

TEST(Suboptions, MergeKeepsOrderAndDropsRepeats) {
  EXPECT_EQ(merge_suboptions({}), List{});
  EXPECT_EQ(merge_suboptions({"a=1,b=2", "c", "a=1"}), (List{{"a", "1"}, {"b", "2"}, {"c", std::nullopt}}));
}

TEST(Suboptions, MergeNamesAContradiction) {
  const std::vector<std::vector<std::string>> contradictions = {
      {"size=1", "size=2"}, {"size=1,size=2"}, {"size", "size=1"}};
  for (const auto& lists : contradictions) {
    const auto result = merge_suboptions(lists);
    ASSERT_FALSE(result);
    EXPECT_NE(result.error().find("size"), std::string::npos);
  }
  EXPECT_FALSE(merge_suboptions({"a", ""}));
}

}  // namespace
}  // namespace xdax::cli

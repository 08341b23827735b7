// Quota records. No kernel of these machines writes any, so xfs_db judges a block made here: it must see every field
// where we put it and find the checksum right.

#include "libfs/format/dquot.h"

#include <gtest/gtest.h>

#include <string>

#include "libfs/base/crc32c.h"
#include "tests/oracle/format_image.h"
#include "tests/support/oracle.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/xfs_db.h"

namespace xdax::test {
namespace {

TEST(FormatDquot, XfsDbSeesEveryFieldWhereWePutIt) {
  XDAX_NEED_XFSPROGS();
  const TempDir temp(memory_temp_parent());
  const auto path = temp.sparse_file("image", 300ull << 20);
  run_or_throw({"mkfs.xfs", "-q", path.string()});
  const Image image(path);
  const Geometry& geometry = image.geometry();
  constexpr std::uint32_t kFirstId = 60;
  Bytes block(geometry.block_bytes);
  for (std::uint32_t i = 0; i < dquots_per_block(geometry.block_bytes); ++i) {
    const MutableByteSpan record = MutableByteSpan(block).subspan(i * sizeof(Dquot), sizeof(Dquot));
    auto& dquot = mutable_view<Dquot>(record);
    dquot.magic = Dquot::kMagic;
    dquot.version = Dquot::kVersion;
    dquot.type = static_cast<std::uint8_t>(DquotType::kGroup);
    dquot.id = kFirstId + i;
    dquot.blk_hardlimit = 101ull;
    dquot.blk_softlimit = 102ull;
    dquot.ino_hardlimit = 103ull;
    dquot.ino_softlimit = 104ull;
    dquot.bcount = 11ull;
    dquot.icount = 12ull;
    dquot.iwarns = 109;
    dquot.bwarns = 110;
    dquot.rtb_hardlimit = 111ull;
    dquot.rtb_softlimit = 112ull;
    dquot.rtbcount = 13ull;
    dquot.rtbwarns = 115;
    dquot.lsn = 116ull;
    dquot.uuid = geometry.uuid;
    seal(record, offsetof(Dquot, crc));
  }
  const DquotExpectation expected{.type = DquotType::kGroup, .first_id = kFirstId};
  const Flaws flaws = verify_dquot_block(block, geometry, expected);
  EXPECT_TRUE(flaws.empty()) << describe(flaws);

  constexpr FsBlock kPlace{5000};
  overwrite(path, geometry.byte_of(kPlace), {reinterpret_cast<const char*>(block.data()), block.size()});
  const XfsDbOutput seen = xfs_db(path, {"fsblock " + std::to_string(kPlace.value()), "type dqblk", "print"});
  EXPECT_EQ(seen.number("diskdq.id"), kFirstId);
  EXPECT_EQ(seen.number("diskdq.type"), 4u);
  EXPECT_EQ(seen.number("diskdq.blk_hardlimit"), 101u);
  EXPECT_EQ(seen.number("diskdq.blk_softlimit"), 102u);
  EXPECT_EQ(seen.number("diskdq.ino_hardlimit"), 103u);
  EXPECT_EQ(seen.number("diskdq.ino_softlimit"), 104u);
  EXPECT_EQ(seen.number("diskdq.bcount"), 11u);
  EXPECT_EQ(seen.number("diskdq.icount"), 12u);
  EXPECT_EQ(seen.number("diskdq.iwarns"), 109u);
  EXPECT_EQ(seen.number("diskdq.bwarns"), 110u);
  EXPECT_EQ(seen.number("diskdq.rtb_hardlimit"), 111u);
  EXPECT_EQ(seen.number("diskdq.rtb_softlimit"), 112u);
  EXPECT_EQ(seen.number("diskdq.rtbcount"), 13u);
  EXPECT_EQ(seen.number("diskdq.rtbwarns"), 115u);
  EXPECT_EQ(seen.at("uuid"), geometry.uuid.to_string());
  EXPECT_NE(seen.at("crc").find("(correct)"), std::string::npos) << seen.text;
}

}  // namespace
}  // namespace xdax::test

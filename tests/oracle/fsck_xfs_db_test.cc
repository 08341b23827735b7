// Damage made by somebody else's hand: xfs_db writes one field of an image that mkfs.xfs made and the kernel filled,
// and puts the checksum right. fsck.xdax finds each, and names what it is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <set>

#include "fsck/check.h"
#include "fsck/problems.h"
#include "fsck/report.h"
#include "tests/oracle/fsck_image.h"
#include "tests/support/oracle.h"
#include "tests/support/xfs_db.h"
#include "tests/support/xfs_repair.h"

namespace xdax::test {
namespace {

struct Damage {
  std::vector<std::string> place;  ///< commands that lead to the structure
  const char* write;               ///< field and value
  const char* id;                  ///< among the findings; null: neither checker can know
};

const std::vector<std::string> kBno = {"agf 0", "addr bnoroot"};
const std::vector<std::string> kRmap = {"agf 0", "addr rmaproot", "addr ptrs[1]"};
const std::vector<std::string> kRefcount = {"agf 0", "addr refcntroot"};
const std::vector<std::string> kInobt = {"agi 0", "addr root"};
const std::vector<std::string> kBmap = {"path /frag", "addr u3.bmbt.ptrs[1]"};
const std::vector<std::string> kBlockForm = {"path /block", "dblock 0"};
const std::vector<std::string> kNodeForm = {"path /node", "dblock 8388608"};
constexpr const char* kOtherUuid = "uuid 00000000-0000-0000-0000-000000000001";

const std::vector<Damage> kDamages = {
    {{"sb 0"}, "icount 5", "total.sb_icount"},
    {{"sb 0"}, "ifree 7", "total.sb_ifree"},
    {{"sb 0"}, "fdblocks 1", "total.sb_fdblocks"},
    {{"sb 0"}, "frextents 9", "sb.count"},
    {{"sb 1"}, "dblocks 100", "copy.consistency"},
    {{"sb 1"}, "inodesize 1024", "copy.range"},
    {{"sb 3"}, "magicnum 0", "copy.magic"},
    {{"agf 0"}, "freeblks 7", "total.freeblks"},
    {{"agf 0"}, "longest 3", "total.longest"},
    {{"agf 1"}, "length 5", "agf.range"},
    {{"agf 1"}, "seqno 3", "agf.sequence"},
    {{"agf 0"}, "btreeblks 99", "total.btreeblks"},
    {{"agf 0"}, "flcount 2", "agf.consistency"},
    {{"agf 0"}, "rmapblocks 77", "total.rmap_blocks"},
    {{"agf 0"}, "refcntblocks 9", "total.refcount_blocks"},
    {{"agf 0"}, "bnolevel 4", "btree.level"},
    {{"agf 0"}, "bnoroot 9999999", "agf.pointer"},
    {{"agf 2"}, kOtherUuid, "agf.uuid"},
    {{"agfl 1"}, "seqno 7", "agfl.sequence"},
    {{"agi 0"}, "freecount 1", "total.free_inodes"},
    {{"agi 0"}, "newino 3", "agi.pointer"},
    {{"agi 1"}, "root 70000", "agi.pointer"},
    {{"agi 0"}, "level 3", "btree.level"},
    {{"agi 0"}, "unlinked[3] 131", "unlinked.linked"},
    {{"agi 0"}, "fino_blocks 7", "total.fblocks"},
    {{"agi 0"}, "ino_blocks 9", "total.iblocks"},
    {kBno, "leftsib 5", "btree.pointer"},
    {kBno, "numrecs 1000", "btree.count"},
    {kRmap, "recs[1].blockcount 2", "rmap.range"},
    {kRmap, "recs[5].owner 999", "rmap.wrong_owner"},
    {kRmap, "owner 3", "btree.owner"},
    {kRefcount, "recs[1].refcount 3", "refcount.wrong"},
    {kRefcount, "recs[1].blockcount 1", "refcount.missing"},
    {kInobt, "recs[1].freecount 3", "inobt.consistency"},
    {kInobt, "recs[1].free 0", "inobt.consistency"},
    {kInobt, "recs[1].startino 192", "finobt.missing"},
    {kInobt, "bno 77", "btree.self_address"},
    {{"agi 0", "addr free_root"}, "recs[1].freecount 3", "inobt.consistency"},
    {{"path /big"}, "core.nlinkv2 5", "inode.links"},
    {{"path /big"}, "core.size 1", "inode.size"},
    {{"path /big"}, "core.nblocks 5", "inode.consistency"},
    {{"path /big"}, "core.format 1", "inode.consistency"},
    {{"path /big"}, "core.mode 0", "inode.free"},
    {{"path /big"}, "core.mode 040755", "entry.type"},
    {{"path /big"}, "core.nextents 7", "extent.pointer"},
    {{"path /big"}, "core.forkoff 60", "inode.range"},
    {{"path /big"}, "v3.inumber 5", "inode.self_address"},
    {{"path /big"}, "v3.uuid 00000000-0000-0000-0000-000000000001", "inode.uuid"},
    {{"path /big"}, "v3.reflink 0", "inode.reflink"},
    {{"path /big"}, "u3.bmx[0].startblock 50", "extent.unmapped"},
    {{"path /big"}, "u3.bmx[0].blockcount 2000000", "extent.pointer"},
    {{"path /big"}, "u3.bmx[0].startoff 9", "extent.unowned"},
    {{"path /big"}, "u3.bmx[0].extentflag 1", "extent.unowned"},
    {{"path /big"}, "next_unlinked 130", "inode.consistency"},
    {{"path /device"}, "core.size 5", "inode.range"},
    {{"path /short"}, "core.size 3", "dir.range"},
    {{"path /short"}, "u3.sfdir3.hdr.count 1", "dir.range"},
    {{"path /short"}, "u3.sfdir3.hdr.parent.i4 131", "entry.parent"},
    {{"path /short"}, "u3.sfdir3.list[0].inumber.i4 77777", "entry.free"},
    {{"path /short"}, "u3.sfdir3.list[0].filetype 2", "entry.type"},
    {{"path /short"}, "u3.sfdir3.list[1].name \"f1\"", "dir.duplicate"},
    {{"path /short"}, "a.sfattr.hdr.count 2", "attr.range"},
    {{"path /frag"}, "u3.bmbt.level 2", "btree.level"},
    {{"path /frag"}, "u3.bmbt.ptrs[1] 9", "btree.magic"},
    {{"path /frag"}, "u3.bmbt.keys[2] 3", "btree.key"},
    {kBmap, "recs[1].blockcount 5", "extent.order"},
    {kBmap, "owner 7", "btree.owner"},
    {kBmap, "rightsib 9", "btree.sibling"},
    {kBlockForm, "bhdr.bestfree[0].length 9", "dir.consistency"},
    {kBlockForm, "bu[2].inumber 77777", "entry.free"},
    {kBlockForm, "bu[2].filetype 2", "entry.type"},
    {kBlockForm, "bu[2].name \"file2\"", "dir.consistency"},
    {kBlockForm, "bleaf[3].hashval 1", "dir.order"},
    {kBlockForm, "btail.count 3", "dir.range"},
    {kBlockForm, "bhdr.hdr.owner 5", "dir.owner"},
    {kBlockForm, "bu[0].inumber 128", "dir.consistency"},
    {{"path /leaf", "dblock 0"}, "du[3].tag 9", "dir.self_address"},
    {{"path /leaf", "dblock 0"}, "dhdr.bestfree[0].length 9", "dir.consistency"},
    {kNodeForm, "nbtree[1].before 9", "dir.pointer"},
    {kNodeForm, "nhdr.level 3", "dir.magic"},
    {{"path /node", "dblock 8388609"}, "lents[5].hashval 5", "dir.index_missing"},
    {{"path /node", "dblock 16777216"}, "fbests[0] 1", "dir.bests"},
    {{"path /node", "dblock 16777216"}, "fhdr.nvalid 3", "dir.count"},
    {{"path /leaf", "ablock 0"}, "btree[1].before 9", "attr.revisited"},
    {{"path /leaf", "ablock 1"}, "hdr.count 5", "attr.consistency"},
    {{"path /leaf", "ablock 1"}, "entries[3].hashval 5", "attr.order"},
    {{"path /leaf", "ablock 1"}, "entries[3].nameidx 8", "attr.pointer"},
    {{"path /leaf", "ablock 1"}, "hdr.usedbytes 5", "attr.consistency"},
    {{"path /big", "ablock 1"}, "hdr.owner 3", "remote.owner"},
    {{"path /long_link", "dblock 0"}, "bytes 3", "remote.count"},
    {{"path /long_link", "dblock 0"}, "owner 3", "remote.owner"},
    {{"path /long_link", "dblock 0"}, "offset 3", "remote.consistency"},
    // What has no second statement: another generation, a target that ends earlier.
    {{"path /big"}, "core.gen 12345", nullptr},
    {{"path /link"}, "core.size 3", nullptr},
};

void must(bool worked, const std::string& what) {
  if (!worked) throw std::system_error(errno, std::generic_category(), what);
}

void set_attributes(const std::filesystem::path& path, unsigned count, std::size_t bytes) {
  const std::string value(bytes, 'v');
  for (unsigned i = 0; i < count; ++i) {
    const std::string name = "user.name_" + std::to_string(i);
    must(::setxattr(path.c_str(), name.c_str(), value.data(), value.size(), 0) == 0, "setxattr " + name);
  }
}

void fill(const std::filesystem::path& root) {
  for (const char* name : {"short", "block", "leaf", "node"}) std::filesystem::create_directory(root / name);
  for (const char* name : {"f1", "f2", "f3"}) write_file(root / "short" / name, "x");
  for (unsigned i = 1; i <= 40; ++i) write_file(root / "block" / ("file" + std::to_string(i)), "x");
  const auto leaf = [&](unsigned i) { return root / "leaf" / ("a_rather_long_name_" + std::to_string(i)); };
  for (unsigned i = 1; i <= 600; ++i) write_file(leaf(i), "");
  for (unsigned i = 3; i <= 600; i += 3) std::filesystem::remove(leaf(i));
  for (unsigned i = 1; i <= 4000; ++i) {
    write_file(root / "node" / ("another_rather_long_name_of_" + std::to_string(i)), "");
  }
  write_file(root / "big", std::string(300000, 'b'));
  run_or_throw({"cp", "--reflink=always", (root / "big").string(), (root / "clone").string()});
  const FileHandle fragments(root / "frag");
  fragments.write(0, std::string(std::size_t{1200} * 4096, 'f'));
  must(::fsync(fragments.fd()) == 0, "fsync");
  for (unsigned i = 1; i < 1200; i += 2) {
    fragments.allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, std::uint64_t{i} * 4096, 4096);
  }
  set_attributes(root / "short", 1, 1);
  set_attributes(root / "leaf", 200, 300);
  set_attributes(root / "big", 1, 20000);
  must(::symlink("target", (root / "link").c_str()) == 0, "symlink");
  must(::symlink(std::string(900, 't').c_str(), (root / "long_link").c_str()) == 0, "symlink");
  must(::mknod((root / "device").c_str(), S_IFCHR | 0600, makedev(1, 3)) == 0, "mknod");
}

TEST(FsckXfsDb, WhatXfsDbDamagesIsFound) {
  XDAX_NEED_KERNEL_XFS();
  XDAX_NEED_XFSPROGS();
  const TempDir dir(memory_temp_parent());
  const std::filesystem::path base = dir.sparse_file("base", 320ull << 20);
  run_or_throw({"mkfs.xfs", "-q", "-f", "-b", "size=4096", "-m", "rmapbt=1,reflink=1,finobt=1", "-d", "agcount=4",
                base.string()});
  {
    const LoopDevice loop(base);
    const Mount mount(loop.path());
    fill(mount.path());
  }
  const std::filesystem::path image = dir.path() / "image";
  for (const Damage& damage : kDamages) {
    SCOPED_TRACE(::testing::PrintToString(damage.place) + " " + damage.write);
    run_or_throw({"cp", "--sparse=always", base.string(), image.string()});
    std::vector<std::string> commands = damage.place;
    commands.push_back(std::string("write -d ") + damage.write);
    const XfsDbOutput wrote = xfs_db_write(image, commands);
    ASSERT_THAT(wrote.text, ::testing::Not(::testing::HasSubstr("not found"))) << wrote.text;
    const auto device = open_device(image.string(), {.mode = OpenMode::kRead});
    const fsck::CheckResult result = fsck::check_filesystem(*device, {.threads = 2});
    std::set<std::string> ids;
    for (const fsck::Finding& finding : result.findings.findings()) ids.insert(fsck::row_of(finding.problem).id);
    if (damage.id != nullptr) {
      EXPECT_THAT(ids, ::testing::Contains(damage.id));
    } else {
      EXPECT_THAT(ids, ::testing::IsEmpty());
      EXPECT_TRUE(xfs_repair_check(image).clean);
    }
  }
}

}  // namespace
}  // namespace xdax::test

#include "libfs/format/block_stamp.h"

#include "libfs/base/crc32c.h"
#include "libfs/base/endian.h"
#include "libfs/format/agf.h"
#include "libfs/format/agfl.h"
#include "libfs/format/agi.h"
#include "libfs/format/attr_leaf.h"
#include "libfs/format/btree_block.h"
#include "libfs/format/da_node.h"
#include "libfs/format/dir_data.h"
#include "libfs/format/dir_free.h"
#include "libfs/format/dir_leaf.h"
#include "libfs/format/dquot.h"
#include "libfs/format/inode.h"
#include "libfs/format/remote_block.h"
#include "libfs/format/superblock.h"

namespace xdax {
namespace {

template <class T>
BlockStamp fields() {
  return {.lsn_offset = offsetof(T, lsn), .uuid_offset = offsetof(T, uuid), .crc_offset = offsetof(T, crc)};
}

bool is_short_btree(std::uint32_t magic) {
  for (const BtreeKind kind : {BtreeKind::kBno, BtreeKind::kCnt, BtreeKind::kInobt, BtreeKind::kFinobt,
                               BtreeKind::kRmap, BtreeKind::kRefcount}) {
    if (btree_spec(kind).magic == magic) return true;
  }
  return false;
}

}  // namespace

std::uint64_t BlockStamp::lsn(ByteSpan block) const { return view<be64>(block, lsn_offset); }

bool BlockStamp::whole(ByteSpan block) const {
  return view<le32>(block, crc_offset) == structure_checksum(block, crc_offset);
}

void BlockStamp::set(MutableByteSpan block, std::uint64_t lsn) const {
  mutable_view<be64>(block, lsn_offset) = lsn;
  seal(block, crc_offset);
}

std::optional<BlockStamp> stamp_of(ByteSpan block) {
  if (block.size() < kBasicBlockBytes) return std::nullopt;
  const std::uint32_t magic = view<be32>(block);
  switch (magic) {
    case Superblock::kMagic: {
      BlockStamp stamp = fields<Superblock>();
      if (view<Superblock>(block).features().metauuid()) stamp.uuid_offset = offsetof(Superblock, meta_uuid);
      return stamp;
    }
    case Agf::kMagic:
      return fields<Agf>();
    case AgflHeader::kMagic:
      return fields<AgflHeader>();
    case Agi::kMagic:
      return fields<Agi>();
    case DirDataHeader::kBlockMagic:
    case DirDataHeader::kDataMagic:
    case DirFreeHeader::kMagic:
      return fields<DirBlockInfo>();
    case RemoteHeader::kSymlinkMagic:
    case RemoteHeader::kAttrMagic:
      return fields<RemoteHeader>();
    default:
      break;
  }
  if (is_short_btree(magic)) return fields<ShortBtreeHeader>();
  if (magic == btree_spec(BtreeKind::kBmap).magic) return fields<LongBtreeHeader>();
  switch (view<DaBlockInfo>(block).magic) {
    case DaNodeHeader::kMagic:
    case DirLeafHeader::kLeaf1Magic:
    case DirLeafHeader::kLeafNMagic:
    case AttrLeafHeader::kMagic:
      return fields<DaBlockInfo>();
    default:
      return std::nullopt;
  }
}

BufLogType log_type_of(ByteSpan block) {
  if (block.size() < kBasicBlockBytes) return BufLogType::kUnknown;
  const std::uint32_t magic = view<be32>(block);
  switch (magic) {
    case Superblock::kMagic:
      return BufLogType::kSuperblock;
    case Agf::kMagic:
      return BufLogType::kAgf;
    case AgflHeader::kMagic:
      return BufLogType::kAgfl;
    case Agi::kMagic:
      return BufLogType::kAgi;
    case DirDataHeader::kBlockMagic:
      return BufLogType::kDirBlock;
    case DirDataHeader::kDataMagic:
      return BufLogType::kDirData;
    case DirFreeHeader::kMagic:
      return BufLogType::kDirFree;
    case RemoteHeader::kSymlinkMagic:
      return BufLogType::kSymlink;
    case RemoteHeader::kAttrMagic:
      return BufLogType::kAttrRemote;
    default:
      break;
  }
  if (is_short_btree(magic) || magic == btree_spec(BtreeKind::kBmap).magic) return BufLogType::kBtree;
  switch (view<DaBlockInfo>(block).magic) {
    case DaNodeHeader::kMagic:
      return BufLogType::kDaNode;
    case DirLeafHeader::kLeaf1Magic:
      return BufLogType::kDirLeaf1;
    case DirLeafHeader::kLeafNMagic:
      return BufLogType::kDirLeafN;
    case AttrLeafHeader::kMagic:
      return BufLogType::kAttrLeaf;
    default:
      break;
  }
  if (view<be16>(block) == InodeCore::kMagic) return BufLogType::kInodes;
  return view<be16>(block) == Dquot::kMagic ? BufLogType::kUserDquot : BufLogType::kUnknown;
}

}  // namespace xdax

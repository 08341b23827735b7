// Hostile attribute blocks: leaf, node, remote values, and the targets of symbolic links and quota records beside them.

#include "libfs/format/attr_leaf.h"
#include "libfs/format/da_node.h"
#include "libfs/format/dquot.h"
#include "libfs/format/remote_block.h"
#include "tests/fuzz/fuzz_geometry.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace xdax;
  if (size < 2) return 0;
  Geometry geometry = fuzz::geometry_of(data[0]);
  const fuzz::Bytes block = fuzz::block_of(data, size, geometry.block_bytes);
  const auto& da = view<DaBlockInfo>(block);
  const auto& remote = view<RemoteHeader>(block);
  const std::uint8_t kind = data[0] >> 2 & 7;
  geometry.uuid = kind < 2 ? da.uuid : remote.uuid;
  const DaExpectation expected{.owner = InodeNumber(da.owner), .block = fuzz::block_at(geometry, da.blkno)};
  const RemoteExpectation part{.owner = InodeNumber(remote.owner),
                               .block = fuzz::block_at(geometry, remote.blkno),
                               .offset_bytes = remote.offset,
                               .value_bytes = remote.offset + remote.bytes};
  switch (kind) {
    case 0: {
      const bool sound = verify_attr_leaf(block, geometry, expected).empty();
      for (const AttrLeafEntry& entry : attr_leaf_entries(block)) {
        const auto name = attr_leaf_name(block, entry);
        fuzz::require(!sound || (name && !name->name.empty()));
      }
      break;
    }
    case 1:
      (void)verify_da_node(block, geometry, Fork::kAttr, expected, std::nullopt);
      (void)da_node_entries(block);
      break;
    case 2:
      (void)verify_attr_remote(block, geometry, part);
      (void)remote_content(block);
      break;
    case 3:
      (void)verify_symlink_remote(block, geometry, part);
      break;
    default:
      geometry.uuid = view<Dquot>(block).uuid;
      (void)verify_dquot_block(block, geometry, {.type = DquotType::kUser, .first_id = view<Dquot>(block).id});
      break;
  }
  return 0;
}

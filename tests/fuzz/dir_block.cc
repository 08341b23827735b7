// Hostile directory blocks: block, data, leaf, node and free, of any block size.

#include "libfs/format/da_node.h"
#include "libfs/format/dir_data.h"
#include "libfs/format/dir_free.h"
#include "libfs/format/dir_leaf.h"
#include "tests/fuzz/fuzz_geometry.h"

namespace {

using namespace xdax;

// What a verified block promises to those who walk it.
void walk(ByteSpan block, const Geometry& geometry, DirDataForm form, bool sound) {
  DirDataCursor cursor(block, form, geometry.features.ftype());
  std::uint32_t last = 0;
  while (cursor.next()) {
    const DirDataItem& item = cursor.item();
    fuzz::require(item.at_bytes > last && item.length_bytes != 0);
    last = item.at_bytes;
    fuzz::require(item.at_bytes + item.length_bytes <= block.size());
    if (sound && item.is_entry) fuzz::require(!item.entry.name.empty());
  }
  fuzz::require(!sound || !cursor.broken());
  (void)dir_block_index(block);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  Geometry geometry = fuzz::geometry_of(data[0]);
  const fuzz::Bytes block = fuzz::block_of(data, size, geometry.dir_block_bytes());
  const DirRegions regions = DirRegions::of(geometry);
  const auto& dir = view<DirBlockInfo>(block);
  const auto& da = view<DaBlockInfo>(block);
  const std::uint8_t kind = data[0] >> 2 & 7;
  const bool of_data = kind < 2 || kind == 5;
  geometry.uuid = of_data ? dir.uuid : da.uuid;
  const DaExpectation expected{.owner = InodeNumber(of_data ? dir.owner : da.owner),
                               .block = fuzz::block_at(geometry, of_data ? dir.blkno : da.blkno),
                               .file_block = of_data ? FileBlock((data[0] & 0x80) != 0 ? 16 : 0) : regions.leaf};
  switch (kind) {
    case 0:
    case 1: {
      const DirDataForm form = kind == 0 ? DirDataForm::kBlock : DirDataForm::kData;
      walk(block, geometry, form, verify_dir_data(block, geometry, form, expected).empty());
      break;
    }
    case 2:
    case 3:
      (void)verify_dir_leaf(block, geometry, kind == 2 ? DirLeafForm::kLeaf1 : DirLeafForm::kLeafN, expected);
      (void)dir_leaf_entries(block);
      (void)dir_leaf_bests(block);
      break;
    case 4:
      (void)verify_da_node(block, geometry, Fork::kData, expected, std::nullopt);
      (void)da_node_entries(block);
      break;
    default:
      (void)verify_dir_free(block, geometry,
                            {.owner = expected.owner, .block = expected.block, .file_block = regions.free});
      (void)dir_free_bests(block);
      break;
  }
  return 0;
}

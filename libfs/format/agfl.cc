#include "libfs/format/agfl.h"

#include "libfs/format/ag_header.h"

namespace xdax {

Flaws verify_agfl(ByteSpan sector, const Geometry& geometry, AgNumber ag, const AgflRing& ring) {
  Flaws flaws;
  if (!check_ag_header<AgflHeader>(flaws, sector, geometry, ag,
                                   {"agfl.magicnum", "agfl.crc", "", "agfl.uuid", "agfl.seqno", ""})) {
    return flaws;
  }
  const std::span<const be32> entries = agfl_entries(sector);
  if (ring.first >= entries.size() || ring.last >= entries.size() || ring.count > entries.size()) return flaws;
  for (std::uint32_t i = 0; i < ring.count; ++i) {
    const std::size_t slot = (ring.first + i) % entries.size();
    if (!geometry.valid_ag_block(ag, AgBlock(entries[slot]))) {
      flaws.add({FlawKind::kPointer, "agfl.bno", static_cast<std::uint32_t>(sizeof(AgflHeader) + slot * sizeof(be32)),
                 entries[slot], geometry.ag_length_blocks(ag), "a block inside the group, past its header"});
    }
  }
  return flaws;
}

}  // namespace xdax

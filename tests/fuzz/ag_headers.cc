// Fuzz target: AGF, AGI and AGFL of any bytes, under a filesystem that is sound.
//
// The input is up to three sectors. The free list is walked as the AGF describes it, which must stay inside the sector
// whatever the AGF says.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "libfs/format/agf.h"
#include "libfs/format/agfl.h"
#include "libfs/format/agi.h"
#include "tests/fuzz/small_geometry.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace xdax;
  static const Geometry geometry = fuzz::small_geometry();
  std::vector<std::byte> sectors(3 * geometry.sector_bytes);
  std::transform(data, data + std::min(size, sectors.size()), sectors.begin(),
                 [](std::uint8_t byte) { return std::byte{byte}; });
  const auto sector = [&](std::size_t index) {
    return ByteSpan(sectors).subspan(index * geometry.sector_bytes, geometry.sector_bytes);
  };
  for (const AgNumber ag : {AgNumber(0), AgNumber(geometry.ag_count - 1)}) {
    static_cast<void>(verify_agf(sector(0), geometry, ag));
    static_cast<void>(verify_agi(sector(1), geometry, ag));
    const auto& agf = view<Agf>(sector(0));
    static_cast<void>(verify_agfl(sector(2), geometry, ag, {agf.flfirst, agf.fllast, agf.flcount}));
  }
  return 0;
}

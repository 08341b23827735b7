#include "libfs/format/agf.h"

#include "libfs/format/ag_header.h"
#include "libfs/format/agfl.h"

namespace xdax {
namespace {

void check_free_list(Flaws& flaws, const Agf& agf, std::uint32_t capacity) {
  if (agf.flfirst >= capacity) {
    flaws.add(
        {FlawKind::kRange, "agf.flfirst", offsetof(Agf, flfirst), agf.flfirst, capacity, "an entry of the free list"});
  }
  if (agf.fllast >= capacity) {
    flaws.add(
        {FlawKind::kRange, "agf.fllast", offsetof(Agf, fllast), agf.fllast, capacity, "an entry of the free list"});
  }
  if (agf.flcount > capacity) {
    flaws.add({FlawKind::kCount, "agf.flcount", offsetof(Agf, flcount), agf.flcount, capacity,
               "at most the entries of the free list"});
  }
  if (agf.flfirst >= capacity || agf.fllast >= capacity || agf.flcount > capacity) return;
  // An empty ring has first just past last, which also describes a full one.
  const std::uint32_t span = (agf.fllast + capacity - agf.flfirst) % capacity + 1;
  const bool agrees = agf.flcount == 0 ? span == capacity : span == agf.flcount;
  if (!agrees) {
    flaws.add({FlawKind::kConsistency, "agf.flcount", offsetof(Agf, flcount), agf.flcount, span,
               "the distance from flfirst to fllast"});
  }
}

}  // namespace

Flaws verify_agf(ByteSpan sector, const Geometry& geometry, AgNumber ag) {
  Flaws flaws;
  if (!check_ag_header<Agf>(flaws, sector, geometry, ag,
                            {"agf.magicnum", "agf.crc", "agf.versionnum", "agf.uuid", "agf.seqno", "agf.length"})) {
    return flaws;
  }
  const auto& agf = view<Agf>(sector);
  const std::uint32_t length = geometry.ag_length_blocks(ag);
  const auto check_tree = [&](const char* field, Agf::Tree tree) {
    const std::size_t at = offsetof(Agf, roots) + tree * sizeof(be32);
    check_ag_tree_root(flaws, geometry, ag, {field, at, agf.roots[tree], agf.levels[tree]});
  };
  check_tree("agf.bnoroot", Agf::kBno);
  check_tree("agf.cntroot", Agf::kCnt);
  if (geometry.features.rmapbt()) check_tree("agf.rmaproot", Agf::kRmap);
  if (geometry.features.reflink()) {
    check_ag_tree_root(flaws, geometry, ag,
                       {"agf.refcount_root", offsetof(Agf, refcount_root), agf.refcount_root, agf.refcount_level});
  }
  check_free_list(flaws, agf, agfl_capacity(geometry.sector_bytes));
  if (agf.freeblks > length) {
    flaws.add({FlawKind::kCount, "agf.freeblks", offsetof(Agf, freeblks), agf.freeblks, length,
               "at most the length of the group"});
  }
  if (agf.longest > agf.freeblks) {
    flaws.add({FlawKind::kCount, "agf.longest", offsetof(Agf, longest), agf.longest, agf.freeblks, "at most freeblks"});
  }
  if (agf.btreeblks > length) {
    flaws.add({FlawKind::kCount, "agf.btreeblks", offsetof(Agf, btreeblks), agf.btreeblks, length,
               "at most the length of the group"});
  }
  if (geometry.features.rmapbt() && agf.rmap_blocks > length) {
    flaws.add({FlawKind::kCount, "agf.rmap_blocks", offsetof(Agf, rmap_blocks), agf.rmap_blocks, length,
               "at most the length of the group"});
  }
  if (geometry.features.reflink() && agf.refcount_blocks > length) {
    flaws.add({FlawKind::kCount, "agf.refcount_blocks", offsetof(Agf, refcount_blocks), agf.refcount_blocks, length,
               "at most the length of the group"});
  }
  return flaws;
}

}  // namespace xdax

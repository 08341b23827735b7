// The rules that the AGF, AGI and AGFL share: magic, checksum, version, whose they are, and where their trees may
// start.
//
// For the verifiers of the three; they add what is theirs. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "libfs/base/bytes.h"
#include "libfs/base/crc32c.h"
#include "libfs/format/flaw.h"
#include "libfs/format/geometry.h"

namespace xdax {

/// Field names for messages; a header without the field leaves its name empty.
struct AgHeaderNames {
  const char* magicnum;
  const char* crc;
  const char* versionnum;
  const char* uuid;
  const char* seqno;
  const char* length;
};

/// Checks the fields all headers of group `ag` (which must be valid) have. False when the sector holds something else
/// and its other fields mean nothing.
template <class Header>
[[nodiscard]] bool check_ag_header(Flaws& flaws, ByteSpan sector, const Geometry& geometry, AgNumber ag,
                                   const AgHeaderNames& names) {
  const auto& header = view<Header>(sector);
  const auto flaw = [&](FlawKind kind, const char* field, std::size_t offset_bytes, std::uint64_t found,
                        std::uint64_t expected, const char* rule) {
    flaws.add({kind, field, static_cast<std::uint32_t>(offset_bytes), found, expected, rule});
  };
  if (header.magicnum != Header::kMagic) {
    flaw(FlawKind::kMagic, names.magicnum, 0, header.magicnum, Header::kMagic, "the magic of its kind of header");
    return false;
  }
  if (const std::uint32_t computed = structure_checksum(sector, offsetof(Header, crc)); computed != header.crc) {
    flaw(FlawKind::kChecksum, names.crc, offsetof(Header, crc), header.crc, computed, "the checksum of the sector");
  }
  if (header.uuid != geometry.uuid)
    flaw(FlawKind::kUuid, names.uuid, offsetof(Header, uuid), 0, 0, "the uuid of this filesystem");
  if (header.seqno != ag.value()) {
    flaw(FlawKind::kSequence, names.seqno, offsetof(Header, seqno), header.seqno, ag.value(),
         "the number of its group");
  }
  if constexpr (requires { header.versionnum; }) {
    if (header.versionnum != Header::kVersion) {
      flaw(FlawKind::kVersion, names.versionnum, offsetof(Header, versionnum), header.versionnum, Header::kVersion,
           "version 1");
    }
  }
  if constexpr (requires { header.length; }) {
    const std::uint32_t length = geometry.ag_length_blocks(ag);
    if (header.length != length) {
      flaw(FlawKind::kRange, names.length, offsetof(Header, length), header.length, length, "the length of the group");
    }
  }
  return true;
}

/// A tree as its header describes it; `offset_bytes` is where the header keeps the root.
struct AgTreeRoot {
  const char* field;
  std::size_t offset_bytes;
  std::uint32_t root;
  std::uint32_t level;
};

/// Checks that a tree starts inside group `ag` and has a possible number of levels.
void check_ag_tree_root(Flaws& flaws, const Geometry& geometry, AgNumber ag, const AgTreeRoot& tree);

}  // namespace xdax

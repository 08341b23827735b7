// What a block of metadata is, as whoever holds its address knows it: the identity that selects its verifier.
//
// Pure. The identity says what ought to be there; the bytes are never asked. Source of each rule: the verifier's file.
#pragma once

#include <cstdint>
#include <optional>

#include "libfs/base/bytes.h"
#include "libfs/base/units.h"
#include "libfs/format/btree_block.h"
#include "libfs/format/flaw.h"
#include "libfs/format/geometry.h"

namespace xdax {

enum class MetadataKind : std::uint8_t {
  kSuperblock,  ///< the primary
  kAgf,
  kAgi,
  kAgfl,
  kBno,
  kCnt,
  kInobt,
  kFinobt,
  kRmap,
  kRefcount,
  kDataMap,  ///< extent map of a data fork
  kAttrMap,  ///< extent map of an attribute fork
  kInodes,   ///< a cluster
  kDirBlock,
  kDirData,
  kDirFree,
  kDirLeaf1,
  kDirLeafN,
  kDirNode,
  kAttrLeaf,
  kAttrNode,
  kSymlink,
};
/// For messages: "agf", "bnobt", "inode cluster".
[[nodiscard]] const char* to_string(MetadataKind kind);
/// The kind of a group's tree, or of an extent map of a data fork.
[[nodiscard]] MetadataKind metadata_kind(BtreeKind kind);

struct MetadataIdentity {
  MetadataKind kind{};
  InodeNumber owner;     ///< of blocks that belong to a file
  FileBlock file_block;  ///< of blocks of directories and attributes: where in the fork

  bool operator==(const MetadataIdentity&) const = default;
};

/// Checks a block of metadata that lies at `byte` of the device, which must be inside the filesystem. Of an inode
/// cluster every inode is checked, free ones too; of an AGFL only its header, because the AGF knows its ring.
[[nodiscard]] Flaws verify_metadata(ByteSpan bytes, const Geometry& geometry, std::uint64_t byte,
                                    const MetadataIdentity& identity);

/// The group and the block in which `byte` lies. Inverse of Geometry::byte_of.
[[nodiscard]] FsBlock fs_block_of_byte(const Geometry& geometry, std::uint64_t byte);
[[nodiscard]] AgNumber ag_of_byte(const Geometry& geometry, std::uint64_t byte);

}  // namespace xdax

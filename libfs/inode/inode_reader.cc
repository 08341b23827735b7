#include "libfs/inode/inode_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "libfs/base/error.h"

namespace xdax {

ByteSpan local_content(const Inode& inode, Fork fork) {
  const ByteSpan bytes = inode.fork(fork);
  if (fork == Fork::kAttr) return bytes;
  return bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(inode.core().size, bytes.size())));
}

MetadataPlace inode_place(const MetadataReader& reader, const Inode& inode) {
  return {.structure = "inode", .ino = inode.ino(), .byte = reader.geometry().byte_of(inode.ino())};
}

MetadataPlace fork_place(const MetadataReader& reader, const Inode& inode, Fork fork, const char* structure) {
  MetadataPlace place = inode_place(reader, inode);
  place.structure = structure;
  place.byte += fork_area(inode.core(), reader.geometry().inode_bytes, fork).offset_bytes;
  return place;
}

Inode InodeReader::read(InodeNumber ino) const {
  const Geometry& geometry = reader_.geometry();
  if (!geometry.valid_inode(ino)) {
    throw RefusalError(Errc::kOutOfRange,
                       fmt::format("{}: there can be no inode {}", reader_.device().name(), ino.value()));
  }
  const MetadataPlace place{.structure = "inode", .ino = ino, .byte = geometry.byte_of(ino)};
  std::vector<std::byte> bytes(geometry.inode_bytes);
  reader_.device().read(place.byte, bytes);
  reader_.require(verify_inode(bytes, geometry, {.ino = ino}), place);
  if (!view<InodeCore>(bytes).allocated()) reader_.corrupt(place, "it is not in use, though something names it");
  return {ino, std::move(bytes)};
}

}  // namespace xdax

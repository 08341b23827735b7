#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "libfs/base/error.h"
#include "libfs/file/file_reader.h"
#include "libfs/format/remote_block.h"

namespace xdax {
namespace {

std::string text_of(ByteSpan bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

}  // namespace

std::string read_symlink(const MetadataReader& reader, const Inode& inode) {
  if (inode.type() != FileType::kSymlink) {
    throw RefusalError(Errc::kBadArgument,
                       fmt::format("{}: inode {} is not a symbolic link", reader.device().name(), inode.ino().value()));
  }
  if (fork_format(inode.core(), Fork::kData) == ForkFormat::kLocal) return text_of(local_content(inode, Fork::kData));
  // In extents, each with a header of its own.
  const Geometry& geometry = reader.geometry();
  const std::uint64_t size = inode.core().size;
  MetadataPlace place = inode_place(reader, inode);
  place.structure = "symbolic link";
  if (size == 0 || size > limits::kMaxSymlinkBytes) reader.corrupt(place, "its size is none that a target may have");
  const std::uint32_t most_blocks = attr_remote_blocks(limits::kMaxSymlinkBytes, geometry.block_bytes);
  ExtentMap map(reader, inode, Fork::kData);
  std::string target;
  FileBlock at;
  while (target.size() < size) {
    const auto extent = map.find(at);
    if (!extent || extent->unwritten || extent->file_block != at || extent->length_blocks > most_blocks) {
      reader.corrupt(place, fmt::format("block {} of its target is missing", at.value()));
    }
    std::vector<std::byte> bytes(std::size_t{extent->length_blocks} << geometry.block_log);
    place.byte = geometry.byte_of(extent->start);
    reader.device().read(place.byte, bytes);
    reader.require(verify_symlink_remote(bytes, geometry,
                                         {.owner = inode.ino(),
                                          .block = extent->start,
                                          .offset_bytes = static_cast<std::uint32_t>(target.size()),
                                          .value_bytes = static_cast<std::uint32_t>(size)}),
                   place);
    target += text_of(remote_content(bytes));
    at += extent->length_blocks;
  }
  return target;
}

}  // namespace xdax

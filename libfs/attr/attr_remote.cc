#include "libfs/attr/attr_remote.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "libfs/base/crc32c.h"
#include "libfs/base/error.h"
#include "libfs/format/remote_block.h"

namespace xdax {
namespace {

// No log record will ever be older than these blocks.
constexpr std::uint64_t kNeverLogged = ~std::uint64_t{0};

void fill_block(MutableByteSpan block, const InodeEdit& inode, FsBlock address, std::uint32_t offset, ByteSpan part) {
  auto& header = mutable_view<RemoteHeader>(block);
  header.magic = RemoteHeader::kAttrMagic;
  header.offset = offset;
  header.bytes = static_cast<std::uint32_t>(part.size());
  header.uuid = inode.geometry().uuid;
  header.owner = inode.ino().value();
  header.blkno = inode.geometry().disk_address(address).value();
  header.lsn = kNeverLogged;
  std::copy(part.begin(), part.end(), block.begin() + sizeof(RemoteHeader));
  seal(block, offsetof(RemoteHeader, crc));
}

}  // namespace

FileBlock attr_hole(ForkWriter& fork, std::uint32_t length_blocks) {
  FileBlock at(1);
  for (auto extent = fork.next(at); extent; extent = fork.next(at)) {
    if (extent->file_block >= at + length_blocks) break;
    at = extent->file_block + extent->length_blocks;
  }
  const std::uint64_t most =
      std::min<std::uint64_t>(std::numeric_limits<std::uint32_t>::max(), fork.inode().geometry().max_file_blocks());
  if (at.value() + length_blocks > most) {
    throw RefusalError(Errc::kNoSpace,
                       fmt::format("inode {}: its attributes have no block left", fork.inode().ino().value()));
  }
  return at;
}

FileBlock write_remote_value(ForkWriter& fork, ByteSpan value) {
  const InodeEdit& inode = fork.inode();
  const Geometry& geometry = inode.geometry();
  const std::uint32_t capacity = remote_capacity_bytes(geometry.block_bytes);
  const std::uint32_t blocks = attr_remote_blocks(static_cast<std::uint32_t>(value.size()), geometry.block_bytes);
  const FileBlock first = attr_hole(fork, blocks);
  std::vector<std::byte> bytes;
  for (std::uint32_t done = 0; done < blocks;) {
    const Extent extent = fork.allocate(first + done, 1, blocks - done);
    bytes.assign(std::size_t{extent.length_blocks} << geometry.block_log, std::byte{0});
    for (std::uint32_t i = 0; i < extent.length_blocks; ++i, ++done) {
      const std::uint32_t offset = done * capacity;
      const ByteSpan part = value.subspan(offset, std::min<std::size_t>(capacity, value.size() - offset));
      fill_block(MutableByteSpan(bytes).subspan(std::size_t{i} << geometry.block_log, geometry.block_bytes), inode,
                 extent.start + i, offset, part);
    }
    inode.transaction().journal().device().write(geometry.byte_of(extent.start), bytes);
  }
  inode.transaction().journal().note_data();
  return first;
}

void free_remote_value(ForkWriter& fork, FileBlock first, std::uint32_t value_bytes) {
  fork.free(first, attr_remote_blocks(value_bytes, fork.inode().geometry().block_bytes));
}

}  // namespace xdax

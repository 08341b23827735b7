#include "libfs/file/file_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "libfs/base/error.h"

namespace xdax {
namespace {

void refuse_other_types(const MetadataReader& reader, const Inode& inode) {
  if (inode.type() != FileType::kRegular) {
    throw RefusalError(Errc::kBadArgument,
                       fmt::format("{}: inode {} is not a regular file", reader.device().name(), inode.ino().value()));
  }
  if ((inode.core().flags & inode_flags::kRealtime) != 0) {
    throw RefusalError(Errc::kNotSupported, fmt::format("{}: inode {} is a file on a realtime device, which is not "
                                                        "supported; mount the filesystem to read it",
                                                        reader.device().name(), inode.ino().value()));
  }
}

}  // namespace

FileReader::FileReader(const MetadataReader& reader, const Inode& inode)
    : reader_(reader), ino_(inode.ino()), size_bytes_(inode.core().size), map_(reader, inode, Fork::kData) {
  refuse_other_types(reader, inode);
}

std::size_t FileReader::read(std::uint64_t offset_bytes, MutableByteSpan buffer) {
  if (offset_bytes >= size_bytes_) return 0;
  const std::size_t wanted =
      static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), size_bytes_ - offset_bytes));
  const Geometry& geometry = reader_.geometry();
  std::vector<ReadRequest> requests;
  for (std::size_t done = 0; done < wanted;) {
    const std::uint64_t at = offset_bytes + done;
    const FileBlock block(at >> geometry.block_log);
    const std::uint64_t inside = at & (geometry.block_bytes - 1);
    const auto extent = map_.next(block);
    // Bytes up to the end of the hole or the extent.
    std::uint64_t length = wanted - done;
    const bool hole = !extent || extent->file_block > block;
    if (extent) {
      const FileBlock end = hole ? extent->file_block : extent->file_block + extent->length_blocks;
      const std::uint64_t blocks = std::min<std::uint64_t>(end - block, (length >> geometry.block_log) + 2);
      length = std::min(length, (blocks << geometry.block_log) - inside);
    }
    const MutableByteSpan target = buffer.subspan(done, static_cast<std::size_t>(length));
    if (hole || extent->unwritten) {
      std::memset(target.data(), 0, target.size());
    } else {
      const FsBlock start = extent->start + (block - extent->file_block);
      requests.push_back({.offset_bytes = geometry.byte_of(start) + inside, .buffer = target, .error = {}});
    }
    done += target.size();
  }
  reader_.device().read_batch(requests);
  for (const ReadRequest& request : requests) {
    if (!request.error) continue;
    throw IoError(Errc::kReadFailed,
                  fmt::format("{}: inode {}: {} bytes at byte {} cannot be read: {}", reader_.device().name(),
                              ino_.value(), request.buffer.size(), request.offset_bytes, request.error.message()));
  }
  return wanted;
}

std::uint64_t FileReader::next_data(std::uint64_t offset_bytes) {
  if (offset_bytes >= size_bytes_) return size_bytes_;
  const std::uint32_t block_log = reader_.geometry().block_log;
  const auto extent = map_.next(FileBlock(offset_bytes >> block_log));
  // An extent at or past the end of the largest file there may be would not fit a shift.
  if (!extent || extent->file_block.value() > (size_bytes_ - 1) >> block_log) return size_bytes_;
  return std::max(offset_bytes, extent->file_block.value() << block_log);
}

std::uint64_t FileReader::next_written(std::uint64_t offset_bytes) {
  const std::uint32_t block_log = reader_.geometry().block_log;
  while (offset_bytes < size_bytes_) {
    offset_bytes = next_data(offset_bytes);
    if (offset_bytes >= size_bytes_) break;
    const auto extent = map_.next(FileBlock(offset_bytes >> block_log));
    if (!extent || !extent->unwritten) return offset_bytes;
    offset_bytes = (extent->file_block.value() + extent->length_blocks) << block_log;
  }
  return size_bytes_;
}

std::uint64_t FileReader::next_unwritten(std::uint64_t offset_bytes) {
  const std::uint32_t block_log = reader_.geometry().block_log;
  while (offset_bytes < size_bytes_) {
    const auto extent = map_.next(FileBlock(offset_bytes >> block_log));
    if (!extent || extent->unwritten || extent->file_block.value() > offset_bytes >> block_log) return offset_bytes;
    offset_bytes = (extent->file_block.value() + extent->length_blocks) << block_log;
  }
  return size_bytes_;
}

}  // namespace xdax

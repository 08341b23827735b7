#include "fsck/inode_table.h"

#include <algorithm>

namespace xdax::fsck {

std::uint64_t ChunkPlace::existing_mask() const {
  InodeChunk chunk;
  chunk.start = start;
  chunk.holemask = holemask;
  return chunk.existing_mask();
}

void GroupInodes::lay_out() {
  links_ = std::make_unique<std::atomic<std::uint32_t>[]>(places());
  marks_ = std::make_unique<std::atomic<std::uint8_t>[]>(places());
}

std::optional<std::uint32_t> GroupInodes::find(AgInode inode, std::size_t& chunk) const {
  const bool again =
      chunk < chunks.size() && inode >= chunks[chunk].start && inode - chunks[chunk].start < limits::kInodesPerChunk;
  if (!again) {
    const auto after = std::upper_bound(chunks.begin(), chunks.end(), inode,
                                        [](AgInode at, const ChunkPlace& each) { return at < each.start; });
    if (after == chunks.begin()) return std::nullopt;
    chunk = static_cast<std::size_t>(after - 1 - chunks.begin());
  }
  const std::uint32_t index = inode - chunks[chunk].start;
  if (index >= limits::kInodesPerChunk) return std::nullopt;
  if (chunks[chunk].holemask != 0 && (chunks[chunk].existing_mask() >> index & 1) == 0) return std::nullopt;
  return static_cast<std::uint32_t>(chunk) * limits::kInodesPerChunk + index;
}

DirectoryRecord* GroupInodes::directory(std::uint32_t place) {
  const auto found =
      std::lower_bound(directories.begin(), directories.end(), place,
                       [](const DirectoryRecord& record, std::uint32_t at) { return record.place < at; });
  return found != directories.end() && found->place == place ? &*found : nullptr;
}

std::optional<InodePlace> InodeTable::find(InodeNumber ino, std::size_t& chunk) {
  if (!geometry_.valid_inode(ino)) return std::nullopt;
  const std::uint64_t ag = geometry_.ag_of(ino).value();
  if (ag >= groups_.size()) return std::nullopt;
  GroupInodes& inodes = group(ag);
  const auto place = inodes.find(geometry_.ag_inode_of(ino), chunk);
  if (!place) return std::nullopt;
  return InodePlace{&inodes, *place};
}

bool InodeTable::intact() const {
  return groups_.size() == geometry_.ag_count &&
         std::all_of(groups_.begin(), groups_.end(), [](const GroupInodes& inodes) { return inodes.intact; });
}

}  // namespace xdax::fsck

// The check of a symbolic link whose target does not fit its inode.

#include <algorithm>

#include "fsck/contents.h"
#include "fsck/flaw_findings.h"
#include "libfs/format/remote_block.h"

namespace xdax::fsck {

ContentReport check_symlink(FileView& file, const ForkMap& data) {
  const std::uint64_t size = file.core().size;
  // verify_inode() has reported a size that no target may have.
  if (size == 0 || size > limits::kMaxSymlinkBytes) return {.complete = false};
  const std::uint32_t block_bytes = file.geometry.block_bytes;
  const auto most_blocks = static_cast<std::uint32_t>(attr_remote_blocks(limits::kMaxSymlinkBytes, block_bytes));
  ForkReader reader(file, data, "symbolic link");
  std::uint64_t done = 0;
  FileBlock next;
  bool complete = data.intact;
  for (const Extent& extent : data.extents) {
    if (done >= size || extent.file_block != next || extent.length_blocks > most_blocks) break;
    next = extent.file_block + extent.length_blocks;
    const auto piece = reader.read(extent.file_block, extent.length_blocks);
    if (!piece) return {.complete = false};
    const Flaws flaws = verify_symlink_remote(piece->bytes, file.geometry,
                                              {.owner = file.ino,
                                               .block = piece->first,
                                               .offset_bytes = static_cast<std::uint32_t>(done),
                                               .value_bytes = static_cast<std::uint32_t>(size)});
    const Finding where = file.place("symbolic link", piece->first);
    if (!flaws.empty()) {
      add_flaws(file.findings, flaws, where);
      complete = false;
    }
    if (!flaws.has(FlawKind::kMagic) && !flaws.has(FlawKind::kChecksum)) {
      file.check_stamp(view<RemoteHeader>(piece->bytes).lsn, where);
    }
    done += remote_capacity_bytes(extent.length_blocks * block_bytes);
  }
  const std::uint32_t wanted = attr_remote_blocks(static_cast<std::uint32_t>(size), block_bytes);
  const bool exact = done >= size && data.blocks() == wanted && data.end_block() == wanted;
  if (!exact && data.intact) {
    Finding finding = file.place("symbolic link");
    finding.found = data.blocks();
    finding.expected = wanted;
    finding.detail = "blocks";
    file.add(Problem::kSymlinkHole, std::move(finding));
  }
  return {.complete = complete && exact};
}

}  // namespace xdax::fsck

#include "libfs/recovery/logged_buffer.h"

#include <cstring>

#include "libfs/format/log_items.h"

namespace xdax {

bool copy_logged_runs(const LogItem& item, MutableByteSpan buffer) {
  std::size_t region = 1;
  std::uint32_t from = 0;
  while (const auto run = next_dirty_run(item.regions[0], from)) {
    const std::size_t at = std::size_t{run->first} * BufLogFormat::kPieceBytes;
    const std::size_t bytes = std::size_t{run->count} * BufLogFormat::kPieceBytes;
    if (region >= item.regions.size() || item.regions[region].size() != bytes || at + bytes > buffer.size())
      return false;
    std::memcpy(buffer.data() + at, item.regions[region].data(), bytes);
    ++region;
    from = run->first + run->count;
  }
  return true;
}

}  // namespace xdax

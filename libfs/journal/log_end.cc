#include "libfs/journal/log_end.h"

#include "libfs/journal/log_writer.h"

namespace xdax {

void end_log(Device& device, const Geometry& geometry, const LogSummary& summary) {
  XDAX_ASSERT(summary.head.has_value());
  LogWriter(device, geometry, *summary.head).write_unmount(true);
}

}  // namespace xdax

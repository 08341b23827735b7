// Hostile log records, their operations, and log items of every type.

#include "libfs/format/log_record.h"

#include "libfs/format/log_items.h"
#include "tests/fuzz/fuzz_geometry.h"

namespace {

using namespace xdax;

// As a reader of the log would go on: what is verified is walked, and its items are verified.
void walk_record(fuzz::Bytes record, const Geometry& geometry) {
  const auto header = view<LogRecordHeader>(record);
  const LogRecordExpectation expected{
      .user_uuid = header.fs_uuid, .block = Lsn::decode(header.lsn).block, .log_blocks = 20480};
  const Flaws flaws = verify_log_record(record, expected);
  const bool followed = std::ranges::all_of(
      flaws, [](const Flaw& flaw) { return flaw.kind == FlawKind::kChecksum || flaw.kind == FlawKind::kSequence; });
  if (!followed || header.blank()) return;
  const std::size_t header_bytes = std::size_t{log_header_blocks(header.size)} * kBasicBlockBytes;
  const MutableByteSpan data = MutableByteSpan(record).subspan(header_bytes, header.len);
  restore_cycle_words(data, ByteSpan(record).first(header_bytes));
  ByteSpan rest = data;
  for (std::uint32_t i = 0; i < header.num_logops; ++i) {
    if (!verify_log_op(rest).empty()) return;
    const std::uint32_t length = view<LogOpHeader>(rest).len;
    const ByteSpan body = rest.subspan(sizeof(LogOpHeader), length);
    (void)verify_unmount_record(body);
    (void)verify_transaction_header(body);
    if (const auto type = log_item_type(body)) (void)verify_log_item(body, *type, geometry);
    rest = rest.subspan(sizeof(LogOpHeader) + length);
  }
}

void walk_region(ByteSpan region, const Geometry& geometry) {
  const auto type = log_item_type(region);
  if (type && verify_log_item(region, *type, geometry).empty() && *type == LogItemType::kBuffer) {
    std::uint32_t from = 0;
    while (const auto run = next_dirty_run(region, from)) from = run->first + run->count;
  }
  if (verify_logged_inode_core(region, geometry).empty()) {
    (void)disk_core_of_logged(view<LoggedInodeCore>(region));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  Geometry geometry = fuzz::geometry_of(data[0]);
  const bool whole_record = (data[0] & 4) == 0;
  if (whole_record) {
    walk_record(fuzz::block_of(data, size, std::max<std::size_t>(size - 1, kBasicBlockBytes)), geometry);
  } else {
    const fuzz::Bytes region = fuzz::block_of(data, size, size - 1);
    if (region.size() >= sizeof(LoggedInodeCore)) geometry.uuid = view<LoggedInodeCore>(region).uuid;
    walk_region(region, geometry);
  }
  return 0;
}

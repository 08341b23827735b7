// The check of a quota file's records.

#include "fsck/contents.h"
#include "fsck/flaw_findings.h"

namespace xdax::fsck {

ContentReport check_quota_records(FileView& file, const ForkMap& data, DquotType type) {
  if (data.overlaps_on_disk()) {
    file.add(Problem::kDquotConsistency, file.place("quota records"));
    return {.complete = false};
  }
  ContentReport report{.complete = data.intact};
  ForkReader reader(file, data, "quota records");
  for (const Extent& extent : data.extents) {
    if (extent.unwritten) continue;
    for (std::uint32_t i = 0; i < extent.length_blocks; ++i) {
      const FileBlock at = extent.file_block + i;
      const auto piece = reader.read(at, 1);
      if (!piece) {
        report.complete = false;
        continue;
      }
      const Flaws flaws =
          verify_dquot_block(piece->bytes, file.geometry,
                             {.type = type, .first_id = first_dquot_id(at.value(), file.geometry.block_bytes)});
      if (flaws.empty()) continue;
      add_flaws(file.findings, flaws, file.place("quota records", piece->first));
      report.complete = false;
    }
  }
  return report;
}

}  // namespace xdax::fsck

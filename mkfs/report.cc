#include "mkfs/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace xdax::mkfs {
namespace {

std::string label_of(const Superblock& superblock) {
  const auto* end = std::find(std::begin(superblock.fname), std::end(superblock.fname), '\0');
  return {std::begin(superblock.fname), end};
}

}  // namespace

std::string geometry_text(const Plan& plan, const std::string& device_name) {
  const Superblock& sb = plan.superblock;
  const Features features = sb.features();
  const auto line = [](const char* head, const std::string& first, const std::string& second, const std::string& rest) {
    return fmt::format("{:<9}={:<22} {:<12} {}\n", head, first, second, rest);
  };
  const auto bit = [](bool on) { return on ? 1 : 0; };
  // The version 2 log says its stripe unit in blocks; 1 in the superblock means none.
  const std::uint32_t log_unit = sb.logsunit > 1 ? sb.logsunit >> sb.blocklog : 0;
  const std::uint32_t log_sector = sb.logsectsize != 0 ? std::uint32_t{sb.logsectsize} : kBasicBlockBytes;
  std::string text;
  text += line("meta-data", device_name, fmt::format("isize={}", sb.inodesize.get()),
               fmt::format("agcount={}, agsize={} blks", sb.agcount.get(), sb.agblocks.get()));
  text += line("", "", fmt::format("sectsz={}", sb.sectsize.get()), "attr=2, projid32bit=1");
  text += line("", "", "crc=1",
               fmt::format("finobt={}, sparse={}, rmapbt={}", bit(features.finobt()), bit(features.sparse()),
                           bit(features.rmapbt())));
  text += line("", "", fmt::format("reflink={}", bit(features.reflink())),
               fmt::format("bigtime={} inobtcount={} nrext64={}", bit(features.bigtime()), bit(features.inobtcount()),
                           bit(features.nrext64())));
  text += line("data", "", fmt::format("bsize={}", sb.blocksize.get()),
               fmt::format("blocks={}, imaxpct={}", sb.dblocks.get(), sb.imax_pct));
  text += line("", "", fmt::format("sunit={}", sb.unit.get()), fmt::format("swidth={} blks", sb.width.get()));
  text += line("naming", "version 2", fmt::format("bsize={}", sb.blocksize << sb.dirblklog),
               fmt::format("ascii-ci={}, ftype={}{}", bit(features.ascii_ci()), bit(features.ftype()),
                           features.parent() ? ", parent=1" : ""));
  text += line("log", "internal log", fmt::format("bsize={}", sb.blocksize.get()),
               fmt::format("blocks={}, version=2", sb.logblocks.get()));
  text += line("", "", fmt::format("sectsz={}", log_sector), fmt::format("sunit={} blks, lazy-count=1", log_unit));
  text += line("realtime", "none", fmt::format("extsz={}", sb.rextsize * sb.blocksize), "blocks=0, rtextents=0");
  return text;
}

std::string geometry_json(const Plan& plan, const std::string& device_name, bool written) {
  const Superblock& sb = plan.superblock;
  const Features features = sb.features();
  nlohmann::ordered_json json;
  json["schema"] = 1;
  json["program"] = "mkfs.xdax";
  json["device"] = device_name;
  json["written"] = written;
  json["uuid"] = sb.uuid.to_string();
  json["label"] = label_of(sb);
  json["block_bytes"] = sb.blocksize.get();
  json["sector_bytes"] = sb.sectsize.get();
  json["inode_bytes"] = sb.inodesize.get();
  json["directory_block_bytes"] = sb.blocksize << sb.dirblklog;
  json["data_blocks"] = sb.dblocks.get();
  json["free_blocks"] = sb.fdblocks.get();
  json["group_blocks"] = sb.agblocks.get();
  json["group_count"] = sb.agcount.get();
  json["inode_percent"] = sb.imax_pct;
  json["stripe_unit_blocks"] = sb.unit.get();
  json["stripe_width_blocks"] = sb.width.get();
  json["log"] = {{"group", plan.geometry.ag_of(plan.geometry.log_start).value()},
                 {"start_block", plan.geometry.ag_block_of(plan.geometry.log_start).value()},
                 {"blocks", sb.logblocks.get()},
                 {"sector_bytes", sb.logsectsize != 0 ? sb.logsectsize.get() : kBasicBlockBytes},
                 {"stripe_unit_bytes", sb.logsunit > 1 ? sb.logsunit.get() : 0}};
  json["root_inode"] = sb.rootino.get();
  json["features"] = {{"crc", true},
                      {"finobt", features.finobt()},
                      {"inobtcount", features.inobtcount()},
                      {"rmapbt", features.rmapbt()},
                      {"reflink", features.reflink()},
                      {"bigtime", features.bigtime()},
                      {"sparse", features.sparse()},
                      {"nrext64", features.nrext64()},
                      {"exchange", features.exchange()},
                      {"parent", features.parent()},
                      {"ascii_ci", features.ascii_ci()}};
  json["root"] = {{"extent_size_hint_blocks", plan.root.extent_size_blocks},
                  {"cow_extent_size_hint_blocks", plan.root.cow_extent_size_blocks},
                  {"dax", plan.root.dax}};
  if (plan.root.project_inherit) json["root"]["project"] = plan.root.project;
  json["notes"] = plan.notes;
  return json.dump(2) + "\n";
}

}  // namespace xdax::mkfs

#include "fsck/headers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "fsck/flaw_findings.h"
#include "fsck/superblock_copies.h"
#include "libfs/format/agfl.h"

namespace xdax::fsck {
namespace {

constexpr std::uint32_t kSectors = 4;
constexpr const char* kNames[kSectors] = {"superblock", "agf", "agi", "agfl"};

// The header sectors in memory; nothing for one that the device could not read.
class Sectors {
 public:
  explicit Sectors(GroupContext& context)
      : context_(context), bytes_(std::size_t{kSectors} * context.geometry.sector_bytes) {
    ReadRequest whole{.offset_bytes = context.geometry.header_byte(context.ag, 0), .buffer = bytes_, .error = {}};
    context.device.read_batch({&whole, 1});
    if (!whole.error) return;
    std::array<ReadRequest, kSectors> singles;
    for (std::uint32_t i = 0; i < kSectors; ++i) {
      singles[i] = {.offset_bytes = context.geometry.header_byte(context.ag, i), .buffer = sector(i), .error = {}};
    }
    context.device.read_batch(singles);
    for (std::uint32_t i = 0; i < kSectors; ++i) errors_[i] = singles[i].error;
  }

  // Reports a sector that could not be read.
  std::optional<ByteSpan> get(std::uint32_t index) {
    if (!errors_[index]) return sector(index);
    Finding finding = place(index);
    finding.detail = errors_[index].message();
    context_.add(Problem::kIoUnreadable, std::move(finding));
    return std::nullopt;
  }

  [[nodiscard]] Finding place(std::uint32_t index) const {
    Finding finding = context_.place(kNames[index]);
    finding.byte = context_.geometry.header_byte(context_.ag, index);
    return finding;
  }

 private:
  MutableByteSpan sector(std::uint32_t index) {
    const std::size_t sector_bytes = context_.geometry.sector_bytes;
    return MutableByteSpan(bytes_).subspan(index * sector_bytes, sector_bytes);
  }

  GroupContext& context_;
  std::vector<std::byte> bytes_;
  std::array<std::error_code, kSectors> errors_{};
};

bool has_field(const Flaws& flaws, std::string_view field) {
  return std::any_of(flaws.begin(), flaws.end(), [field](const Flaw& flaw) { return field == flaw.field; });
}

// The entries of the ring that the AGF describes. A block that is there twice is reported and kept once.
std::vector<AgBlock> ring_entries(GroupContext& context, ByteSpan sector, const Agf& agf, const Finding& place) {
  const std::span<const be32> entries = agfl_entries(sector);
  std::vector<AgBlock> blocks;
  for (std::uint32_t i = 0; i < agf.flcount; ++i) {
    blocks.emplace_back(entries[(std::size_t{agf.flfirst} + i) % entries.size()]);
  }
  std::sort(blocks.begin(), blocks.end());
  const auto last = std::unique(blocks.begin(), blocks.end(), [&](AgBlock left, AgBlock right) {
    if (left != right) return false;
    Finding finding = place;
    finding.block = left.value();
    context.add(Problem::kAgflDuplicate, std::move(finding));
    return true;
  });
  blocks.erase(last, blocks.end());
  return blocks;
}

}  // namespace

GroupHeaders check_headers(GroupContext& context, const HeaderOptions& options) {
  GroupHeaders headers;
  Sectors sectors(context);
  if (context.ag.value() == 0) {
    headers.any = true;
  } else if (const auto sector = sectors.get(0)) {
    headers.any = check_copy(context, *sector, options.reference, options.sizes_may_differ);
  }
  bool ring_known = false;
  if (const auto sector = sectors.get(1)) {
    const Flaws flaws = verify_agf(*sector, context.geometry, context.ag);
    add_flaws(context.findings, flaws, sectors.place(1));
    if (!flaws.has(FlawKind::kMagic)) {
      headers.agf = view<Agf>(*sector);
      headers.any = true;
      ring_known =
          !has_field(flaws, "agf.flfirst") && !has_field(flaws, "agf.fllast") && !has_field(flaws, "agf.flcount");
      if (!flaws.has(FlawKind::kChecksum)) context.check_stamp(headers.agf->lsn, sectors.place(1));
    }
  }
  if (const auto sector = sectors.get(2)) {
    const Flaws flaws = verify_agi(*sector, context.geometry, context.ag);
    add_flaws(context.findings, flaws, sectors.place(2));
    if (!flaws.has(FlawKind::kMagic)) {
      headers.agi = view<Agi>(*sector);
      headers.any = true;
      if (!flaws.has(FlawKind::kChecksum)) context.check_stamp(headers.agi->lsn, sectors.place(2));
    }
  }
  if (const auto sector = sectors.get(3)) {
    AgflRing ring;
    if (ring_known) ring = {headers.agf->flfirst, headers.agf->fllast, headers.agf->flcount};
    const Flaws flaws = verify_agfl(*sector, context.geometry, context.ag, ring);
    add_flaws(context.findings, flaws, sectors.place(3));
    headers.any = headers.any || !flaws.has(FlawKind::kMagic);
    if (!flaws.has(FlawKind::kMagic) && !flaws.has(FlawKind::kChecksum)) {
      context.check_stamp(view<AgflHeader>(*sector).lsn, sectors.place(3));
    }
    if (ring_known && !flaws.has(FlawKind::kMagic) && !flaws.has(FlawKind::kPointer)) {
      headers.free_list = ring_entries(context, *sector, *headers.agf, sectors.place(3));
    }
  }
  return headers;
}

}  // namespace xdax::fsck

#include "fsck/superblock_copies.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <vector>

#include "fsck/flaw_findings.h"
#include "libfs/base/math.h"

namespace xdax::fsck {
namespace {

constexpr std::uint64_t kScanBytes = 1ull << 30;
constexpr std::uint32_t kScanPieceBytes = 1u << 20;
constexpr std::uint32_t kScanStepBytes = 1u << limits::kMinBlockLog;  // groups start on blocks

// Attributes and quota are switched on in the primary alone, and the stripe bit follows a mount option.
constexpr std::uint16_t kComparedVersionBits =
    static_cast<std::uint16_t>(~(version_bits::kAttr | version_bits::kQuota | version_bits::kDalign));

class Comparison {
 public:
  Comparison(GroupContext& context, const Finding& place) : context_(context), place_(place) {}

  void field(const char* name, std::uint64_t found, std::uint64_t expected) {
    if (found == expected) return;
    Finding finding = place_;
    finding.field = name;
    finding.found = found;
    finding.expected = expected;
    finding.detail = fmt::format("{}: ought to be as in the primary", name);
    context_.add(Problem::kCopyDiffers, std::move(finding));
  }
  void uuid(const char* name, const Uuid& found, const Uuid& expected) {
    if (found == expected) return;
    Finding finding = place_;
    finding.field = name;
    finding.detail = fmt::format("{}: {}, the primary has {}", name, found.to_string(), expected.to_string());
    context_.add(Problem::kCopyDiffers, std::move(finding));
  }

 private:
  GroupContext& context_;
  const Finding& place_;
};

void compare(Comparison& compared, const Superblock& copy, const Superblock& reference, bool sizes_may_differ) {
  if (!sizes_may_differ) {
    compared.field("sb.dblocks", copy.dblocks, reference.dblocks);
    compared.field("sb.agcount", copy.agcount, reference.agcount);
  }
  compared.field("sb.blocksize", copy.blocksize, reference.blocksize);
  compared.field("sb.rblocks", copy.rblocks, reference.rblocks);
  compared.field("sb.rextents", copy.rextents, reference.rextents);
  compared.uuid("sb.uuid", copy.uuid, reference.uuid);
  compared.field("sb.logstart", copy.logstart, reference.logstart);
  compared.field("sb.rextsize", copy.rextsize, reference.rextsize);
  compared.field("sb.agblocks", copy.agblocks, reference.agblocks);
  compared.field("sb.rbmblocks", copy.rbmblocks, reference.rbmblocks);
  compared.field("sb.logblocks", copy.logblocks, reference.logblocks);
  compared.field("sb.versionnum", copy.versionnum & kComparedVersionBits, reference.versionnum & kComparedVersionBits);
  compared.field("sb.sectsize", copy.sectsize, reference.sectsize);
  compared.field("sb.inodesize", copy.inodesize, reference.inodesize);
  compared.field("sb.rextslog", copy.rextslog, reference.rextslog);
  compared.field("sb.inoalignmt", copy.inoalignmt, reference.inoalignmt);
  compared.field("sb.dirblklog", copy.dirblklog, reference.dirblklog);
  compared.field("sb.logsectsize", copy.logsectsize, reference.logsectsize);
  compared.field("sb.logsunit", copy.logsunit, reference.logsunit);
  compared.field("sb.features2", copy.features2, reference.features2);
  compared.field("sb.features_compat", copy.features_compat, reference.features_compat);
  compared.field("sb.features_ro_compat", copy.features_ro_compat, reference.features_ro_compat);
  compared.field("sb.features_incompat", copy.features_incompat & ~incompat_bits::kNeedsRepair,
                 reference.features_incompat & ~incompat_bits::kNeedsRepair);
  compared.field("sb.spino_align", copy.spino_align, reference.spino_align);
  compared.uuid("sb.meta_uuid", copy.meta_uuid, reference.meta_uuid);
}

std::vector<std::byte> read_sector(Device& device, std::uint64_t byte) {
  constexpr std::uint64_t kMaxSectorBytes = 1u << limits::kMaxSectorLog;
  if (byte >= device.size_bytes()) return {};
  std::vector<std::byte> bytes(std::min(kMaxSectorBytes, device.size_bytes() - byte));
  ReadRequest request{.offset_bytes = byte, .buffer = bytes, .error = {}};
  device.read_batch({&request, 1});
  if (request.error || bytes.size() < sizeof(Superblock)) return {};
  return bytes;
}

std::optional<FoundCopy> copy_at(Device& device, std::uint64_t byte) {
  const std::vector<std::byte> sector = read_sector(device, byte);
  if (sector.empty()) return std::nullopt;
  const auto& superblock = view<Superblock>(sector);
  if (claimed_sector_bytes(sector) == 0) return std::nullopt;
  if (first_unsupported_for_reading(superblock.features())) return std::nullopt;
  if (!verify_superblock(sector, {.ag = AgNumber(1), .primary = false}).empty()) return std::nullopt;
  const std::uint64_t group_bytes = std::uint64_t{superblock.agblocks} * superblock.blocksize;
  if (byte % group_bytes != 0 || byte / group_bytes >= superblock.agcount) return std::nullopt;
  if (superblock.logstart == 0 || superblock.rblocks != 0) return std::nullopt;
  return FoundCopy{superblock, byte, static_cast<std::uint32_t>(byte / group_bytes)};
}

// Where the second group would start.
std::set<std::uint64_t> likely_places(const Device& device, ByteSpan damaged_primary) {
  std::set<std::uint64_t> places;
  const auto& primary = view<Superblock>(damaged_primary);
  for (std::uint32_t log = limits::kMinBlockLog; log <= limits::kMaxBlockLog; ++log) {
    places.insert(std::uint64_t{primary.agblocks} << log);
    // mkfs cuts small devices into four and larger ones into 16 or 32; groups are whole blocks, rounded either way.
    for (const std::uint64_t groups : {1, 2, 4, 8, 16, 32}) {
      const std::uint64_t blocks = device.size_bytes() >> log;
      places.insert((blocks / groups) << log);
      places.insert(div_ceil(blocks, groups) << log);
    }
  }
  places.insert(limits::kMaxAgBytes);
  places.insert(limits::kMaxAgBytes - kScanStepBytes);
  places.erase(0);
  return places;
}

}  // namespace

bool check_copy(GroupContext& context, ByteSpan sector, const Superblock& reference, bool sizes_may_differ) {
  Finding place = context.place("superblock copy");
  place.byte = context.geometry.header_byte(context.ag, 0);
  const Flaws flaws = verify_superblock(sector, {.ag = context.ag, .primary = false});
  add_flaws(context.findings, flaws, place, "copy");
  if (flaws.has(FlawKind::kMagic)) return false;
  // Where the copy is broken by itself, that it also differs is no news.
  if (flaws.empty()) {
    Comparison compared(context, place);
    compare(compared, view<Superblock>(sector), reference, sizes_may_differ);
  }
  return true;
}

std::optional<FoundCopy> find_copy(Device& device, ByteSpan damaged_primary) {
  for (const std::uint64_t byte : likely_places(device, damaged_primary)) {
    if (const auto found = copy_at(device, byte)) return found;
  }
  const std::uint64_t end = std::min(kScanBytes, device.size_bytes());
  std::vector<std::byte> piece(kScanPieceBytes);
  for (std::uint64_t at = 0; at < end; at += kScanPieceBytes) {
    const MutableByteSpan bytes = MutableByteSpan(piece).first(std::min<std::uint64_t>(kScanPieceBytes, end - at));
    ReadRequest request{.offset_bytes = at, .buffer = bytes, .error = {}};
    device.read_batch({&request, 1});
    if (request.error) continue;
    for (std::size_t step = at == 0 ? kScanStepBytes : 0; step + sizeof(be32) <= bytes.size(); step += kScanStepBytes) {
      if (view<be32>(bytes, step) != Superblock::kMagic) continue;
      if (const auto found = copy_at(device, at + step)) return found;
    }
  }
  return std::nullopt;
}

}  // namespace xdax::fsck

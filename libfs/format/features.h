// Feature bits of the superblock and what this build makes of them.
//
// Source: XFS Algorithms & Data Structures, "Superblocks"; bits newer than that document were read off images that
// the kernel named in tests/oracle mounts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace xdax {

/// Bits of versionnum; its low four bits are the version number.
namespace version_bits {
inline constexpr std::uint16_t kNumberMask = 0x000f;
inline constexpr std::uint16_t kAttr = 0x0010;      ///< some inode has or had attributes
inline constexpr std::uint16_t kNlink = 0x0020;     ///< 32-bit link counts
inline constexpr std::uint16_t kQuota = 0x0040;     ///< quota was enabled once
inline constexpr std::uint16_t kAlign = 0x0080;     ///< inode chunks are aligned
inline constexpr std::uint16_t kDalign = 0x0100;    ///< stripe unit and width are set
inline constexpr std::uint16_t kShared = 0x0200;    ///< unused
inline constexpr std::uint16_t kLogV2 = 0x0400;     ///< version 2 log
inline constexpr std::uint16_t kSector = 0x0800;    ///< log sector size is recorded
inline constexpr std::uint16_t kExtFlag = 0x1000;   ///< unwritten extents
inline constexpr std::uint16_t kDirV2 = 0x2000;     ///< version 2 directories
inline constexpr std::uint16_t kAsciiCi = 0x4000;   ///< ASCII case-insensitive names
inline constexpr std::uint16_t kMoreBits = 0x8000;  ///< features2 is valid
}  // namespace version_bits

namespace features2_bits {
inline constexpr std::uint32_t kLazyCount = 0x0002;
inline constexpr std::uint32_t kAttr2 = 0x0008;
inline constexpr std::uint32_t kProjid32 = 0x0080;
inline constexpr std::uint32_t kCrc = 0x0100;
inline constexpr std::uint32_t kFtype = 0x0200;
}  // namespace features2_bits

namespace ro_compat_bits {
inline constexpr std::uint32_t kFinobt = 0x1;
inline constexpr std::uint32_t kRmapbt = 0x2;
inline constexpr std::uint32_t kReflink = 0x4;
inline constexpr std::uint32_t kInobtCount = 0x8;
inline constexpr std::uint32_t kKnown = 0xf;
}  // namespace ro_compat_bits

namespace incompat_bits {
inline constexpr std::uint32_t kFtype = 0x1;
inline constexpr std::uint32_t kSparse = 0x2;
inline constexpr std::uint32_t kMetaUuid = 0x4;
inline constexpr std::uint32_t kBigtime = 0x8;
inline constexpr std::uint32_t kNeedsRepair = 0x10;
inline constexpr std::uint32_t kNrext64 = 0x20;
inline constexpr std::uint32_t kExchange = 0x40;
inline constexpr std::uint32_t kParent = 0x80;
inline constexpr std::uint32_t kMetadir = 0x100;
inline constexpr std::uint32_t kZoned = 0x200;
inline constexpr std::uint32_t kZoneGaps = 0x400;
/// What this build reads and checks.
inline constexpr std::uint32_t kKnown = 0xff;
}  // namespace incompat_bits

namespace log_incompat_bits {
inline constexpr std::uint32_t kXattrs = 0x1;
inline constexpr std::uint32_t kKnown = 0x1;
}  // namespace log_incompat_bits

struct Features {
  std::uint16_t versionnum = 0;
  std::uint32_t features2 = 0;
  std::uint32_t compat = 0;
  std::uint32_t ro_compat = 0;
  std::uint32_t incompat = 0;
  std::uint32_t log_incompat = 0;

  bool operator==(const Features&) const = default;

  [[nodiscard]] unsigned version() const { return versionnum & version_bits::kNumberMask; }
  [[nodiscard]] bool finobt() const { return (ro_compat & ro_compat_bits::kFinobt) != 0; }
  [[nodiscard]] bool rmapbt() const { return (ro_compat & ro_compat_bits::kRmapbt) != 0; }
  [[nodiscard]] bool reflink() const { return (ro_compat & ro_compat_bits::kReflink) != 0; }
  [[nodiscard]] bool inobtcount() const { return (ro_compat & ro_compat_bits::kInobtCount) != 0; }
  [[nodiscard]] bool sparse() const { return (incompat & incompat_bits::kSparse) != 0; }
  [[nodiscard]] bool metauuid() const { return (incompat & incompat_bits::kMetaUuid) != 0; }
  [[nodiscard]] bool bigtime() const { return (incompat & incompat_bits::kBigtime) != 0; }
  [[nodiscard]] bool needsrepair() const { return (incompat & incompat_bits::kNeedsRepair) != 0; }
  [[nodiscard]] bool nrext64() const { return (incompat & incompat_bits::kNrext64) != 0; }
  [[nodiscard]] bool exchange() const { return (incompat & incompat_bits::kExchange) != 0; }
  [[nodiscard]] bool parent() const { return (incompat & incompat_bits::kParent) != 0; }
  [[nodiscard]] bool ftype() const { return (incompat & incompat_bits::kFtype) != 0; }
  [[nodiscard]] bool ascii_ci() const { return (versionnum & version_bits::kAsciiCi) != 0; }
  [[nodiscard]] bool aligned_inodes() const { return (versionnum & version_bits::kAlign) != 0; }
  [[nodiscard]] bool data_stripe() const { return (versionnum & version_bits::kDalign) != 0; }
};

/// One line naming the first feature that keeps this build from *reading* a filesystem, and what to do; nullopt when
/// it can be read. `log_external` and `realtime` come from the superblock's other fields.
struct Unsupported {
  std::string feature;  ///< e.g. "realtime device"
  std::string advice;   ///< e.g. "use a tool that knows it; nothing was changed"
};
[[nodiscard]] std::optional<Unsupported> first_unsupported_for_reading(const Features& features);

/// The same for *writing*: unknown read-only-compatible and log bits refuse it too.
[[nodiscard]] std::optional<Unsupported> first_unsupported_for_writing(const Features& features);

}  // namespace xdax

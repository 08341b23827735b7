#include "mkfs/render_start.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>

#include "libfs/base/crc32c.h"
#include "libfs/format/dir_shortform.h"
#include "libfs/format/inode.h"
#include "libfs/format/log_record.h"

namespace xdax::mkfs {
namespace {

// Generation numbers tell a reused inode from the old one, to NFS clients for example; they differ between filesystems,
// and are the same for the same uuid so that images are reproducible.
std::uint32_t generation(const Plan& plan, InodeNumber inode) {
  return static_cast<std::uint32_t>(
      XXH3_64bits_withSeed(plan.geometry.uuid.bytes.data(), plan.geometry.uuid.bytes.size(), inode.value()));
}

void start_inode(const Plan& plan, InodeNumber inode, MutableByteSpan bytes) {
  auto& core = mutable_view<InodeCore>(bytes);
  core.magic = InodeCore::kMagic;
  core.version = InodeCore::kVersion;
  core.gen = generation(plan, inode);
  core.next_unlinked = kNullAgInode.value();
  core.ino = inode.value();
  core.uuid = plan.geometry.uuid;
}

void start_used_inode(const Plan& plan, InodeNumber inode, MutableByteSpan bytes, FileType type,
                      std::uint16_t permissions) {
  start_inode(plan, inode, bytes);
  auto& core = mutable_view<InodeCore>(bytes);
  const Features& features = plan.geometry.features;
  core.mode = static_cast<std::uint16_t>(static_cast<std::uint16_t>(type) | permissions);
  core.format = static_cast<std::uint8_t>(ForkFormat::kExtents);
  core.aformat = static_cast<std::uint8_t>(ForkFormat::kExtents);
  core.nlink = 1;
  core.flags2 = (features.bigtime() ? inode_flags2::kBigtime : 0) | (features.nrext64() ? inode_flags2::kNrext64 : 0);
  const std::uint64_t now =
      encode_timestamp({.seconds = plan.time_seconds, .nanoseconds = plan.time_nanoseconds}, features.bigtime());
  core.atime = now;
  core.mtime = now;
  core.ctime = now;
  core.crtime = now;
  core.changecount = 1;
}

void render_root(const Plan& plan, InodeNumber inode, MutableByteSpan bytes) {
  start_used_inode(plan, inode, bytes, FileType::kDirectory, 0755);
  auto& core = mutable_view<InodeCore>(bytes);
  const RootPolicy& policy = plan.root;
  core.nlink = 2;
  core.format = static_cast<std::uint8_t>(ForkFormat::kLocal);
  core.projid_lo = static_cast<std::uint16_t>(policy.project);
  core.projid_hi = static_cast<std::uint16_t>(policy.project >> 16);
  std::uint16_t flags = 0;
  if (policy.project_inherit) flags |= inode_flags::kProjInherit;
  if (policy.extent_size_blocks != 0) {
    flags |= inode_flags::kExtszInherit;
    core.extsize = policy.extent_size_blocks;
  }
  core.flags = flags;
  if (policy.cow_extent_size_blocks != 0) {
    core.flags2 = core.flags2 | inode_flags2::kCowExtsize;
    core.cowextsize = policy.cow_extent_size_blocks;
  }
  if (policy.dax) core.flags2 = core.flags2 | inode_flags2::kDax;

  // An empty directory that is its own parent; the root is always in group 0, so its number is short.
  mutable_view<be32>(bytes, sizeof(InodeCore) + sizeof(DirShortformHeader)) = static_cast<std::uint32_t>(inode.value());
  core.size = sizeof(DirShortformHeader) + sizeof(be32);
}

}  // namespace

void render_first_inodes(const Plan& plan, const AgLayout& layout, MutableByteSpan blocks) {
  const Geometry& geometry = plan.geometry;
  const InodeNumber first = geometry.inode_number(AgNumber(0), geometry.first_inode_of(AgBlock(layout.inodes.start)));
  for (std::uint32_t index = 0; index < first_inode_count(geometry); ++index) {
    const InodeNumber inode = first + index;
    const MutableByteSpan bytes = blocks.subspan(std::size_t{index} << geometry.inode_log, geometry.inode_bytes);
    if (inode == geometry.root_inode) {
      render_root(plan, inode, bytes);
    } else if (inode == geometry.realtime_bitmap_inode) {
      start_used_inode(plan, inode, bytes, FileType::kRegular, 0);
      mutable_view<InodeCore>(bytes).flags = inode_flags::kNewRtBitmap;
    } else if (inode == geometry.realtime_summary_inode) {
      start_used_inode(plan, inode, bytes, FileType::kRegular, 0);
    } else {
      start_inode(plan, inode, bytes);
    }
    seal(bytes, offsetof(InodeCore, crc));
  }
}

std::vector<std::byte> render_log_start(const Plan& plan) {
  constexpr std::uint32_t kUnmountTransaction = 0xb0c0d0d0;
  constexpr Lsn kFirst{.cycle = 1, .block = 0};
  constexpr std::uint32_t kSmallestRecordBytes = 32 * 1024;
  const std::uint32_t stripe_bytes = plan.geometry.log_stripe_bytes;
  const std::uint32_t record_size = std::max(stripe_bytes, kSmallestRecordBytes);
  const std::uint32_t header_bytes = log_header_blocks(record_size) * kBasicBlockBytes;
  // A record fills its stripe unit; without one, it takes a single block of data.
  const std::uint32_t total_bytes = stripe_bytes > 1 ? stripe_bytes : header_bytes + kBasicBlockBytes;

  std::vector<std::byte> record(total_bytes);
  const MutableByteSpan bytes(record);
  auto& header = mutable_view<LogRecordHeader>(bytes);
  header.magicno = LogRecordHeader::kMagic;
  header.cycle = kFirst.cycle;
  header.version = LogRecordHeader::kVersion;
  header.len = total_bytes - header_bytes;
  header.lsn = kFirst.encode();
  header.tail_lsn = kFirst.encode();
  header.prev_block = LogRecordHeader::kNoPrevious;
  header.num_logops = 1;
  header.fmt = log_formats::kLinuxLittle;
  header.fs_uuid = plan.geometry.user_uuid;
  header.size = record_size;

  auto& operation = mutable_view<LogOpHeader>(bytes, header_bytes);
  operation.tid = kUnmountTransaction;
  operation.len = sizeof(UnmountRecord);
  operation.clientid = log_clients::kLog;
  operation.flags = log_op_flags::kUnmount;
  mutable_view<UnmountRecord>(bytes, header_bytes + sizeof(LogOpHeader)).magic = UnmountRecord::kMagic;

  // Every data block carries the cycle in its first word; what stood there moves to the headers.
  for (std::uint32_t at = header_bytes, index = 0; at < total_bytes; at += kBasicBlockBytes, ++index) {
    be32& word = mutable_view<be32>(bytes, at);
    const std::uint32_t which = index / LogRecordHeader::kCycleWords;
    const std::uint32_t slot = index % LogRecordHeader::kCycleWords;
    if (which == 0) {
      header.cycle_data[slot] = word;
    } else {
      mutable_view<LogExtendedHeader>(bytes, which * kBasicBlockBytes).cycle_data[slot] = word;
    }
    word = kFirst.cycle;
  }
  for (std::uint32_t at = kBasicBlockBytes; at < header_bytes; at += kBasicBlockBytes) {
    mutable_view<LogExtendedHeader>(bytes, at).cycle = kFirst.cycle;
  }
  header.crc = log_record_checksum(bytes.first(header_bytes), bytes.subspan(header_bytes), kLogHeaderBytes64);
  return record;
}

}  // namespace xdax::mkfs

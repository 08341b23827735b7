#include "libfs/format/dquot.h"

#include "libfs/base/crc32c.h"

namespace xdax {
namespace {

class Check {
 public:
  Check(ByteSpan record, std::uint32_t base, const Geometry& geometry, Flaws& flaws)
      : record_(record), dquot_(view<Dquot>(record)), base_(base), geometry_(geometry), flaws_(flaws) {}

  bool identity(DquotType type, std::uint32_t id) {
    if (dquot_.magic != Dquot::kMagic) {
      flaw(FlawKind::kMagic, "dquot.magic", 0, dquot_.magic, Dquot::kMagic, "the magic of a quota record");
      return false;
    }
    if (const std::uint32_t computed = structure_checksum(record_, offsetof(Dquot, crc)); computed != dquot_.crc) {
      flaw(FlawKind::kChecksum, "dquot.crc", offsetof(Dquot, crc), dquot_.crc, computed, "the checksum of the record");
    }
    if (dquot_.uuid != geometry_.uuid) {
      flaw(FlawKind::kUuid, "dquot.uuid", offsetof(Dquot, uuid), 0, 0, "the uuid of this filesystem");
    }
    if (dquot_.version != Dquot::kVersion) {
      flaw(FlawKind::kVersion, "dquot.version", offsetof(Dquot, version), dquot_.version, Dquot::kVersion, "version 1");
    }
    const auto type_bits = static_cast<std::uint8_t>(type);
    if ((dquot_.type & ~std::uint32_t{kDquotBigtime}) != type_bits) {
      flaw(FlawKind::kConsistency, "dquot.type", offsetof(Dquot, type), dquot_.type, type_bits,
           "the quota that its file is for");
    }
    if (dquot_.id != id) {
      flaw(FlawKind::kSelfAddress, "dquot.id", offsetof(Dquot, id), dquot_.id, id, "the id that its place is for");
    }
    return true;
  }

  // The record of id 0 holds the defaults: its limits bind nobody and its timers are durations.
  void timers() {
    if ((dquot_.type & kDquotBigtime) != 0 && (!geometry_.features.bigtime() || dquot_.id == 0)) {
      flaw(FlawKind::kConsistency, "dquot.type", offsetof(Dquot, type), dquot_.type, 0,
           "the bigtime feature for the bigtime flag, and not on the defaults");
    }
    if (dquot_.id == 0) return;
    timer("dquot.btimer", offsetof(Dquot, btimer), dquot_.blk_softlimit, dquot_.bcount, dquot_.btimer);
    timer("dquot.itimer", offsetof(Dquot, itimer), dquot_.ino_softlimit, dquot_.icount, dquot_.itimer);
    timer("dquot.rtbtimer", offsetof(Dquot, rtbtimer), dquot_.rtb_softlimit, dquot_.rtbcount, dquot_.rtbtimer);
  }

 private:
  void timer(const char* field, std::size_t offset_bytes, std::uint64_t soft_limit, std::uint64_t count,
             std::uint32_t running) {
    if (soft_limit != 0 && count > soft_limit && running == 0) {
      flaw(FlawKind::kConsistency, field, offset_bytes, running, count, "running above the soft limit");
    }
  }
  void flaw(FlawKind kind, const char* field, std::size_t offset_bytes, std::uint64_t found, std::uint64_t expected,
            const char* rule) {
    flaws_.add({kind, field, base_ + static_cast<std::uint32_t>(offset_bytes), found, expected, rule});
  }

  ByteSpan record_;
  const Dquot& dquot_;
  std::uint32_t base_;
  const Geometry& geometry_;
  Flaws& flaws_;
};

}  // namespace

Flaws verify_dquot_block(ByteSpan block, const Geometry& geometry, const DquotExpectation& expected) {
  XDAX_ASSERT(block.size() == geometry.block_bytes);
  Flaws flaws;
  for (std::uint32_t i = 0; i < dquots_per_block(geometry.block_bytes); ++i) {
    const auto base = i * static_cast<std::uint32_t>(sizeof(Dquot));
    Check check(block.subspan(base, sizeof(Dquot)), base, geometry, flaws);
    if (check.identity(expected.type, expected.first_id + i)) check.timers();
  }
  return flaws;
}

}  // namespace xdax

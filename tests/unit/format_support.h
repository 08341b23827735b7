// A small filesystem on paper, and the question every verifier test asks: this one flaw and no other.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "libfs/base/bytes.h"
#include "libfs/base/crc32c.h"
#include "libfs/format/flaw.h"
#include "libfs/format/geometry.h"
#include "libfs/format/superblock.h"

namespace xdax::test {

using Bytes = std::vector<std::byte>;

inline const Uuid kTestUuid = *Uuid::parse("01234567-89ab-cdef-0123-456789abcdef");

/// 4 groups of 16384 blocks of 4 KiB, the last one shorter; 512-byte sectors and inodes; all features there are.
inline Superblock test_superblock() {
  Superblock sb{};
  sb.magicnum = Superblock::kMagic;
  sb.blocksize = 4096;
  sb.dblocks = 3 * 16384 + 10000;
  sb.uuid = kTestUuid;
  sb.logstart = (1ull << 14) | 8000;
  sb.rootino = 128;
  sb.rbmino = 129;
  sb.rsumino = 130;
  sb.rextsize = 1;
  sb.agblocks = 16384;
  sb.agcount = 4;
  sb.logblocks = 2560;
  sb.versionnum = 5 | version_bits::kNlink | version_bits::kAlign | version_bits::kLogV2 | version_bits::kExtFlag |
                  version_bits::kDirV2 | version_bits::kMoreBits;
  sb.sectsize = 512;
  sb.inodesize = 512;
  sb.inopblock = 8;
  sb.blocklog = 12;
  sb.sectlog = 9;
  sb.inodelog = 9;
  sb.inopblog = 3;
  sb.agblklog = 14;
  sb.imax_pct = 25;
  sb.icount = 64;
  sb.ifree = 61;
  sb.fdblocks = 40000;
  sb.uquotino = kNullInode.value();
  sb.gquotino = kNullInode.value();
  sb.pquotino = kNullInode.value();
  sb.inoalignmt = 8;
  sb.spino_align = 4;
  sb.logsunit = 1;
  sb.features2 = features2_bits::kLazyCount | features2_bits::kAttr2 | features2_bits::kProjid32 | features2_bits::kCrc;
  sb.bad_features2 = sb.features2.get();
  sb.features_ro_compat = ro_compat_bits::kKnown;
  sb.features_incompat = incompat_bits::kFtype | incompat_bits::kSparse | incompat_bits::kBigtime |
                         incompat_bits::kNrext64 | incompat_bits::kParent;
  return sb;
}

inline Geometry test_geometry() { return Geometry(test_superblock()); }

/// The same with other features, or other sizes.
inline Geometry test_geometry(const std::function<void(Superblock&)>& change) {
  Superblock sb = test_superblock();
  change(sb);
  return Geometry(sb);
}

inline std::string describe(const Flaws& flaws) {
  std::string text;
  for (const Flaw& flaw : flaws) {
    text += std::string(to_string(flaw.kind)) + " " + flaw.field + " at " + std::to_string(flaw.offset_bytes) +
            ": found " + std::to_string(flaw.found) + ", expected " + std::to_string(flaw.expected) + " (" + flaw.rule +
            ")\n";
  }
  return text;
}

/// One change to good bytes, and the one flaw it makes.
struct Mutation {
  std::string name;
  std::function<void(Bytes&)> change;
  FlawKind kind;
  std::string_view field;
};

/// A change of one field of the structure T at the start of the bytes.
template <class T>
Mutation mutate(std::string name, std::function<void(T&)> change, FlawKind kind, std::string_view field) {
  return {std::move(name), [change = std::move(change)](Bytes& bytes) { change(mutable_view<T>(bytes)); }, kind, field};
}

/// Applies each mutation to `good`, lets `reseal` make the checksum right, and requires exactly the flaw it names.
inline void expect_each_alone(const Bytes& good, const std::function<Flaws(ByteSpan)>& verify,
                              const std::function<void(Bytes&)>& reseal, const std::vector<Mutation>& mutations) {
  const Flaws none = verify(good);
  ASSERT_TRUE(none.empty()) << "the good bytes have flaws:\n" << describe(none);
  for (const Mutation& mutation : mutations) {
    SCOPED_TRACE(mutation.name);
    Bytes bad = good;
    mutation.change(bad);
    reseal(bad);
    const Flaws flaws = verify(bad);
    EXPECT_EQ(flaws.total(), 1u) << describe(flaws);
    if (flaws.empty()) continue;
    EXPECT_STREQ(to_string(flaws[0].kind), to_string(mutation.kind)) << describe(flaws);
    EXPECT_EQ(std::string_view(flaws[0].field), mutation.field) << describe(flaws);
  }
}

/// Any bit of sealed bytes, in steps: a flaw.
inline void expect_every_bit_counts(const Bytes& good, const std::function<Flaws(ByteSpan)>& verify,
                                    std::size_t step = 7) {
  for (std::size_t bit = 0; bit < good.size() * 8; bit += step) {
    Bytes bad = good;
    bad[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_FALSE(verify(bad).empty()) << "bit " << bit;
  }
}

}  // namespace xdax::test

// The checksum against its published vectors and against blocks of a filesystem that mkfs.xfs made.

#include "libfs/base/crc32c.h"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

#include "libfs/base/endian.h"

namespace xdax {
namespace {

std::uint32_t crc32c(ByteSpan bytes) { return ~crc32c_update(~0u, bytes); }

struct Vector {
  const char* name;
  std::vector<std::uint8_t> bytes;
  std::uint32_t checksum;
};

std::vector<std::uint8_t> counting(bool upwards) {
  std::vector<std::uint8_t> result(32);
  for (std::uint8_t i = 0; i < 32; ++i) result[i] = upwards ? i : static_cast<std::uint8_t>(31 - i);
  return result;
}

TEST(Crc32c, KnowsThePublishedVectors) {
  // RFC 3720, appendix B.4, and the check value of the CRC catalogue.
  const std::vector<Vector> vectors = {
      {"check", {'1', '2', '3', '4', '5', '6', '7', '8', '9'}, 0xe3069283u},
      {"zeros", std::vector<std::uint8_t>(32, 0x00), 0x8a9136aau},
      {"ones", std::vector<std::uint8_t>(32, 0xff), 0x62a8ab43u},
      {"upwards", counting(true), 0x46dd794eu},
      {"downwards", counting(false), 0x113fdb5cu},
      {"nothing", {}, 0u},
  };
  for (const Vector& vector : vectors) {
    EXPECT_EQ(crc32c(std::as_bytes(std::span(vector.bytes))), vector.checksum) << vector.name;
  }
}

TEST(Crc32c, GivesTheSameInPieces) {
  std::vector<std::byte> bytes(4099);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 131 + i / 251);
  const std::uint32_t whole = crc32c(bytes);
  for (const std::size_t cut :
       {std::size_t{0}, std::size_t{1}, std::size_t{7}, std::size_t{512}, std::size_t{4098}, bytes.size()}) {
    const ByteSpan all = bytes;
    EXPECT_EQ(~crc32c_update(crc32c_update(~0u, all.first(cut)), all.subspan(cut)), whole) << cut;
  }
}

struct Piece {
  std::size_t offset_bytes;
  std::string_view hex;
};

std::vector<std::byte> sector_of(std::initializer_list<Piece> pieces) {
  std::vector<std::byte> sector(512);
  for (const Piece& piece : pieces) {
    for (std::size_t i = 0; i < piece.hex.size() / 2; ++i) {
      const std::string digits(piece.hex.substr(2 * i, 2));
      sector[piece.offset_bytes + i] = static_cast<std::byte>(std::stoi(digits, nullptr, 16));
    }
  }
  return sector;
}

// A 300 MiB filesystem that mkfs.xfs 6.1 made with the UUID 01234567-89ab-cdef-0123-456789abcdef: its superblock, whose
// checksum lies at byte 224, and the AGF of group 0 with its checksum at byte 216.
std::vector<std::byte> superblock() {
  return sector_of({
      {0, "58465342000010000000000000012c0000000000000000000000000000000000"},
      {32, "0123456789abcdef0123456789abcdef00000000000100060000000000000080"},
      {64, "000000000000008100000000000000820000000100004b000000000400000000"},
      {96, "00004000b4a50200020000080000000000000000000000000c0909030f000019"},
      {128, "0000000000000040000000000000003d000000000000ebe00000000000000000"},
      {160, "0000000000000000000000000000000000000000000000080000000000000000"},
      {192, "00000000000000010000018a0000018a000000000000000d0000000b00000000"},
      {224, "d901d39700000004000000000000000000000000000000000000000000000000"},
  });
}

std::vector<std::byte> agf() {
  return sector_of({
      {0, "58414746000000010000000000004b0000000001000000020000000000000001"},
      {32, "000000010000000000000001000000040000000400004aee00004ae800000000"},
      {64, "0123456789abcdef0123456789abcdef00000000000000010000000500000001"},
      {192, "000000000000000000000000000000000000000000000000d65266cf00000000"},
  });
}

TEST(Crc32c, AgreesWithRealMetadata) {
  EXPECT_EQ(structure_checksum(superblock(), 224), 0x97d301d9u);
  EXPECT_EQ(view<le32>(superblock(), 224), 0x97d301d9u);
  EXPECT_EQ(structure_checksum(agf(), 216), 0xcf6652d6u);
  EXPECT_EQ(view<le32>(agf(), 216), 0xcf6652d6u);
}

TEST(Crc32c, SealRestoresAChecksumAndNothingElse) {
  const std::vector<std::byte> original = agf();
  std::vector<std::byte> changed = original;
  mutable_view<le32>(changed, 216) = 0;
  seal(changed, 216);
  EXPECT_EQ(changed, original);
}

TEST(Crc32c, SeesEveryFlippedBit) {
  std::vector<std::byte> sector = agf();
  const std::uint32_t good = structure_checksum(sector, 216);
  for (std::size_t bit = 0; bit < sector.size() * 8; ++bit) {
    const std::byte mask{static_cast<std::uint8_t>(1u << (bit % 8))};
    sector[bit / 8] ^= mask;
    const bool in_field = bit / 8 >= 216 && bit / 8 < 220;
    EXPECT_EQ(structure_checksum(sector, 216) == good, in_field) << "bit " << bit;
    sector[bit / 8] ^= mask;
  }
}

TEST(Crc32cDeathTest, RefusesAFieldOutsideTheStructure) {
  const std::vector<std::byte> bytes(16);
  EXPECT_DEATH((void)structure_checksum(bytes, 13), "internal error");
  EXPECT_EQ(structure_checksum(bytes, 12), ~crc32c_update(~0u, bytes));
}

}  // namespace
}  // namespace xdax

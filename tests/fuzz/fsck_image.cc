// Fuzz target: a whole check over a small filesystem with bytes of the input's choice changed.
//
// The input is a list of patches: one byte that selects a structure and whether its checksum is put right afterwards,
// two bytes of offset inside it, one byte of length, and that many bytes. So the fuzzer gets past checksums at will,
// and a few bytes reach anything. An empty input checks the untouched base, which must be clean.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

#include "fsck/check.h"
#include "fsck/report.h"
#include "libfs/base/crc32c.h"
#include "libfs/base/error.h"
#include "libfs/device/overlay_device.h"
#include "libfs/format/agf.h"
#include "libfs/format/agfl.h"
#include "libfs/format/agi.h"
#include "libfs/format/btree_block.h"
#include "libfs/format/superblock.h"
#include "tests/fuzz/formatted.h"

namespace {

using namespace xdax;

constexpr std::uint64_t kDeviceBytes = 128ull << 20;
constexpr std::uint32_t kHeaders = 4;

// The structures an input can name: four header sectors and the first tree blocks of two groups, then the start of the
// log.
struct Target {
  std::uint64_t byte = 0;
  std::size_t length = 0;
  std::size_t crc_offset = 0;
};

Target target_of(const Geometry& geometry, unsigned selector) {
  constexpr std::size_t kCrcs[kHeaders] = {offsetof(Superblock, crc), offsetof(Agf, crc), offsetof(Agi, crc),
                                           offsetof(AgflHeader, crc)};
  const AgNumber ag(selector & 1);
  const unsigned index = selector >> 1;
  if (index < kHeaders) return {geometry.header_byte(ag, index), geometry.sector_bytes, kCrcs[index]};
  if (index < 16) {
    const AgBlock block(index - kHeaders + geometry.ag_header_blocks());
    return {geometry.byte_of(ag, block), geometry.block_bytes, offsetof(ShortBtreeHeader, crc)};
  }
  return {geometry.byte_of(geometry.log_start), 64 * kBasicBlockBytes, 0};
}

void patch(Device& device, const Geometry& geometry, std::span<const std::uint8_t> input) {
  constexpr std::size_t kHead = 4;
  while (input.size() >= kHead) {
    const Target target = target_of(geometry, input[0] & 0x3f);
    const bool reseal = (input[0] & 0x80) == 0 && target.crc_offset != 0;
    const std::size_t offset = (std::size_t{input[1]} << 8 | input[2]) % target.length;
    const std::size_t length = std::min({std::size_t{input[3]}, input.size() - kHead, target.length - offset});
    std::vector<std::byte> bytes(target.length);
    device.read(target.byte, bytes);
    std::memcpy(bytes.data() + offset, input.data() + kHead, length);
    if (reseal) seal(bytes, target.crc_offset);
    device.write(target.byte, bytes);
    input = input.subspan(kHead + length);
  }
}

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "fsck_image: %s\n", what);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::Formatted base(kDeviceBytes, 4);
  OverlayDevice overlay(base.device);
  patch(overlay, base.geometry, {data, size});
  fsck::Outcome outcome{.device = "image"};
  try {
    outcome.result = fsck::check_filesystem(overlay, {.threads = 1});
    require(!outcome.result->findings.has_problems() || size > 0, "the untouched base is not clean");
  } catch (const Error& error) {
    outcome.error = error.what();
    require(!outcome.error.empty(), "a refusal says nothing");
  }
  require(!fsck::json_report(outcome).empty(), "no report");
  static_cast<void>(fsck::text_report(outcome, true));
  return 0;
}

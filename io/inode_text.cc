// Fields of an inode as people read them.

#include <fmt/format.h>

#include <ctime>

#include "io/verbs.h"
#include "libfs/format/timestamp.h"

namespace xdax::io {

const char* type_word(FileType type) {
  switch (type) {
    case FileType::kFifo:
      return "fifo";
    case FileType::kCharacterDevice:
      return "character";
    case FileType::kDirectory:
      return "directory";
    case FileType::kBlockDevice:
      return "block";
    case FileType::kRegular:
      return "file";
    case FileType::kSymlink:
      return "symlink";
    case FileType::kSocket:
      return "socket";
    default:
      return "unknown";
  }
}

std::string mode_letters(const InodeCore& core) {
  static constexpr char kBits[] = "rwxrwxrwx";
  const std::uint16_t mode = core.mode;
  std::string text = "?---------";
  switch (core.type()) {
    case FileType::kFifo:
      text[0] = 'p';
      break;
    case FileType::kCharacterDevice:
      text[0] = 'c';
      break;
    case FileType::kDirectory:
      text[0] = 'd';
      break;
    case FileType::kBlockDevice:
      text[0] = 'b';
      break;
    case FileType::kRegular:
      text[0] = '-';
      break;
    case FileType::kSymlink:
      text[0] = 'l';
      break;
    case FileType::kSocket:
      text[0] = 's';
      break;
    default:
      break;
  }
  for (unsigned i = 0; i < 9; ++i) {
    if ((mode & (0400u >> i)) != 0) text[i + 1] = kBits[i];
  }
  const auto special = [&](unsigned bit, std::size_t at, char with, char without) {
    if ((mode & bit) != 0) text[at] = text[at] == 'x' ? with : without;
  };
  special(04000, 3, 's', 'S');
  special(02000, 6, 's', 'S');
  special(01000, 9, 't', 'T');
  return text;
}

std::string time_text(std::uint64_t stored, bool bigtime) {
  const Timestamp time = decode_timestamp(stored, bigtime);
  const std::time_t seconds = time.seconds;
  std::tm parts{};
  if (::gmtime_r(&seconds, &parts) == nullptr) return fmt::format("{}s", time.seconds);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:09}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                     parts.tm_hour, parts.tm_min, parts.tm_sec, time.nanoseconds);
}

// 14 bits of major, 18 of minor. Seen on disk (tests/oracle/xdax_kernel_test.cc).
std::optional<DeviceNumber> device_number(const Inode& inode) {
  const FileType type = inode.type();
  if (type != FileType::kCharacterDevice && type != FileType::kBlockDevice) return std::nullopt;
  const ByteSpan fork = inode.fork(Fork::kData);
  if (fork.size() < sizeof(be32)) return std::nullopt;
  const std::uint32_t stored = view<be32>(fork);
  constexpr unsigned kMinorBits = 18;
  return DeviceNumber{.major = stored >> kMinorBits, .minor = stored & ((1u << kMinorBits) - 1)};
}

}  // namespace xdax::io

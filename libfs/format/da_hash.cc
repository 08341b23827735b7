#include "libfs/format/da_hash.h"

#include <algorithm>
#include <bit>

namespace xdax {
namespace {

constexpr int kTurnBits = 7;

std::uint8_t small_letter(std::uint8_t byte) {
  const bool capital = (byte >= 'A' && byte <= 'Z') || (byte >= 0xc0 && byte <= 0xd6) || (byte >= 0xd8 && byte <= 0xde);
  return capital ? static_cast<std::uint8_t>(byte + ('a' - 'A')) : byte;
}

bool legal_length(std::string_view name) { return !name.empty() && name.size() <= limits::kMaxNameBytes; }

}  // namespace

std::uint32_t name_hash(std::string_view name) {
  std::uint32_t hash = 0;
  for (const char character : name) hash = static_cast<std::uint8_t>(character) ^ std::rotl(hash, kTurnBits);
  return hash;
}

std::uint32_t dir_name_hash(std::string_view name, const Features& features) {
  if (!features.ascii_ci()) return name_hash(name);
  std::uint32_t hash = 0;
  for (const char character : name) {
    hash = small_letter(static_cast<std::uint8_t>(character)) ^ std::rotl(hash, kTurnBits);
  }
  return hash;
}

bool same_dir_name(std::string_view left, std::string_view right, const Features& features) {
  if (!features.ascii_ci()) return left == right;
  return std::equal(left.begin(), left.end(), right.begin(), right.end(), [](char l, char r) {
    return small_letter(static_cast<std::uint8_t>(l)) == small_letter(static_cast<std::uint8_t>(r));
  });
}

std::uint32_t parent_pointer_hash(std::string_view name, InodeNumber parent, const Features& features) {
  const std::uint64_t ino = parent.value();
  return dir_name_hash(name, features) ^ static_cast<std::uint32_t>(ino >> 32) ^ static_cast<std::uint32_t>(ino);
}

bool valid_dir_name(std::string_view name) {
  return legal_length(name) && name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

bool valid_attr_name(std::string_view name) { return legal_length(name) && name.find('\0') == std::string_view::npos; }

}  // namespace xdax

#include "libfs/cli/parse_size.h"

#include <charconv>
#include <system_error>
#include <utility>

namespace xdax::cli {
namespace {

struct Number {
  std::uint64_t value = 0;
  std::string_view rest;
};

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

std::expected<Number, std::string> leading_number(std::string_view text) {
  if (text.empty()) return std::unexpected("a number is missing");
  int base = 10;
  std::string_view digits = text;
  if (digits.starts_with("0x") || digits.starts_with("0X")) {
    base = 16;
    digits.remove_prefix(2);
  } else if (digits.size() > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9') {
    return std::unexpected(quoted(text) + " starts with 0; octal is not accepted");
  }
  Number number;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number.value, base);
  if (error == std::errc::result_out_of_range) return std::unexpected(quoted(text) + " is too large");
  if (error != std::errc{}) return std::unexpected(quoted(text) + " is not a number");
  number.rest = digits.substr(static_cast<std::size_t>(end - digits.data()));
  return number;
}

/// 0 for a character that is no suffix.
std::uint64_t suffix_bytes(char suffix, const SizeUnits& units) {
  switch (suffix) {
    case 's':
    case 'S':
      return units.sector_bytes;
    case 'b':
    case 'B':
      return units.block_bytes;
    case 'k':
    case 'K':
      return std::uint64_t{1} << 10;
    case 'm':
    case 'M':
      return std::uint64_t{1} << 20;
    case 'g':
    case 'G':
      return std::uint64_t{1} << 30;
    case 't':
    case 'T':
      return std::uint64_t{1} << 40;
    case 'p':
    case 'P':
      return std::uint64_t{1} << 50;
    case 'e':
    case 'E':
      return std::uint64_t{1} << 60;
    default:
      return 0;
  }
}

}  // namespace

std::expected<std::uint64_t, std::string> parse_size(std::string_view text, const SizeUnits& units) {
  const auto number = leading_number(text);
  if (!number) return std::unexpected(number.error());
  if (number->rest.empty()) return number->value;
  const char suffix = number->rest[0];
  if (number->rest.size() > 1) return std::unexpected(quoted(text) + " has something after the size");
  const std::uint64_t unit_bytes = suffix_bytes(suffix, units);
  if (unit_bytes == 0) {
    if (suffix == 'b' || suffix == 'B')
      return std::unexpected(quoted(text) + " counts blocks, but the block size is not known here");
    if (suffix == 's' || suffix == 'S')
      return std::unexpected(quoted(text) + " counts sectors, but the sector size is not known here");
    return std::unexpected(quoted(text) + " has an unknown suffix (s b k m g t p e)");
  }
  std::uint64_t size_bytes = 0;
  if (__builtin_mul_overflow(number->value, unit_bytes, &size_bytes))
    return std::unexpected(quoted(text) + " is too large");
  return size_bytes;
}

std::expected<std::uint64_t, std::string> parse_count(std::string_view text) {
  const auto number = leading_number(text);
  if (!number) return std::unexpected(number.error());
  if (!number->rest.empty()) return std::unexpected(quoted(text) + " is not a plain number");
  return number->value;
}

std::expected<bool, std::string> parse_switch(std::string_view text) {
  if (text == "0") return false;
  if (text == "1") return true;
  return std::unexpected(quoted(text) + " is neither 0 nor 1");
}

std::string format_size(std::uint64_t size_bytes) {
  constexpr std::string_view kSuffixes = "kmgtpe";
  std::string suffix;
  for (std::size_t i = 0; i < kSuffixes.size() && size_bytes != 0 && size_bytes % 1024 == 0; ++i) {
    size_bytes /= 1024;
    suffix = kSuffixes[i];
  }
  return std::to_string(size_bytes) + suffix;
}

}  // namespace xdax::cli

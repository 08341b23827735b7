// Numbers and sizes as users write them on a command line.
//
// Pure functions; thread-safe. The error is one clause that fits behind the option's name: "-b size: " + error.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace xdax::cli {

/// What the suffixes `b` and `s` stand for. 0: not known where the size is given, so the suffix is refused.
struct SizeUnits {
  std::uint64_t block_bytes = 0;
  std::uint64_t sector_bytes = 512;
};

/// A size in bytes: a number, decimal or hexadecimal with 0x, and at most one suffix in either case: s (sectors), b
/// (blocks), k m g t p e (powers of 1024). Refuses what is empty, signed, fractional, padded with zeros (in other tools
/// octal), followed by anything, or over 2^64-1. In hexadecimal b and e are digits.
[[nodiscard]] std::expected<std::uint64_t, std::string> parse_size(std::string_view text, const SizeUnits& units = {});

/// A count: the same without a suffix.
[[nodiscard]] std::expected<std::uint64_t, std::string> parse_count(std::string_view text);

/// "0" or "1", as mkfs.xfs takes its switches.
[[nodiscard]] std::expected<bool, std::string> parse_switch(std::string_view text);

/// The size with the largest suffix that divides it: 4096 is "4k", 1000 is "1000".
[[nodiscard]] std::string format_size(std::uint64_t size_bytes);

}  // namespace xdax::cli

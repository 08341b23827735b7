// Units as distinct types: numbers that name a place do not mix silently.
//
// A Unit is a position; adding an integer moves it, subtracting two of the same kind gives a count. Conversion
// between kinds needs the geometry (libfs/format/geometry.h). All operations are constexpr and never throw;
// overflow is the caller's to exclude, as with integers. Source: XFS Algorithms & Data Structures, "Allocation
// Groups" and "Inode Numbers".
#pragma once

#include <compare>
#include <concepts>
#include <cstdint>

namespace xdax {

template <class Tag, std::unsigned_integral Rep>
class Unit {
 public:
  using rep = Rep;

  constexpr Unit() = default;
  constexpr explicit Unit(Rep value) : value_(value) {}

  [[nodiscard]] constexpr Rep value() const { return value_; }
  constexpr auto operator<=>(const Unit&) const = default;

  constexpr Unit& operator++() {
    ++value_;
    return *this;
  }
  constexpr Unit& operator+=(Rep count) {
    value_ = static_cast<Rep>(value_ + count);
    return *this;
  }
  friend constexpr Unit operator+(Unit unit, Rep count) { return Unit(static_cast<Rep>(unit.value_ + count)); }
  friend constexpr Unit operator-(Unit unit, Rep count) { return Unit(static_cast<Rep>(unit.value_ - count)); }
  friend constexpr Rep operator-(Unit left, Unit right) { return static_cast<Rep>(left.value_ - right.value_); }

 private:
  Rep value_ = 0;
};

using AgNumber = Unit<struct AgNumberTag, std::uint32_t>;        ///< allocation group, from 0
using AgBlock = Unit<struct AgBlockTag, std::uint32_t>;          ///< filesystem block within its group
using FsBlock = Unit<struct FsBlockTag, std::uint64_t>;          ///< group and block packed (not linear)
using FileBlock = Unit<struct FileBlockTag, std::uint64_t>;      ///< filesystem block within a file
using DiskAddress = Unit<struct DiskAddressTag, std::uint64_t>;  ///< 512-byte units from the device's start
using InodeNumber = Unit<struct InodeNumberTag, std::uint64_t>;  ///< absolute inode number
using AgInode = Unit<struct AgInodeTag, std::uint32_t>;          ///< inode number within its group

inline constexpr AgBlock kNullAgBlock{0xffffffffu};
inline constexpr AgInode kNullAgInode{0xffffffffu};
inline constexpr FsBlock kNullFsBlock{0xffffffffffffffffull};
inline constexpr InodeNumber kNullInode{0xffffffffffffffffull};

/// A DiskAddress counts these many bytes whatever the sector size.
inline constexpr std::uint32_t kBasicBlockBytes = 512;
inline constexpr std::uint32_t kBasicBlockLog = 9;

}  // namespace xdax

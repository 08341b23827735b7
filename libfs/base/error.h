// The exceptions of libfs.
//
// Three kinds derive from Error: a device failed (IoError), bytes on disk break a rule (CorruptionError), or the
// operation is refused (RefusalError). Each carries a specific Errc, whose error condition is an errno, and a one-line
// message naming what, where and what to do. Nothing else is thrown on purpose. Thread-safe as values.
#pragma once

#include <string>
#include <system_error>

namespace xdax {

/// Specific causes. `std::error_code(code).default_error_condition()` is the errno named beside each.
enum class Errc {
  kReadFailed = 1,  ///< EIO: the device reported a failed or short read
  kWriteFailed,     ///< EIO: the device reported a failed or short write
  kPersistFailed,   ///< EIO: a barrier failed; what was written before it may be lost
  kBadStructure,    ///< EUCLEAN: a verifier found flaws
  kNotXfs,          ///< EINVAL: there is no XFS superblock
  kOutOfRange,      ///< EINVAL: an address past the end of the device or filesystem
  kBadArgument,     ///< EINVAL: an option or argument is malformed or contradicts another
  kNotSupported,    ///< EOPNOTSUPP: a feature this build does not know or does not handle
  kReadOnly,        ///< EROFS: a write to something opened for reading
  kNoSpace,         ///< ENOSPC
  kInUse,           ///< EBUSY: mounted, swap, or held by another process
  kHoldsSignature,  ///< EEXIST: a filesystem or partition table is already there
  kOpenFailed,      ///< EIO or the errno given: the path cannot be opened
  kCancelled,       ///< ECANCELED: interrupted by the user
  kNotFound,        ///< ENOENT: a path or attribute that is not there
  kExists,          ///< EEXIST: a name or attribute that is there already
};

[[nodiscard]] const std::error_category& error_category() noexcept;
[[nodiscard]] std::error_code make_error_code(Errc code) noexcept;

class Error : public std::system_error {
 public:
  Error(Errc code, std::string message) : std::system_error(make_error_code(code)), message_(std::move(message)) {}
  /// The one-line message as given, without the code's generic text.
  [[nodiscard]] const char* what() const noexcept override { return message_.c_str(); }
  [[nodiscard]] Errc cause() const noexcept { return static_cast<Errc>(code().value()); }

 private:
  std::string message_;
};

class IoError : public Error {
 public:
  using Error::Error;
};
class CorruptionError : public Error {
 public:
  using Error::Error;
};
class RefusalError : public Error {
 public:
  using Error::Error;
};

}  // namespace xdax

template <>
struct std::is_error_code_enum<xdax::Errc> : std::true_type {};

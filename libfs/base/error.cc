#include "libfs/base/error.h"

#include <cerrno>

namespace xdax {
namespace {

struct ErrcRow {
  Errc code;
  int errno_value;
  const char* text;
};

constexpr ErrcRow kRows[] = {
    {Errc::kReadFailed, EIO, "read failed"},
    {Errc::kWriteFailed, EIO, "write failed"},
    {Errc::kPersistFailed, EIO, "could not be made durable"},
    {Errc::kBadStructure, EUCLEAN, "damaged structure"},
    {Errc::kNotXfs, EINVAL, "not an XFS filesystem"},
    {Errc::kOutOfRange, EINVAL, "address out of range"},
    {Errc::kBadArgument, EINVAL, "bad argument"},
    {Errc::kNotSupported, EOPNOTSUPP, "not supported"},
    {Errc::kReadOnly, EROFS, "opened for reading only"},
    {Errc::kNoSpace, ENOSPC, "no space"},
    {Errc::kInUse, EBUSY, "in use"},
    {Errc::kHoldsSignature, EEXIST, "already holds data"},
    {Errc::kOpenFailed, EIO, "cannot be opened"},
    {Errc::kCancelled, ECANCELED, "cancelled"},
    {Errc::kNotFound, ENOENT, "not found"},
    {Errc::kExists, EEXIST, "exists"},
};

class Category final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "xdax"; }
  [[nodiscard]] std::string message(int value) const override {
    const ErrcRow* row = find(value);
    return row != nullptr ? row->text : "unknown error";
  }
  [[nodiscard]] std::error_condition default_error_condition(int value) const noexcept override {
    const ErrcRow* row = find(value);
    return {row != nullptr ? row->errno_value : EIO, std::generic_category()};
  }

 private:
  static const ErrcRow* find(int value) noexcept {
    for (const ErrcRow& row : kRows) {
      if (static_cast<int>(row.code) == value) return &row;
    }
    return nullptr;
  }
};

}  // namespace

const std::error_category& error_category() noexcept {
  static const Category category;
  return category;
}

std::error_code make_error_code(Errc code) noexcept { return {static_cast<int>(code), error_category()}; }

}  // namespace xdax

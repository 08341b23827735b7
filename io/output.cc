#include "io/output.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "libfs/base/error.h"
#include "libfs/cli/message.h"

namespace xdax::io {
namespace {

constexpr std::size_t kBufferBytes = 64u << 10;

void write_all(std::string_view rest) {
  while (!rest.empty()) {
    const ssize_t count = ::write(STDOUT_FILENO, rest.data(), rest.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      const std::string reason = std::generic_category().message(count < 0 ? errno : EIO);
      throw IoError(Errc::kWriteFailed, fmt::format("standard output cannot be written: {}", reason));
    }
    rest.remove_prefix(static_cast<std::size_t>(count));
  }
}

}  // namespace

std::string printable(std::string_view name) { return cli::one_line(name); }

void Output::text(std::string_view text) {
  buffer_ += text;
  if (buffer_.size() >= kBufferBytes) flush();
}

void Output::bytes(ByteSpan bytes) {
  flush();
  write_all({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

void Output::json(const nlohmann::ordered_json& object) {
  text(object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

void Output::flush() {
  // Emptied first: a failed write is not tried again.
  std::string pending;
  pending.swap(buffer_);
  write_all(pending);
}

}  // namespace xdax::io

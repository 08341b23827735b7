// Filesystem: what two ranges of files have to do with each other, and where in a file data is.
#include <fmt/format.h>

#include <algorithm>

#include "libfs/base/error.h"
#include "libfs/volume/filesystem.h"

namespace xdax {
namespace {

constexpr std::size_t kPieceBytes = 1u << 20;

}  // namespace

void Filesystem::share(const FilePlace& from, const FilePlace& to, std::uint64_t length_bytes) {
  change_file(to.ino, [&](FileWriter& file) {
    require_source(from.ino);
    std::uint64_t length = length_bytes;
    if (length == 0) {
      const std::uint64_t size = volume_->file(from.ino).size_bytes();
      length = size - std::min(size, from.offset_bytes);
    }
    file.share(from.ino, from.offset_bytes, to.offset_bytes, length, FileWriter::Grow::kYes);
  });
}

bool Filesystem::deduplicate(const FilePlace& from, const FilePlace& to, std::uint64_t length_bytes) {
  bool same = true;
  change_file(to.ino, [&](FileWriter& file) {
    require_source(from.ino);
    FileReader one = volume_->file(from.ino);
    FileReader other = volume_->file(to.ino);
    std::vector<std::byte> first(kPieceBytes), second(kPieceBytes);
    for (std::uint64_t done = 0; done < length_bytes && same;) {
      const std::size_t piece = std::min<std::uint64_t>(kPieceBytes, length_bytes - done);
      const std::size_t got = one.read(from.offset_bytes + done, std::span(first).first(piece));
      if (got != piece || other.read(to.offset_bytes + done, std::span(second).first(piece)) != piece) {
        throw RefusalError(Errc::kBadArgument, "a range ends behind its file");
      }
      same = std::equal(first.begin(), first.begin() + static_cast<std::ptrdiff_t>(piece), second.begin());
      done += piece;
    }
    if (same) file.share(from.ino, from.offset_bytes, to.offset_bytes, length_bytes, FileWriter::Grow::kNo);
  });
  return same;
}

std::uint64_t Filesystem::copy(const FilePlace& from, const FilePlace& to, std::uint64_t length_bytes) {
  std::uint64_t length = 0;
  change_file(to.ino, [&](FileWriter& file) {
    require_source(from.ino);
    const std::uint64_t size = volume_->file(from.ino).size_bytes();
    length = std::min(length_bytes, size - std::min(size, from.offset_bytes));
    if (length == 0) return;
    if (from.ino == to.ino && from.offset_bytes < to.offset_bytes + length &&
        to.offset_bytes < from.offset_bytes + length) {
      throw RefusalError(Errc::kBadArgument, "a range cannot be copied onto itself");
    }
    // Whole blocks are shared, and the end of the file when the copy ends there too.
    std::uint64_t done = 0;
    const std::uint64_t block = geometry_->block_bytes;
    if (geometry_->features.reflink() && from.offset_bytes % block == 0 && to.offset_bytes % block == 0) {
      const bool to_end =
          from.offset_bytes + length == size && to.offset_bytes + length >= volume_->file(to.ino).size_bytes();
      done = to_end ? length : length / block * block;
      file.share(from.ino, from.offset_bytes, to.offset_bytes, done, FileWriter::Grow::kYes);
    }
    std::vector<std::byte> piece(std::min<std::uint64_t>(kPieceBytes, length - done));
    while (done < length) {
      const std::size_t wanted = std::min<std::uint64_t>(piece.size(), length - done);
      const std::size_t got = volume_->file(from.ino).read(from.offset_bytes + done, std::span(piece).first(wanted));
      file.write(to.offset_bytes + done, std::span(piece).first(got));
      done += got;
    }
  });
  return length;
}

void Filesystem::exchange(const FilePlace& one, const FilePlace& other, std::uint64_t length_bytes) {
  change_file(one.ino, [&](FileWriter& file) {
    require_target(other.ino);
    file.exchange(other.ino, other.offset_bytes, one.offset_bytes, length_bytes);
  });
}

void Filesystem::exchange_rest(const FilePlace& one, const FilePlace& other) {
  change_file(one.ino, [&](FileWriter& file) {
    require_target(other.ino);
    file.exchange_rest(other.ino, other.offset_bytes, one.offset_bytes);
  });
}

std::optional<std::uint64_t> Filesystem::next_data(const FilePlace& from) {
  return read([&](const Volume& volume) -> std::optional<std::uint64_t> {
    FileReader file = volume.file(from.ino);
    const std::uint64_t found = file.next_written(from.offset_bytes);
    return found < file.size_bytes() ? std::optional(found) : std::nullopt;
  });
}

std::optional<std::uint64_t> Filesystem::next_hole(const FilePlace& from) {
  return read([&](const Volume& volume) -> std::optional<std::uint64_t> {
    FileReader file = volume.file(from.ino);
    if (from.offset_bytes >= file.size_bytes()) return std::nullopt;
    return file.next_unwritten(from.offset_bytes);
  });
}

}  // namespace xdax

// cat and digest.

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <unordered_map>

#include "io/verbs.h"
#include "io/walk.h"
#include "libfs/base/endian.h"
#include "libfs/base/error.h"

namespace xdax::io {
namespace {

constexpr std::size_t kChunkBytes = 1u << 20;

// From this size on a file's digest is of the pieces that are not all zeros: to hash the zeros of an exabyte would take
// years.
constexpr std::uint64_t kSparseDigestBytes = 1ull << 40;
constexpr std::size_t kPieceBytes = 4096;
constexpr std::array<std::byte, kPieceBytes> kZeros{};

class Digest {
 public:
  Digest() : state_(XXH3_createState(), &XXH3_freeState) {
    if (state_ == nullptr) throw std::bad_alloc();
  }

  [[nodiscard]] std::string of(ByteSpan bytes) { return text(XXH3_128bits(bytes.data(), bytes.size())); }
  [[nodiscard]] std::string of(FileReader file) {
    XXH3_128bits_reset(state_.get());
    buffer_.resize(kChunkBytes);
    if (file.size_bytes() < kSparseDigestBytes) {
      add_bytes(file);
    } else {
      add_pieces(file);
    }
    return text(XXH3_128bits_digest(state_.get()));
  }

 private:
  void add(ByteSpan bytes) { XXH3_128bits_update(state_.get(), bytes.data(), bytes.size()); }
  void add_number(std::uint64_t number) {
    const be64 stored(number);
    add(std::as_bytes(std::span(&stored, 1)));
  }
  void add_bytes(FileReader& file) {
    for (std::uint64_t at = 0;;) {
      const std::size_t count = file.read(at, buffer_);
      if (count == 0) break;
      add(ByteSpan(buffer_).first(count));
      at += count;
    }
  }
  // Of each piece with anything but zeros its offset and its bytes, then the size of the file: what is a hole and what
  // are zeros makes no difference.
  void add_pieces(FileReader& file) {
    for (std::uint64_t at = file.next_data(0); at < file.size_bytes();) {
      at -= at % kPieceBytes;
      const std::size_t count = file.read(at, buffer_);
      for (std::size_t done = 0; done < count; done += kPieceBytes) {
        const ByteSpan piece = ByteSpan(buffer_).subspan(done, std::min(kPieceBytes, count - done));
        if (std::memcmp(piece.data(), kZeros.data(), piece.size()) == 0) continue;
        add_number(at + done);
        add(piece);
      }
      at = file.next_data(at + count);
    }
    add_number(file.size_bytes());
  }

  static std::string text(XXH128_hash_t hash) { return fmt::format("{:016x}{:016x}", hash.high64, hash.low64); }

  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state_;
  std::vector<std::byte> buffer_;
};

class DigestPrinter {
 public:
  DigestPrinter(const Volume& volume, const Options& options, Output& out)
      : volume_(volume), options_(options), out_(out) {}

  void one(const std::string& path, InodeNumber ino, FileType type) {
    if (type != FileType::kRegular && type != FileType::kSymlink) return;
    const std::string sum = type == FileType::kRegular ? of_file(ino) : of_link(ino);
    if (options_.json) {
      out_.json({{"digest", sum}, {"type", type_word(type)}, {"path", path}});
    } else {
      out_.text(fmt::format("{} {} {}\n", sum, type_word(type), printable(path)));
    }
  }

 private:
  std::string of_link(InodeNumber ino) {
    const std::string target = volume_.symlink(ino);
    return digest_.of(std::as_bytes(std::span(target)));
  }
  // A file with several names is read once.
  std::string of_file(InodeNumber ino) {
    const bool shared = volume_.inode(ino).core().nlink > 1;
    if (!shared) return digest_.of(volume_.file(ino));
    const auto known = known_.find(ino.value());
    if (known != known_.end()) return known->second;
    return known_.emplace(ino.value(), digest_.of(volume_.file(ino))).first->second;
  }

  const Volume& volume_;
  const Options& options_;
  Output& out_;
  Digest digest_;
  std::unordered_map<std::uint64_t, std::string> known_;
};

}  // namespace

void copy_file(const Volume& volume, const Options& options, Output& out) {
  FileReader file = volume.file(volume.walk(options.path, Follow::kYes));
  std::vector<std::byte> buffer(kChunkBytes);
  for (std::uint64_t at = 0;;) {
    const std::size_t count = file.read(at, buffer);
    if (count == 0) return;
    out.bytes(ByteSpan(buffer).first(count));
    at += count;
  }
}

void digest(const Volume& volume, const Options& options, Output& out) {
  DigestPrinter printer(volume, options, out);
  const std::string path = normal_path(options.path);
  const InodeNumber start = volume.walk(options.path, Follow::kNo);
  const FileType type = volume.inode(start).type();
  if (type != FileType::kDirectory) return printer.one(path, start, type);
  walk_below(volume, start, path, Order::kPath,
             [&](const WalkItem& item) { printer.one(item.path, item.entry.ino, item.type); });
}

}  // namespace xdax::io

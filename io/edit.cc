// The verbs that change an image: mkdir put rm mv ln setfattr truncate fallocate.

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "io/verbs.h"
#include "io/walk.h"
#include "libfs/base/error.h"

namespace xdax::io {
namespace {

// A path's directory, and its last name.
struct Place {
  InodeNumber directory;
  std::string name;
};

std::string without_slashes(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

Place place_of(Filesystem& filesystem, const std::string& given) {
  const std::string path = without_slashes(given);
  const std::size_t slash = path.rfind('/');
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (name.empty() || name == "." || name == "..") {
    throw RefusalError(Errc::kBadArgument, fmt::format("{}: does not end in the name of a file", printable(given)));
  }
  const std::string above = slash == std::string::npos ? "/" : path.substr(0, slash + 1);
  return {.directory = filesystem.read([&](const Volume& volume) { return volume.walk(above, Follow::kYes); }),
          .name = std::move(name)};
}

InodeNumber named(Filesystem& filesystem, const std::string& path, Follow follow) {
  return filesystem.read([&](const Volume& volume) { return volume.walk(path, follow); });
}

std::optional<InodeNumber> lookup(Filesystem& filesystem, const Place& place) {
  return filesystem.read([&](const Volume& volume) -> std::optional<InodeNumber> {
    const auto item = volume.directory(place.directory).lookup(place.name);
    return item ? std::optional(item->ino) : std::nullopt;
  });
}

FileType type_of(Filesystem& filesystem, InodeNumber ino) {
  return filesystem.read([&](const Volume& volume) { return volume.inode(ino).type(); });
}

NewFile new_file(const Options& options) { return {.mode = options.mode, .uid = options.uid, .gid = options.gid}; }

void make_directories(Filesystem& filesystem, const Options& options) {
  if (!options.parents) {
    const Place place = place_of(filesystem, options.path);
    filesystem.make_directory(place.directory, place.name, new_file(options));
    return;
  }
  std::string path;
  const std::string whole = without_slashes(options.path) + "/";
  for (std::size_t at = 0; at < whole.size();) {
    const std::size_t slash = whole.find('/', at);
    const std::string name = whole.substr(at, slash - at);
    at = slash + 1;
    if (name.empty()) continue;
    path += "/" + name;
    if (name == "." || name == "..") continue;
    const Place place = place_of(filesystem, path);
    const auto there = lookup(filesystem, place);
    if (!there) {
      filesystem.make_directory(place.directory, place.name, new_file(options));
    } else if (type_of(filesystem, named(filesystem, path, Follow::kYes)) != FileType::kDirectory) {
      throw RefusalError(Errc::kNotDirectory, fmt::format("{}: is not a directory", printable(path)));
    }
  }
}

// A local file to read from, or standard input.
class LocalFile {
 public:
  explicit LocalFile(const std::string& path)
      : path_(path), fd_(path == "-" ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (fd_ < 0) throw RefusalError(Errc::kOpenFailed, fmt::format("{}: {}", printable(path), std::strerror(errno)));
  }
  ~LocalFile() {
    if (fd_ > STDIN_FILENO) ::close(fd_);
  }
  LocalFile(const LocalFile&) = delete;
  LocalFile& operator=(const LocalFile&) = delete;

  [[nodiscard]] std::size_t read(MutableByteSpan buffer) const {
    std::size_t done = 0;
    while (done < buffer.size()) {
      const ssize_t count = ::read(fd_, buffer.data() + done, buffer.size() - done);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) throw IoError(Errc::kReadFailed, fmt::format("{}: {}", printable(path_), std::strerror(errno)));
      if (count == 0) break;
      done += static_cast<std::size_t>(count);
    }
    return done;
  }

 private:
  std::string path_;
  int fd_;
};

// A file without a name, filled; the name comes last, so that nobody ever finds half a file under it.
void put(Filesystem& filesystem, const Options& options) {
  constexpr std::size_t kPieceBytes = 4u << 20;
  const Place place = place_of(filesystem, options.path);
  const auto there = lookup(filesystem, place);
  if (there && (options.no_replace || type_of(filesystem, *there) == FileType::kDirectory)) {
    throw RefusalError(Errc::kExists, fmt::format("{}: is there already", printable(options.path)));
  }
  const LocalFile local(options.other);
  const InodeNumber ino = filesystem.create_unnamed(place.directory, new_file(options));
  try {
    std::vector<std::byte> piece(kPieceBytes);
    std::uint64_t size = 0;
    for (;;) {
      const std::size_t count = local.read(piece);
      const ByteSpan bytes = ByteSpan(piece).first(count);
      // Holes stay holes.
      if (!all_zero(bytes)) filesystem.write(ino, size, bytes);
      size += count;
      if (count < piece.size()) break;
    }
    filesystem.truncate(ino, size);
    filesystem.sync();
    if (there) {
      const std::string aside = fmt::format(".xdax-put-{}", ino.value());
      filesystem.link(ino, place.directory, aside);
      try {
        filesystem.rename(place.directory, aside, place.directory, place.name, RenameMode::kReplace);
      } catch (const Error&) {
        filesystem.unlink(place.directory, aside);
        throw;
      }
    } else {
      filesystem.link(ino, place.directory, place.name);
    }
  } catch (const Error&) {
    filesystem.release(ino);
    throw;
  }
  filesystem.release(ino);
}

// Deepest first, without recursion: how deep a tree is, is the disk's choice.
void remove_tree(Filesystem& filesystem, const Place& place, InodeNumber ino) {
  struct Level {
    Place place;
    InodeNumber ino;
  };
  std::vector<Level> levels{{place, ino}};
  while (!levels.empty()) {
    const Level level = levels.back();
    const std::vector<DirItem> items =
        filesystem.read([&](const Volume& volume) { return volume.directory(level.ino).list(); });
    bool deeper = false;
    for (const DirItem& item : items) {
      if (type_of(filesystem, item.ino) == FileType::kDirectory) {
        levels.push_back({{level.ino, item.name}, item.ino});
        deeper = true;
        break;
      }
      filesystem.unlink(level.ino, item.name);
    }
    if (deeper) continue;
    filesystem.remove_directory(level.place.directory, level.place.name);
    levels.pop_back();
  }
}

void remove(Filesystem& filesystem, const Options& options) {
  const Place place = place_of(filesystem, options.path);
  const auto ino = lookup(filesystem, place);
  if (!ino) throw RefusalError(Errc::kNotFound, fmt::format("{}: no such file or directory", printable(options.path)));
  if (type_of(filesystem, *ino) != FileType::kDirectory) {
    filesystem.unlink(place.directory, place.name);
  } else if (options.recursive) {
    remove_tree(filesystem, place, *ino);
  } else {
    throw RefusalError(Errc::kIsDirectory, fmt::format("{}: is a directory; -r removes it", printable(options.path)));
  }
}

// A directory that is there takes the old name in.
Place target_of(Filesystem& filesystem, const Options& options, const std::string& old_name) {
  try {
    const InodeNumber there = named(filesystem, options.other, Follow::kYes);
    if (!options.exchange && type_of(filesystem, there) == FileType::kDirectory) {
      return {.directory = there, .name = old_name};
    }
  } catch (const RefusalError& refusal) {
    if (refusal.cause() != Errc::kNotFound) throw;
  }
  return place_of(filesystem, options.other);
}

void move(Filesystem& filesystem, const Options& options) {
  const Place from = place_of(filesystem, options.path);
  const Place to = target_of(filesystem, options, from.name);
  const RenameMode mode = options.exchange     ? RenameMode::kExchange
                          : options.no_replace ? RenameMode::kNoReplace
                                               : RenameMode::kReplace;
  filesystem.rename(from.directory, from.name, to.directory, to.name, mode);
}

void link(Filesystem& filesystem, const Options& options) {
  if (options.symbolic) {
    const Place place = place_of(filesystem, options.other);
    filesystem.make_symlink(place.directory, place.name, options.path, new_file(options));
    return;
  }
  const Place from = place_of(filesystem, options.path);
  const InodeNumber ino = named(filesystem, options.path, Follow::kNo);
  const Place to = target_of(filesystem, options, from.name);
  filesystem.link(ino, to.directory, to.name);
}

void set_attribute(Filesystem& filesystem, const Options& options) {
  const std::size_t dot = options.other.find('.');
  std::optional<AttrNamespace> space;
  for (const AttrNamespace each : {AttrNamespace::kUser, AttrNamespace::kTrusted, AttrNamespace::kSecurity}) {
    if (options.other.substr(0, dot) == to_string(each)) space = each;
  }
  if (!space || dot == std::string::npos) {
    throw RefusalError(
        Errc::kBadArgument,
        fmt::format("{}: the name of an attribute starts with user., trusted. or security.", printable(options.other)));
  }
  const InodeNumber ino = named(filesystem, options.path, Follow::kNo);
  const std::string name = options.other.substr(dot + 1);
  if (options.remove) {
    filesystem.remove_attribute(ino, *space, name);
  } else {
    filesystem.set_attribute(ino, *space, name, std::as_bytes(std::span(options.value)));
  }
}

void allocate(Filesystem& filesystem, const Options& options) {
  const InodeNumber ino = named(filesystem, options.path, Follow::kYes);
  const auto grow = options.keep_size ? FileWriter::Grow::kNo : FileWriter::Grow::kYes;
  if (options.punch) {
    filesystem.punch(ino, options.offset_bytes, options.length_bytes);
  } else if (options.zero) {
    filesystem.zero(ino, options.offset_bytes, options.length_bytes, grow);
  } else if (options.collapse) {
    filesystem.collapse(ino, options.offset_bytes, options.length_bytes);
  } else if (options.insert) {
    filesystem.insert(ino, options.offset_bytes, options.length_bytes);
  } else {
    filesystem.allocate(ino, options.offset_bytes, options.length_bytes, grow);
  }
}

}  // namespace

void edit(Filesystem& filesystem, const Options& options) {
  switch (options.verb) {
    case Verb::kMkdir:
      return make_directories(filesystem, options);
    case Verb::kPut:
      return put(filesystem, options);
    case Verb::kRm:
      return remove(filesystem, options);
    case Verb::kMv:
      return move(filesystem, options);
    case Verb::kLn:
      return link(filesystem, options);
    case Verb::kSetfattr:
      return set_attribute(filesystem, options);
    case Verb::kTruncate:
      return filesystem.truncate(named(filesystem, options.path, Follow::kYes), options.length_bytes);
    case Verb::kFallocate:
      return allocate(filesystem, options);
    default:
      return;
  }
}

}  // namespace xdax::io

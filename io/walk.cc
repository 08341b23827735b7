#include "io/walk.h"

#include <fmt/format.h>

#include <algorithm>

#include "io/output.h"
#include "libfs/base/error.h"

namespace xdax::io {
namespace {

FileType file_type_of(DirFileType type) {
  switch (type) {
    case DirFileType::kRegular:
      return FileType::kRegular;
    case DirFileType::kDirectory:
      return FileType::kDirectory;
    case DirFileType::kCharacterDevice:
      return FileType::kCharacterDevice;
    case DirFileType::kBlockDevice:
      return FileType::kBlockDevice;
    case DirFileType::kFifo:
      return FileType::kFifo;
    case DirFileType::kSocket:
      return FileType::kSocket;
    case DirFileType::kSymlink:
      return FileType::kSymlink;
    default:
      return FileType::kNone;
  }
}

}  // namespace

std::string normal_path(std::string_view path) {
  std::string result;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    if (end > 0) result.append("/").append(path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return result.empty() ? "/" : result;
}

std::string join(std::string_view folder, std::string_view name) {
  return fmt::format("{}/{}", folder == "/" ? std::string_view() : folder, name);
}

FileType type_of(const Volume& volume, const DirItem& item) {
  const FileType stored = file_type_of(item.type);
  return stored != FileType::kNone ? stored : volume.inode(item.ino).type();
}

std::vector<DirItem> sorted_entries(const Volume& volume, InodeNumber folder, Order order) {
  std::vector<DirItem> entries = volume.directory(folder).list();
  if (order == Order::kPath) {
    // What lies in a directory comes behind "name/", which other names may come before.
    for (DirItem& entry : entries) {
      if (type_of(volume, entry) == FileType::kDirectory) entry.name += '/';
    }
  }
  std::sort(entries.begin(), entries.end(), [](const DirItem& l, const DirItem& r) { return l.name < r.name; });
  for (DirItem& entry : entries) {
    if (entry.name.ends_with('/')) entry.name.pop_back();
  }
  return entries;
}

void SeenDirectories::enter(InodeNumber folder, std::string_view path) {
  if (seen_.insert(folder.value()).second) return;
  throw CorruptionError(Errc::kBadStructure, fmt::format("{}: directory inode {} has more than one name; check it with "
                                                         "fsck.xdax -n",
                                                         printable(path), folder.value()));
}

void walk_below(const Volume& volume, InodeNumber folder, const std::string& path, Order order,
                const std::function<void(const WalkItem&)>& visit) {
  struct Frame {
    std::string path;
    std::vector<DirItem> entries;
    std::size_t next = 0;
  };
  SeenDirectories seen;
  seen.enter(folder, path);
  std::vector<Frame> stack;
  stack.push_back({path, sorted_entries(volume, folder, order)});
  while (!stack.empty()) {
    Frame& frame = stack.back();
    if (frame.next == frame.entries.size()) {
      stack.pop_back();
      continue;
    }
    const DirItem& entry = frame.entries[frame.next++];
    const WalkItem item{.path = join(frame.path, entry.name),
                        .entry = entry,
                        .type = type_of(volume, entry),
                        .depth = static_cast<unsigned>(stack.size() - 1)};
    visit(item);
    if (item.type != FileType::kDirectory) continue;
    const InodeNumber below = entry.ino;
    seen.enter(below, item.path);
    std::string below_path = item.path;
    stack.push_back({std::move(below_path), sorted_entries(volume, below, order)});  // `frame` and `entry` end here
  }
}

}  // namespace xdax::io

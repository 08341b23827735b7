// ls and tree.

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "io/verbs.h"
#include "io/walk.h"

namespace xdax::io {
namespace {

std::string size_text(const Inode& inode) {
  if (const auto device = device_number(inode)) return fmt::format("{}, {}", device->major, device->minor);
  return fmt::format("{}", inode.core().size.get());
}

class Listing {
 public:
  Listing(const Volume& volume, const Options& options, Output& out) : volume_(volume), options_(options), out_(out) {}

  void one(const std::string& path, const DirItem& entry) {
    if (options_.json) return as_json(path, entry);
    if (!options_.long_lines) return out_.text(printable(entry.name) + "\n");
    const Inode inode = volume_.inode(entry.ino);
    const InodeCore& core = inode.core();
    std::string line = fmt::format("{} {:>4} {:>6} {:>6} {:>12} {} {}", mode_letters(core), core.nlink.get(),
                                   core.uid.get(), core.gid.get(), size_text(inode),
                                   time_text(core.mtime, core.bigtime()).substr(0, 19), printable(entry.name));
    if (core.type() == FileType::kSymlink) line += " -> " + printable(volume_.symlink(entry.ino));
    out_.text(line + "\n");
  }

 private:
  void as_json(const std::string& path, const DirItem& entry) {
    nlohmann::ordered_json object{{"path", path}, {"name", entry.name}, {"inode", entry.ino.value()}};
    if (!options_.long_lines) {
      object["type"] = type_word(type_of(volume_, entry));
      return out_.json(object);
    }
    const Inode inode = volume_.inode(entry.ino);
    const InodeCore& core = inode.core();
    object["type"] = type_word(core.type());
    object["mode"] = core.mode & 07777;
    object["links"] = core.nlink.get();
    object["uid"] = core.uid.get();
    object["gid"] = core.gid.get();
    object["size"] = core.size.get();
    object["mtime"] = time_text(core.mtime, core.bigtime());
    if (const auto device = device_number(inode)) object["device"] = {device->major, device->minor};
    if (core.type() == FileType::kSymlink) object["target"] = volume_.symlink(entry.ino);
    out_.json(object);
  }

  const Volume& volume_;
  const Options& options_;
  Output& out_;
};

std::string last_name(const std::string& path) { return path == "/" ? path : path.substr(path.rfind('/') + 1); }

}  // namespace

void list(const Volume& volume, const Options& options, Output& out) {
  Listing listing(volume, options, out);
  const std::string path = normal_path(options.path);
  const bool follow = options.path.ends_with('/');
  const InodeNumber start = volume.walk(options.path, follow ? Follow::kYes : Follow::kNo);
  if (!volume.inode(start).is_directory()) {
    return listing.one(path, {.name = last_name(path), .ino = start});
  }
  struct Folder {
    std::string path;
    InodeNumber ino;
  };
  SeenDirectories seen;
  std::vector<Folder> left{{path, start}};
  bool first = true;
  while (!left.empty()) {
    const Folder folder = std::move(left.back());
    left.pop_back();
    seen.enter(folder.ino, folder.path);
    if (options.recursive && !options.json) {
      out.text(fmt::format("{}{}:\n", first ? "" : "\n", printable(folder.path)));
    }
    first = false;
    std::vector<Folder> below;
    for (const DirItem& entry : sorted_entries(volume, folder.ino, Order::kName)) {
      const std::string entry_path = join(folder.path, entry.name);
      listing.one(entry_path, entry);
      if (options.recursive && type_of(volume, entry) == FileType::kDirectory) below.push_back({entry_path, entry.ino});
    }
    std::move(below.rbegin(), below.rend(), std::back_inserter(left));
  }
}

void tree(const Volume& volume, const Options& options, Output& out) {
  const std::string path = normal_path(options.path);
  const InodeNumber start = volume.walk(options.path, Follow::kYes);
  if (!options.json) out.text(printable(path) + "\n");
  std::uint64_t folders = 0;
  std::uint64_t others = 0;
  walk_below(volume, start, path, Order::kName, [&](const WalkItem& item) {
    ++(item.type == FileType::kDirectory ? folders : others);
    const bool link = item.type == FileType::kSymlink;
    if (options.json) {
      nlohmann::ordered_json object{{"path", item.path},
                                    {"inode", item.entry.ino.value()},
                                    {"type", type_word(item.type)},
                                    {"depth", item.depth}};
      if (link) object["target"] = volume.symlink(item.entry.ino);
      return out.json(object);
    }
    std::string line(2 * (std::size_t{item.depth} + 1), ' ');
    line += printable(item.entry.name);
    if (item.type == FileType::kDirectory) line += '/';
    if (link) line += " -> " + printable(volume.symlink(item.entry.ino));
    out.text(line + "\n");
  });
  if (!options.json) out.text(fmt::format("{} directories, {} other files\n", folders, others));
}

}  // namespace xdax::io

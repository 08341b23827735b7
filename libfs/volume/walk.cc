// The way of a path: component by component, links in the middle followed inside the filesystem.

#include <fmt/format.h>

#include <deque>

#include "libfs/base/error.h"
#include "libfs/volume/volume.h"

namespace xdax {
namespace {

// Components in front of those that are left.
void push_components(std::deque<std::string>& left, std::string_view path) {
  std::deque<std::string> parts;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    if (end > 0) parts.emplace_back(path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  left.insert(left.begin(), parts.begin(), parts.end());
}

}  // namespace

InodeNumber Volume::walk(std::string_view path, Follow follow) const {
  const auto refuse = [&](Errc code, std::string_view why) {
    throw RefusalError(code, fmt::format("{}: {}: {}", device_->name(), path, why));
  };
  if (path.size() >= limits::kMaxPathBytes) refuse(Errc::kBadArgument, "the path is too long");
  std::deque<std::string> left;
  push_components(left, path);
  // A slash behind the last name asks for a directory, and so for what a link leads to.
  const bool wants_directory = path.ends_with('/');
  InodeNumber at = root();
  unsigned links = 0;
  while (!left.empty()) {
    const std::string name = std::move(left.front());
    left.pop_front();
    const Inode here = inode(at);
    if (!here.is_directory()) refuse(Errc::kBadArgument, "a part of it is not a directory");
    if (name == ".") continue;
    const auto entry = Directory(reader(), here).lookup(name);
    if (!entry) refuse(Errc::kNotFound, "no such file or directory");
    const Inode found = inode(entry->ino);
    const bool followed = !left.empty() || follow == Follow::kYes || wants_directory;
    if (found.type() != FileType::kSymlink || !followed) {
      at = entry->ino;
      continue;
    }
    if (++links > limits::kMaxLinksOfPath) refuse(Errc::kBadArgument, "too many symbolic links");
    const std::string target = read_symlink(reader(), found);
    if (target.starts_with('/')) at = root();
    push_components(left, target);
  }
  if (wants_directory && !inode(at).is_directory()) refuse(Errc::kBadArgument, "is not a directory");
  return at;
}

}  // namespace xdax

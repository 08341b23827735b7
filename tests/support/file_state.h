// What a filesystem holds, as text: to compare two, or one with itself later.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "libfs/volume/volume.h"

namespace xdax::test {

inline std::string short_text(std::string_view bytes) {
  const bool plain = bytes.size() <= 16 && std::all_of(bytes.begin(), bytes.end(), [](char c) { return c > 31; });
  return plain ? std::string(bytes) : fmt::format("{}:{:x}", bytes.size(), std::hash<std::string_view>()(bytes));
}

inline std::string content_of(const Volume& volume, InodeNumber ino) {
  FileReader reader = volume.file(ino);
  std::string bytes(reader.size_bytes(), '\0');
  bytes.resize(reader.read(0, std::as_writable_bytes(std::span(bytes))));
  return bytes;
}

/// Size, marks, content, attributes and parent pointers of an inode, a line.
inline std::string state_of(const Volume& volume, InodeNumber ino) {
  const Inode inode = volume.inode(ino);
  std::string text = fmt::format("{:o}*{} {}{}", inode.core().mode.get(), inode.core().nlink.get(),
                                 inode.type() == FileType::kDirectory ? 0 : inode.core().size.get(),
                                 inode.core().reflink() ? " shares" : "");
  if (inode.type() == FileType::kRegular) text += " " + short_text(content_of(volume, ino));
  std::vector<std::string> attributes;
  for (const Attribute& each : volume.attributes(ino).list()) {
    const auto value = *volume.attributes(ino).get(each.space, each.name);
    attributes.push_back(fmt::format(" {}={}", short_text(each.full_name()),
                                     short_text({reinterpret_cast<const char*>(value.data()), value.size()})));
  }
  for (const ParentEntry& each : volume.attributes(ino).parents()) {
    attributes.push_back(fmt::format(" <{}.{}/{}", each.parent.value(), each.generation, short_text(each.name)));
  }
  std::sort(attributes.begin(), attributes.end());
  for (const std::string& each : attributes) text += each;
  return text + "\n";
}

/// The same of everything below a directory.
inline std::string states_below(const Volume& volume, InodeNumber directory, const std::string& path = "") {
  std::string text = fmt::format("{}/ {}", path, state_of(volume, directory));
  std::vector<DirItem> items = volume.directory(directory).list();
  std::sort(items.begin(), items.end(), [](const DirItem& a, const DirItem& b) { return a.name < b.name; });
  for (const DirItem& item : items) {
    const std::string below = path + "/" + short_text(item.name);
    text += volume.inode(item.ino).type() == FileType::kDirectory
                ? states_below(volume, item.ino, below)
                : fmt::format("{} {} {}", below, item.ino.value(), state_of(volume, item.ino));
  }
  return text;
}

inline std::string states_of(Device& device) {
  const Volume volume = Volume::open(device, {});
  return states_below(volume, volume.root());
}

}  // namespace xdax::test

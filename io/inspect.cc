// stat, extents and xattr.

#include <fmt/format.h>

#include "io/verbs.h"
#include "io/walk.h"
#include "libfs/base/error.h"

namespace xdax::io {
namespace {

InodeNumber named(const Volume& volume, const Options& options) {
  return volume.walk(options.path, options.follow ? Follow::kYes : Follow::kNo);
}

const char* format_word(ForkFormat format) {
  switch (format) {
    case ForkFormat::kDev:
      return "device";
    case ForkFormat::kLocal:
      return "local";
    case ForkFormat::kExtents:
      return "extents";
    case ForkFormat::kBtree:
      return "btree";
    default:
      return "unknown";
  }
}

std::string value_text(const nlohmann::ordered_json& value) {
  return value.is_string() ? printable(value.get<std::string>()) : value.dump();
}

std::string hex(ByteSpan bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += fmt::format("{:02x}", static_cast<unsigned>(byte));
  return text;
}

}  // namespace

void show_inode(const Volume& volume, const Options& options, Output& out) {
  const InodeNumber ino = named(volume, options);
  const Inode inode = volume.inode(ino);
  const InodeCore& core = inode.core();
  const Geometry& geometry = volume.geometry();
  const bool big = core.bigtime();
  nlohmann::ordered_json object{
      {"path", normal_path(options.path)},
      {"inode", ino.value()},
      {"byte", geometry.byte_of(ino)},
      {"type", type_word(core.type())},
      {"mode", fmt::format("{:04o}", core.mode & 07777)},
      {"links", core.nlink.get()},
      {"uid", core.uid.get()},
      {"gid", core.gid.get()},
      {"project", core.projid()},
      {"size", core.size.get()},
      {"blocks", core.nblocks.get()},
      {"block_bytes", geometry.block_bytes},
      {"atime", time_text(core.atime, big)},
      {"mtime", time_text(core.mtime, big)},
      {"ctime", time_text(core.ctime, big)},
      {"crtime", time_text(core.crtime, big)},
      {"generation", core.gen.get()},
      {"changes", core.changecount.get()},
      {"flags", fmt::format("{:#x}", core.flags.get())},
      {"flags2", fmt::format("{:#x}", core.flags2.get())},
      {"extent_size", core.extsize.get()},
      {"data_format", format_word(fork_format(core, Fork::kData))},
      {"data_extents", data_extent_count(core)},
  };
  if (core.forkoff != 0) {
    object["attr_format"] = format_word(fork_format(core, Fork::kAttr));
    object["attr_extents"] = attr_extent_count(core);
  }
  if (const auto device = device_number(inode)) object["device"] = {device->major, device->minor};
  if (core.type() == FileType::kSymlink) object["target"] = volume.symlink(ino);
  if (core.type() == FileType::kDirectory) object["directory_form"] = to_string(volume.directory(ino).form());
  if (options.json) return out.json(object);
  for (const auto& [key, value] : object.items()) out.text(fmt::format("{}: {}\n", key, value_text(value)));
}

void show_extents(const Volume& volume, const Options& options, Output& out) {
  const InodeNumber ino = named(volume, options);
  const Geometry& geometry = volume.geometry();
  ExtentMap map = volume.extents(ino, options.attr_fork ? Fork::kAttr : Fork::kData);
  if (!options.json) out.text("file_block blocks group block byte state\n");
  FileBlock from;
  while (const auto extent = map.next(from)) {
    from = extent->file_block + extent->length_blocks;
    const std::uint32_t group = geometry.ag_of(extent->start).value();
    const std::uint32_t block = geometry.ag_block_of(extent->start).value();
    const std::uint64_t byte = geometry.byte_of(extent->start);
    if (options.json) {
      out.json({{"file_block", extent->file_block.value()},
                {"blocks", extent->length_blocks},
                {"group", group},
                {"block", block},
                {"byte", byte},
                {"unwritten", extent->unwritten}});
    } else {
      out.text(fmt::format("{} {} {} {} {} {}\n", extent->file_block.value(), extent->length_blocks, group, block, byte,
                           extent->unwritten ? "unwritten" : "written"));
    }
  }
}

namespace {

void show_value(const Volume& volume, InodeNumber ino, const Options& options, Output& out) {
  const std::string& full = options.attribute;
  const std::size_t dot = full.find('.');
  std::optional<AttrNamespace> space;
  for (const AttrNamespace each : {AttrNamespace::kUser, AttrNamespace::kTrusted, AttrNamespace::kSecurity}) {
    if (full.substr(0, dot) == to_string(each)) space = each;
  }
  if (!space || dot == std::string::npos) {
    throw RefusalError(Errc::kBadArgument, fmt::format("{}: the name of an attribute starts with user., trusted. or "
                                                       "security.",
                                                       printable(full)));
  }
  const auto value = volume.attributes(ino).get(*space, full.substr(dot + 1));
  if (!value) {
    throw RefusalError(Errc::kNotFound,
                       fmt::format("{}: {}: no such attribute", printable(normal_path(options.path)), printable(full)));
  }
  if (options.json) return out.json({{"name", full}, {"bytes", value->size()}, {"value_hex", hex(*value)}});
  out.bytes(*value);
}

}  // namespace

void show_attributes(const Volume& volume, const Options& options, Output& out) {
  const InodeNumber ino = named(volume, options);
  if (!options.attribute.empty()) return show_value(volume, ino, options, out);
  Attributes attributes = volume.attributes(ino);
  for (const Attribute& each : attributes.list()) {
    if (options.json) {
      out.json({{"name", each.full_name()}, {"bytes", each.value_bytes}});
    } else {
      out.text(fmt::format("{} {}\n", each.value_bytes, printable(each.full_name())));
    }
  }
  for (const ParentEntry& each : attributes.parents()) {
    if (options.json) {
      out.json({{"parent", each.parent.value()}, {"generation", each.generation}, {"entry", each.name}});
    } else {
      out.text(fmt::format("parent {} {} {}\n", each.parent.value(), each.generation, printable(each.name)));
    }
  }
}

}  // namespace xdax::io

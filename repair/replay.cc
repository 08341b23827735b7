#include "repair/replay.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "libfs/base/error.h"
#include "libfs/device/overlay_device.h"
#include "libfs/volume/volume.h"

namespace xdax::repair {
namespace {

constexpr std::uint64_t kCopyBytes = 1u << 20;

struct Bytes {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

Bytes log_of(const Geometry& geometry) {
  const std::uint64_t begin = geometry.byte_of(geometry.log_start);
  return {.begin = begin, .end = begin + (std::uint64_t{geometry.log_blocks} << geometry.block_log)};
}

// Writes what of [begin, end) differs from the base.
void copy_changes(OverlayDevice& overlay, Device& device, Bytes part) {
  std::vector<std::byte> buffer;
  for (const ChangedRange& range : overlay.changed_ranges()) {
    std::uint64_t at = std::max(range.offset_bytes, part.begin);
    const std::uint64_t end = std::min(range.offset_bytes + range.length_bytes, part.end);
    while (at < end) {
      buffer.resize(static_cast<std::size_t>(std::min(kCopyBytes, end - at)));
      overlay.read(at, buffer);
      device.write(at, buffer);
      at += buffer.size();
    }
  }
}

void write_outside_log(OverlayDevice& overlay, Device& device, const Geometry& geometry) {
  const Bytes log = log_of(geometry);
  copy_changes(overlay, device, {0, log.begin});
  copy_changes(overlay, device, {log.end, device.size_bytes()});
  device.persist();
}

void write_changes(OverlayDevice& overlay, Device& device, const Geometry& geometry) {
  write_outside_log(overlay, device, geometry);
  copy_changes(overlay, device, log_of(geometry));
  device.persist();
}

// What was rehearsed, again: nothing in it depends on time or chance.
void replay_and_finish(Device& device, const Geometry& geometry) {
  RecoveryReport report;
  {
    OverlayDevice overlay(device);
    report = replay_log(overlay, geometry);
    write_outside_log(overlay, device, geometry);
  }
  finish_log(device, geometry, report);
}

// Paths of some inodes, found by walking the tree; a directory that cannot be read costs what is below it.
std::vector<TouchedFile> named(Device& device, const std::vector<InodeNumber>& inodes) {
  std::unordered_map<std::uint64_t, std::string> paths;
  for (const InodeNumber ino : inodes) paths.emplace(ino.value(), "");
  const Volume volume = Volume::open(device, {.ignore_log = true});
  if (const auto root = paths.find(volume.root().value()); root != paths.end()) root->second = "/";
  std::vector<std::pair<InodeNumber, std::string>> folders = {{volume.root(), ""}};
  std::unordered_set<std::uint64_t> seen = {volume.root().value()};
  while (!folders.empty()) {
    const auto [folder, path] = std::move(folders.back());
    folders.pop_back();
    try {
      for (const DirItem& item : volume.directory(folder).list()) {
        if (const auto found = paths.find(item.ino.value()); found != paths.end() && found->second.empty()) {
          found->second = path + "/" + item.name;
        }
        const bool known = item.type != DirFileType::kUnknown;
        const bool directory =
            known ? item.type == DirFileType::kDirectory : volume.inode(item.ino).type() == FileType::kDirectory;
        if (directory && seen.insert(item.ino.value()).second) folders.emplace_back(item.ino, path + "/" + item.name);
      }
    } catch (const CorruptionError&) {
      continue;  // the check says what is wrong with it
    }
  }
  std::vector<TouchedFile> files;
  for (const InodeNumber ino : inodes) files.push_back({ino, paths.at(ino.value())});
  return files;
}

}  // namespace

ReplayOutcome replay(Device& device, const ReplayOptions& options) {
  const Geometry geometry = open_geometry_to_write(device);
  OverlayDevice overlay(device);
  ReplayOutcome outcome{.recovery = recover(overlay, geometry), .files = {}, .check = {}};
  if (outcome.was_clean()) return outcome;
  for (const ChangedRange& range : overlay.changed_ranges()) outcome.changed_bytes += range.length_bytes;
  if (options.name_files) outcome.files = named(overlay, outcome.recovery.inodes);
  if (!outcome.recovery.complete()) return outcome;
  outcome.check = fsck::check_filesystem(overlay, {.threads = options.threads});
  if (!options.write || !outcome.sound()) return outcome;
  if (outcome.recovery.finished) {
    replay_and_finish(device, geometry);
  } else {
    write_changes(overlay, device, geometry);
  }
  outcome.written = true;
  return outcome;
}

}  // namespace xdax::repair

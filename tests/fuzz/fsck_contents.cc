// Hostile files (hostile_file.h), given to the checks of directories, attributes, symbolic links and quota records,
// which bits 2-3 of the first byte choose from.
//
// Whatever the bytes, the checks must end, and what they hand on must be what they promise.
#include "fsck/contents.h"
#include "fsck/finding.h"
#include "fsck/fork_walk.h"
#include "libfs/format/da_hash.h"
#include "tests/fuzz/hostile_file.h"

namespace {

using namespace xdax;

class Entries final : public fsck::DirectorySink {
 public:
  explicit Entries(const Geometry& geometry) : geometry_(geometry) {}
  void entry(const DirEntry& entry) override {
    fuzz::require(geometry_.valid_inode(entry.ino));
    hash ^= name_hash(entry.name);
  }
  void parent(InodeNumber ino) override { fuzz::require(geometry_.valid_inode(ino)); }
  std::uint32_t hash = 0;

 private:
  const Geometry& geometry_;
};

class Pointers final : public fsck::AttributeSink {
 public:
  void parent_pointer(const AttrEntry& entry) override { fuzz::require(entry.value.size() == sizeof(ParentPointer)); }
};

fsck::ForkMap map_of(fsck::FileView& file, Fork fork) {
  fsck::ForkMap map;
  fsck::MapKeeper keeper(map);
  map.intact = fsck::ForkWalk(file, fork, keeper).run().intact;
  FileBlock next;
  for (const Extent& extent : map.extents) {
    fuzz::require(extent.length_blocks > 0 && extent.file_block >= next);
    fuzz::require(file.geometry.valid_extent(extent.start, extent.length_blocks));
    next = extent.file_block + extent.length_blocks;
  }
  return map;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Geometry geometry = fuzz::geometry_of(0);
  fuzz::HostileFile hostile = fuzz::hostile_file(geometry, data, size);
  if (!hostile.device) return 0;
  fsck::FindingList findings;
  fsck::FileView file(*hostile.device, geometry, findings);
  file.log_head = 0x100000000ull;
  file.seed = 1;
  file.ino = hostile.ino;
  file.inode = hostile.inode;
  const fsck::ForkMap content_map = map_of(file, Fork::kData);
  const fsck::ForkMap attr_map = map_of(file, Fork::kAttr);
  Entries entries(geometry);
  Pointers pointers;
  switch (hostile.choice >> 2 & 3) {
    case 0:
      static_cast<void>(check_directory(file, content_map, entries));
      break;
    case 1:
      if (file.core().forkoff != 0) static_cast<void>(check_attributes(file, attr_map, pointers));
      break;
    case 2:
      static_cast<void>(check_symlink(file, content_map));
      break;
    default:
      static_cast<void>(check_quota_records(file, content_map, DquotType::kUser));
      break;
  }
  for (const fsck::Finding& finding : findings.findings()) fuzz::require(*finding.structure != '\0');
  return 0;
}

// Hostile files (hostile_file.h), read by the library: extents, bytes, names, attributes, the target of a link.
//
// Whatever the bytes, every call ends in an answer or an Error, and an answer is what the call promises.
#include <string>

#include "libfs/attr/attributes.h"
#include "libfs/base/error.h"
#include "libfs/dir/directory.h"
#include "libfs/file/file_reader.h"
#include "tests/fuzz/hostile_file.h"

namespace {

using namespace xdax;

constexpr unsigned kMostSteps = 2000;

// An index may be damaged where what it leads to is not.
template <class Read>
void attempt(Read read) {
  try {
    read();
  } catch (const Error& error) {
    fuzz::require(*error.what() != '\0');
  }
}

void read_extents(const MetadataReader& reader, const Inode& inode, Fork fork) {
  ExtentMap map(reader, inode, fork);
  FileBlock next;
  for (unsigned i = 0; i < kMostSteps; ++i) {
    const auto extent = map.next(next);
    if (!extent) break;
    fuzz::require(extent->length_blocks > 0 && extent->file_block + extent->length_blocks > next);
    fuzz::require(i == 0 || extent->file_block >= next);
    fuzz::require(reader.geometry().valid_extent(extent->start, extent->length_blocks));
    const auto same = ExtentMap(reader, inode, fork).find(extent->file_block);
    fuzz::require(same && same->start == extent->start && same->length_blocks == extent->length_blocks);
    next = extent->file_block + extent->length_blocks;
  }
  static_cast<void>(map.end());
}

void read_directory(const MetadataReader& reader, const Inode& inode) {
  Directory directory(reader, inode);
  std::uint64_t cookie = 0;
  for (unsigned i = 0; i < kMostSteps; ++i) {
    const Directory::Batch batch = directory.read(cookie);
    for (const DirItem& item : batch.items) {
      fuzz::require(!item.name.empty() && item.name.size() < 256 && item.cookie >= cookie);
      fuzz::require(reader.geometry().valid_inode(item.ino));
      cookie = item.cookie + 1;
    }
    if (batch.end) break;
    fuzz::require(batch.next >= cookie);
    cookie = batch.next;
  }
  const std::vector<DirItem> items = directory.list();
  for (std::size_t i = 0; i < items.size() && i < 20; ++i) {
    attempt([&] {
      const auto found = directory.lookup(items[i].name);
      fuzz::require(!found || found->name.size() == items[i].name.size());
    });
  }
  static_cast<void>(directory.lookup(".."));
  static_cast<void>(directory.lookup("no such name"));
}

void read_attributes(const MetadataReader& reader, const Inode& inode) {
  Attributes attributes(reader, inode);
  const std::vector<Attribute> all = attributes.list();
  for (std::size_t i = 0; i < all.size() && i < 20; ++i) {
    fuzz::require(!all[i].name.empty() && all[i].name.size() < 256 && all[i].value_bytes <= 65536);
    attempt([&] {
      const auto value = attributes.get(all[i].space, all[i].name);
      fuzz::require(!value || value->size() <= 65536);
    });
  }
  static_cast<void>(attributes.get(AttrNamespace::kUser, "no such name"));
  static_cast<void>(attributes.parents());
}

void read_file(const MetadataReader& reader, const Inode& inode) {
  FileReader file(reader, inode);
  std::vector<std::byte> buffer(70000);
  std::uint64_t at = 0;
  for (unsigned i = 0; i < 64 && at < file.size_bytes(); ++i) {
    const std::uint64_t data = file.next_data(at);
    fuzz::require(data >= at && data <= file.size_bytes());
    const std::size_t count = file.read(data, buffer);
    fuzz::require(count == std::min<std::uint64_t>(buffer.size(), file.size_bytes() - data));
    at = data + count;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Geometry geometry = fuzz::geometry_of(0);
  const fuzz::HostileFile hostile = fuzz::hostile_file(geometry, data, size);
  if (!hostile.device) return 0;
  const MetadataReader reader(*hostile.device, geometry);
  attempt([&] {
    const Inode inode = InodeReader(reader).read(hostile.ino);
    attempt([&] { read_extents(reader, inode, Fork::kData); });
    attempt([&] { read_extents(reader, inode, Fork::kAttr); });
    attempt([&] { read_attributes(reader, inode); });
    switch (inode.type()) {
      case FileType::kDirectory:
        attempt([&] { read_directory(reader, inode); });
        break;
      case FileType::kRegular:
        attempt([&] { read_file(reader, inode); });
        break;
      case FileType::kSymlink:
        attempt([&] { fuzz::require(read_symlink(reader, inode).size() <= limits::kMaxSymlinkBytes); });
        break;
      default:
        break;
    }
  });
  return 0;
}

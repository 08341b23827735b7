// Fuzz target: a filesystem with bytes of the input's choice changed in its metadata, opened for writing and changed.
//
// The input is a list of patches: two bytes that choose a block of metadata, two of an offset inside it, one with the
// length in its low bits and whether checksums are put right in its highest, and that many bytes. Whatever they are,
// every operation ends, in success or in an Error. An empty input changes the untouched base, where all succeed.
#include <array>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "libfs/base/crc32c.h"
#include "libfs/base/error.h"
#include "libfs/device/overlay_device.h"
#include "libfs/format/block_stamp.h"
#include "libfs/format/inode.h"
#include "libfs/volume/filesystem.h"
#include "tests/fuzz/formatted.h"
#include "tests/fuzz/fuzz_geometry.h"

namespace {

using namespace xdax;

ByteSpan bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

struct Base : fuzz::Formatted {
  Base() : Formatted(64ull << 20, 2) {
    const auto filesystem = Filesystem::open(device, options());
    const InodeNumber root = filesystem->root();
    for (const int names : {3, 40, 900, 3000}) {
      const InodeNumber folder = filesystem->make_directory(root, "folder" + std::to_string(names), {.mode = 0755});
      const InodeNumber file = filesystem->create(folder, "file", {});
      for (int i = 0; i < names; ++i) filesystem->link(file, folder, "name number " + std::to_string(i));
    }
    for (const int extents : {3, 400}) {
      const InodeNumber file = filesystem->create(root, "extents" + std::to_string(extents), {});
      for (int i = 0; i < extents; ++i) filesystem->write(file, std::uint64_t(i) * 8192, bytes_of("x"));
      filesystem->allocate(file, 0, 20'000, FileWriter::Grow::kNo);
      const InodeNumber clone = filesystem->create(root, "clone" + std::to_string(extents), {});
      filesystem->share({.ino = file}, {.ino = clone}, 0);
    }
    for (const int count : {2, 40, 700}) {
      const InodeNumber file = filesystem->create(root, "attributes" + std::to_string(count), {});
      for (int i = 0; i < count; ++i) {
        filesystem->set_attribute(file, AttrNamespace::kUser, "attribute " + std::to_string(i),
                                  bytes_of(std::string(i == 1 ? 9000 : 40, 'v')));
      }
    }
    filesystem->make_symlink(root, "link", std::string(900, 't'), {});
    filesystem->close();
    for (std::uint64_t at = 0; at < device.size_bytes(); at += geometry.block_bytes) {
      // The headers of a group share its first block.
      const bool headers = at % (std::uint64_t{geometry.ag_blocks} << geometry.block_log) == 0;
      const std::size_t step = headers ? geometry.sector_bytes : geometry.block_bytes;
      for (std::size_t part = 0; part < geometry.block_bytes; part += step) {
        const ByteSpan block = ByteSpan(device.bytes()).subspan(at + part, step);
        if (stamp_of(block) || is_inodes(block)) places.push_back({.byte = at + part, .length_bytes = step});
      }
    }
  }

  static FilesystemOptions options() {
    return {.clock = [] { return Timestamp{.seconds = 1'700'000'000, .nanoseconds = 1}; },
            .generation = [next = 0u]() mutable { return ++next; }};
  }
  static bool is_inodes(ByteSpan block) { return view<InodeCore>(block).magic == InodeCore::kMagic; }

  struct Place {
    std::uint64_t byte = 0;
    std::size_t length_bytes = 0;
  };
  std::vector<Place> places;
};

void seal_all(MutableByteSpan block, const Geometry& geometry) {
  if (const auto stamp = stamp_of(block)) {
    stamp->set(block, stamp->lsn(block));
  } else if (Base::is_inodes(block)) {
    for (std::size_t at = 0; at < block.size(); at += geometry.inode_bytes) {
      seal(block.subspan(at, geometry.inode_bytes), offsetof(InodeCore, crc));
    }
  }
}

void patch(Device& device, const Base& base, std::span<const std::uint8_t> input) {
  constexpr std::size_t kHead = 5;
  while (input.size() >= kHead) {
    const auto& place = base.places[(std::size_t{input[0]} << 8 | input[1]) % base.places.size()];
    const std::size_t offset = (std::size_t{input[2]} << 8 | input[3]) % place.length_bytes;
    const std::size_t length =
        std::min({std::size_t{input[4]} & 0x7f, input.size() - kHead, place.length_bytes - offset});
    std::vector<std::byte> bytes(place.length_bytes);
    device.read(place.byte, bytes);
    std::memcpy(bytes.data() + offset, input.data() + kHead, length);
    if ((input[4] & 0x80) == 0) seal_all(bytes, base.geometry);
    device.write(place.byte, bytes);
    input = input.subspan(kHead + length);
  }
}

InodeNumber at(Filesystem& f, const char* path) {
  return f.read([&](const Volume& volume) { return volume.walk(path, Follow::kNo); });
}

using Operation = std::function<void(Filesystem&)>;

const Operation kOperations[] = {
    [](Filesystem& f) { f.create(f.root(), "fresh", {}); },
    [](Filesystem& f) { f.create(at(f, "/folder40"), "fresh", {}); },
    [](Filesystem& f) { f.create(at(f, "/folder900"), "fresh", {}); },
    [](Filesystem& f) { f.make_directory(at(f, "/folder3000"), "fresh", {.mode = 0755}); },
    [](Filesystem& f) { f.make_symlink(at(f, "/folder3"), "fresh", std::string(1000, 's'), {}); },
    [](Filesystem& f) { f.unlink(at(f, "/folder40"), "name number 7"); },
    [](Filesystem& f) { f.unlink(at(f, "/folder900"), "name number 77"); },
    [](Filesystem& f) { f.unlink(at(f, "/folder3000"), "name number 777"); },
    [](Filesystem& f) {
      f.rename(at(f, "/folder3000"), "name number 1", at(f, "/folder3"), "moved", RenameMode::kReplace);
    },
    [](Filesystem& f) { f.rename(f.root(), "folder3", at(f, "/folder40"), "below", RenameMode::kReplace); },
    [](Filesystem& f) { f.write(at(f, "/extents3"), 4096, bytes_of(std::string(9000, 'w'))); },
    [](Filesystem& f) { f.write(at(f, "/extents400"), 100'000, bytes_of(std::string(50'000, 'w'))); },
    [](Filesystem& f) { f.write(at(f, "/clone400"), 10, bytes_of(std::string(40'000, 'w'))); },
    [](Filesystem& f) { f.punch(at(f, "/extents400"), 50'000, 400'000); },
    [](Filesystem& f) { f.collapse(at(f, "/clone400"), 8192, 65536); },
    [](Filesystem& f) { f.insert(at(f, "/extents3"), 4096, 8192); },
    [](Filesystem& f) { f.share({.ino = at(f, "/extents400")}, {.ino = at(f, "/clone3")}, 1u << 20); },
    [](Filesystem& f) { f.exchange({.ino = at(f, "/extents400")}, {.ino = at(f, "/clone400")}, 1u << 20); },
    [](Filesystem& f) { f.sync(); },
    [](Filesystem& f) { f.set_attribute(at(f, "/attributes2"), AttrNamespace::kUser, "fresh", bytes_of("value")); },
    [](Filesystem& f) { f.set_attribute(at(f, "/attributes40"), AttrNamespace::kUser, "fresh", bytes_of("value")); },
    [](Filesystem& f) {
      f.set_attribute(at(f, "/attributes700"), AttrNamespace::kUser, "fresh", bytes_of(std::string(5000, 'f')));
    },
    [](Filesystem& f) { f.remove_attribute(at(f, "/attributes700"), AttrNamespace::kUser, "attribute 1"); },
    [](Filesystem& f) { f.unlink(f.root(), "attributes40"); },
    [](Filesystem& f) { f.truncate(at(f, "/clone400"), 10'000); },
    [](Filesystem& f) { f.unlink(f.root(), "extents400"); },
    [](Filesystem& f) { f.unlink(f.root(), "link"); },
    [](Filesystem& f) { f.remove_directory(f.root(), "folder900"); },
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Base base;
  OverlayDevice overlay(const_cast<MemoryDevice&>(base.device));
  patch(overlay, base, {data, size});
  std::size_t refused = 0;
  try {
    const auto filesystem = Filesystem::open(overlay, Base::options());
    for (const Operation& operation : kOperations) {
      try {
        operation(*filesystem);
      } catch (const Error& error) {
        fuzz::require(*error.what() != '\0');
        ++refused;
      }
    }
    filesystem->close();
  } catch (const Error& error) {
    fuzz::require(*error.what() != '\0');
    ++refused;
  }
  // A directory that is not empty is refused.
  fuzz::require(size > 0 || refused == 1);
  return 0;
}

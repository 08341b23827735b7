// The example of libfs/API.md: makes a file in an image, reads it back, and closes the filesystem. Argument: an image
// that mkfs.xdax made; without one, only what needs none.

#include <libfs/base/crc32c.h>
#include <libfs/base/uuid.h>
#include <libfs/device/device.h>
#include <libfs/volume/filesystem.h>

#include <cstdio>
#include <span>
#include <string>
#include <string_view>

namespace {

void write_and_read_back(const char* image) {
  const auto device = xdax::open_device(image, {.mode = xdax::OpenMode::kReadWrite});
  const auto filesystem = xdax::Filesystem::open(*device, {});
  const auto folder = filesystem->make_directory(filesystem->root(), "folder", {.mode = 0755});
  const auto file = filesystem->create(folder, "hello", {.mode = 0644, .uid = 1000, .gid = 1000});
  constexpr std::string_view kText = "hello from libfs\n";
  filesystem->write(file, 0, std::as_bytes(std::span(kText)));
  filesystem->sync();
  const auto found =
      filesystem->read([](const xdax::Volume& volume) { return volume.walk("/folder/hello", xdax::Follow::kNo); });
  std::string text(kText.size() + 10, '\0');
  text.resize(filesystem->read(found, 0, std::as_writable_bytes(std::span(text))));
  std::printf("%s", text.c_str());
  if (text != kText) throw xdax::CorruptionError(xdax::Errc::kBadStructure, "the file reads otherwise");
  filesystem->close();
}

}  // namespace

int main(int argc, char** argv) {
  constexpr std::string_view kDigits = "123456789";
  const std::uint32_t checksum = ~xdax::crc32c_update(~0u, std::as_bytes(std::span(kDigits)));
  if (checksum != 0xe3069283u || xdax::Uuid::random().is_nil()) return 1;
  try {
    (void)xdax::open_device("/xdax/no/such/device", {});
    return 1;
  } catch (const xdax::RefusalError& error) {
    std::printf("refused as it should be: %s\n", error.what());
  }
  if (argc < 2) return 0;
  try {
    write_and_read_back(argv[1]);
  } catch (const xdax::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}

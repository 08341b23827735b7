// Uses something of every installed layer that a program would start with: a checksum, and a device that is not there.

#include <libfs/base/crc32c.h>
#include <libfs/base/uuid.h>
#include <libfs/device/device.h>

#include <cstdio>
#include <span>
#include <string_view>

int main() {
  constexpr std::string_view kDigits = "123456789";
  const std::uint32_t checksum = ~xdax::crc32c_update(~0u, std::as_bytes(std::span(kDigits)));
  if (checksum != 0xe3069283u || xdax::Uuid::random().is_nil()) return 1;
  try {
    (void)xdax::open_device("/xdax/no/such/device", {});
  } catch (const xdax::RefusalError& error) {
    std::printf("refused as it should be: %s\n", error.what());
    return 0;
  }
  return 1;
}

// A device in memory: images for tests and for building a filesystem before it goes anywhere.
//
// The bytes are anonymous pages that cost nothing until they are written, so a device may be far larger than memory.
// persist() has nothing to do: there is no medium behind it. Thread-safe for non-overlapping ranges.
#pragma once

#include <memory>
#include <string>

#include "libfs/device/aligned_buffer.h"
#include "libfs/device/device.h"

namespace xdax {

struct MemoryOptions {
  std::uint64_t size_bytes = 0;
  /// A power of two from 512 to 65536.
  std::uint32_t sector_bytes = 512;
  bool read_only = false;
  std::string name = "memory";
};

class MemoryDevice final : public Device {
 public:
  /// A device that reads as zeros. Throws std::bad_alloc when the address space has no room for it.
  explicit MemoryDevice(MemoryOptions options);

  /// A writable device of `content.size()` bytes that holds a copy of `content`.
  [[nodiscard]] static std::unique_ptr<MemoryDevice> copy_of(ByteSpan content, std::uint32_t sector_bytes = 512);

  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] std::uint64_t size_bytes() const override { return memory_.bytes().size(); }
  [[nodiscard]] const DeviceTraits& traits() const override { return traits_; }

  void read_batch(std::span<ReadRequest> requests) override;
  void write_batch(std::span<WriteRequest> requests) override;
  /// Gives whole pages back to the system, unless kAllocated.
  void zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, ZeroMode mode) override;
  /// Gives whole pages back; the range reads as zeros.
  bool discard(std::uint64_t offset_bytes, std::uint64_t length_bytes) override;
  void persist() override {}
  [[nodiscard]] std::optional<ByteSpan> mapped(std::uint64_t offset_bytes, std::uint64_t length_bytes) const override;

  /// All bytes, for tests that look at or damage the image.
  [[nodiscard]] MutableByteSpan bytes() { return memory_.bytes(); }

 private:
  void clear(std::uint64_t offset_bytes, std::uint64_t length_bytes, bool give_back);

  AlignedBuffer memory_;
  DeviceTraits traits_;
  std::string name_;
};

}  // namespace xdax

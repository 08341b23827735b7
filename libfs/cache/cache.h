// Verified metadata in memory: the current version of every block that was changed and is not home yet, and of some
// that were only read.
//
// A version is immutable; changing a block means to publish another one, so that whoever holds a version may go on
// looking at it. Versions come from a commit (libfs/journal) and carry a right checksum, which is why everything that
// reads through view() sees the filesystem as it is now, with the same verifiers as on disk. Blocks never overlap: one
// that is given up leaves the cache before another may lie there.
//
// Thread-safe. Readers hold the lock shared while they look, a commit exclusively while it swaps pointers.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "libfs/base/mutex.h"
#include "libfs/device/device.h"
#include "libfs/format/geometry.h"
#include "libfs/format/metadata_block.h"

namespace xdax {

using Version = std::shared_ptr<const std::vector<std::byte>>;

/// Where a block of metadata lies.
struct BlockPlace {
  std::uint64_t byte = 0;
  std::uint32_t length_bytes = 0;
  auto operator<=>(const BlockPlace&) const = default;
};

/// One block for publish().
struct PublishedBlock {
  BlockPlace place;
  MetadataIdentity identity;
  Version version;    ///< null: given up
  bool home = false;  ///< it is on the device already
};

class Cache;

/// The device with the current versions laid over it. Read-only.
class CacheView final : public Device {
 public:
  explicit CacheView(Cache& cache) : cache_(cache) {}
  [[nodiscard]] const std::string& name() const override;
  [[nodiscard]] std::uint64_t size_bytes() const override;
  [[nodiscard]] const DeviceTraits& traits() const override;
  void read_batch(std::span<ReadRequest> requests) override;
  void write_batch(std::span<WriteRequest> requests) override;
  void zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, ZeroMode mode) override;
  bool discard(std::uint64_t offset_bytes, std::uint64_t length_bytes) override;
  void persist() override {}

 private:
  Cache& cache_;
};

class Cache {
 public:
  /// Clean blocks are dropped when more bytes than this are held.
  static constexpr std::uint64_t kCleanBytes = 64u << 20;

  /// Both must outlive it.
  Cache(Device& device, const Geometry& geometry) : device_(device), geometry_(geometry), view_(*this) {}

  [[nodiscard]] Device& device() { return device_; }
  [[nodiscard]] Device& view() { return view_; }
  [[nodiscard]] const Geometry& geometry() const { return geometry_; }

  /// The current version of a block, read and verified when it is not held. Throws CorruptionError for a flaw and for a
  /// block that something else holds as another kind; IoError.
  [[nodiscard]] Version read(const BlockPlace& place, const MetadataIdentity& identity) XDAX_EXCLUDES(mutex_);

  /// Makes all of `blocks` current at once.
  void publish(std::span<const PublishedBlock> blocks) XDAX_EXCLUDES(mutex_);
  /// Says that a version, if it is still the current one, is on the device now and may be dropped.
  void mark_home(const BlockPlace& place, const Version& version) XDAX_EXCLUDES(mutex_);

  /// The device's bytes with the current versions over them.
  void read_batch(std::span<ReadRequest> requests) XDAX_EXCLUDES(mutex_);

 private:
  struct Entry {
    std::uint32_t length_bytes = 0;
    MetadataIdentity identity;
    Version version;
    bool home = false;
  };

  [[nodiscard]] bool same_use(const Entry& entry, const BlockPlace& place, const MetadataIdentity& identity) const;
  void drop_clean() XDAX_REQUIRES(mutex_);
  /// Answers a request of which one block has all.
  [[nodiscard]] bool answer(ReadRequest& request) const XDAX_REQUIRES_SHARED(mutex_);
  void patch(ReadRequest& request) XDAX_REQUIRES_SHARED(mutex_);

  Device& device_;
  const Geometry& geometry_;
  CacheView view_;
  SharedMutex mutex_;
  std::map<std::uint64_t, Entry> blocks_ XDAX_GUARDED_BY(mutex_);
  std::uint64_t clean_bytes_ XDAX_GUARDED_BY(mutex_) = 0;
};

}  // namespace xdax

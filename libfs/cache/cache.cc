#include "libfs/cache/cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "libfs/base/error.h"

namespace xdax {

const std::string& CacheView::name() const { return cache_.device().name(); }
std::uint64_t CacheView::size_bytes() const { return cache_.device().size_bytes(); }
const DeviceTraits& CacheView::traits() const { return cache_.device().traits(); }
void CacheView::read_batch(std::span<ReadRequest> requests) { cache_.read_batch(requests); }
void CacheView::write_batch(std::span<WriteRequest> requests) {
  for (WriteRequest& request : requests) request.error = make_error_code(Errc::kReadOnly);
}
void CacheView::zero(std::uint64_t /*offset_bytes*/, std::uint64_t /*length_bytes*/, ZeroMode /*mode*/) {
  throw RefusalError(Errc::kReadOnly, fmt::format("{}: is only looked at here", name()));
}
bool CacheView::discard(std::uint64_t /*offset_bytes*/, std::uint64_t /*length_bytes*/) { return false; }

bool Cache::same_use(const Entry& entry, const BlockPlace& place, const MetadataIdentity& identity) const {
  return entry.length_bytes == place.length_bytes && entry.identity == identity;
}

Version Cache::read(const BlockPlace& place, const MetadataIdentity& identity) {
  {
    const ReadLock lock(mutex_);
    const auto found = blocks_.find(place.byte);
    if (found != blocks_.end() && same_use(found->second, place, identity)) return found->second.version;
    if (found != blocks_.end() && !found->second.home) {
      throw CorruptionError(Errc::kBadStructure,
                            fmt::format("{}: {} at byte {} is also a {}", device_.name(), to_string(identity.kind),
                                        place.byte, to_string(found->second.identity.kind)));
    }
  }
  auto bytes = std::make_shared<std::vector<std::byte>>(place.length_bytes);
  device_.read(place.byte, *bytes);
  if (const Flaws flaws = verify_metadata(*bytes, geometry_, place.byte, identity); !flaws.empty()) {
    throw CorruptionError(Errc::kBadStructure,
                          fmt::format("{}: {} at byte {} is damaged: {} ought to be {}", device_.name(),
                                      to_string(identity.kind), place.byte, flaws[0].field, flaws[0].rule));
  }
  const WriteLock lock(mutex_);
  Entry& entry = blocks_[place.byte];
  if (entry.version != nullptr) {
    // Another reader was faster, or it was held as something else that is home.
    if (!entry.home) return entry.version;
    clean_bytes_ -= entry.length_bytes;
  }
  entry = {.length_bytes = place.length_bytes, .identity = identity, .version = std::move(bytes), .home = true};
  Version version = entry.version;
  clean_bytes_ += place.length_bytes;
  if (clean_bytes_ > kCleanBytes) drop_clean();
  return version;
}

void Cache::drop_clean() {
  std::erase_if(blocks_, [](const auto& block) { return block.second.home; });
  clean_bytes_ = 0;
}

void Cache::publish(std::span<const PublishedBlock> blocks) {
  const WriteLock lock(mutex_);
  for (const PublishedBlock& block : blocks) {
    const auto found = blocks_.find(block.place.byte);
    if (found != blocks_.end() && found->second.home) clean_bytes_ -= found->second.length_bytes;
    if (block.version == nullptr) {
      if (found != blocks_.end()) blocks_.erase(found);
      continue;
    }
    if (block.home) clean_bytes_ += block.place.length_bytes;
    blocks_.insert_or_assign(block.place.byte, Entry{.length_bytes = block.place.length_bytes,
                                                     .identity = block.identity,
                                                     .version = block.version,
                                                     .home = block.home});
  }
  if (clean_bytes_ > kCleanBytes) drop_clean();
}

void Cache::mark_home(const BlockPlace& place, const Version& version) {
  const WriteLock lock(mutex_);
  const auto found = blocks_.find(place.byte);
  if (found == blocks_.end() || found->second.version != version || found->second.home) return;
  found->second.home = true;
  clean_bytes_ += found->second.length_bytes;
}

void Cache::read_batch(std::span<ReadRequest> requests) {
  const ReadLock lock(mutex_);
  // What is wholly here need not be read. One request is the usual number, and needs no lists.
  if (requests.size() == 1) {
    if (answer(requests.front())) return;
    device_.read_batch(requests);
    patch(requests.front());
    return;
  }
  std::vector<ReadRequest*> waiting;
  std::vector<ReadRequest> rest;
  for (ReadRequest& request : requests) {
    if (answer(request)) continue;
    waiting.push_back(&request);
    rest.push_back(request);
  }
  device_.read_batch(rest);
  for (std::size_t i = 0; i < rest.size(); ++i) {
    patch(rest[i]);
    waiting[i]->error = rest[i].error;
  }
}

bool Cache::answer(ReadRequest& request) const {
  auto block = blocks_.upper_bound(request.offset_bytes);
  if (block == blocks_.begin()) return false;
  --block;
  const std::uint64_t into = request.offset_bytes - block->first;
  const std::size_t length = request.buffer.size();
  if (length == 0 || into >= block->second.length_bytes || block->second.length_bytes - into < length) return false;
  std::memcpy(request.buffer.data(), block->second.version->data() + into, length);
  request.error = {};
  return true;
}

void Cache::patch(ReadRequest& request) {
  const std::uint64_t begin = request.offset_bytes;
  const std::uint64_t end = begin + request.buffer.size();
  auto block = blocks_.upper_bound(begin);
  if (block != blocks_.begin()) --block;
  for (; block != blocks_.end() && block->first < end; ++block) {
    const std::uint64_t block_end = block->first + block->second.length_bytes;
    if (block_end <= begin) continue;
    const std::uint64_t from = std::max(begin, block->first);
    const std::uint64_t to = std::min(end, block_end);
    std::memcpy(request.buffer.data() + (from - begin), block->second.version->data() + (from - block->first),
                to - from);
  }
}

}  // namespace xdax

#include "libfs/journal/transaction.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "libfs/base/error.h"
#include "libfs/base/math.h"

namespace xdax {

// The cache's view with this transaction's copies over it.
class Transaction::View final : public Device {
 public:
  explicit View(Transaction& transaction) : transaction_(transaction), base_(transaction.journal_.cache().view()) {}

  [[nodiscard]] const std::string& name() const override { return base_.name(); }
  [[nodiscard]] std::uint64_t size_bytes() const override { return base_.size_bytes(); }
  [[nodiscard]] const DeviceTraits& traits() const override { return base_.traits(); }
  void read_batch(std::span<ReadRequest> requests) override {
    for (ReadRequest& request : requests) {
      if (answer(request)) continue;
      base_.read_batch({&request, 1});
      patch(request);
    }
  }
  void write_batch(std::span<WriteRequest> requests) override { base_.write_batch(requests); }
  void zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, ZeroMode mode) override {
    base_.zero(offset_bytes, length_bytes, mode);
  }
  bool discard(std::uint64_t /*offset_bytes*/, std::uint64_t /*length_bytes*/) override { return false; }
  void persist() override {}

 private:
  // Answers a request of which one block has all.
  [[nodiscard]] bool answer(ReadRequest& request) const {
    auto own = transaction_.blocks_.upper_bound(request.offset_bytes);
    if (own == transaction_.blocks_.begin()) return false;
    Block& block = (--own)->second;
    const std::uint64_t into = request.offset_bytes - own->first;
    const std::uint64_t block_bytes = block.place.length_bytes;
    const std::size_t length = request.buffer.size();
    if (block.bytes == nullptr || length == 0 || into >= block_bytes || block_bytes - into < length) return false;
    transaction_.seal(block);
    std::memcpy(request.buffer.data(), block.bytes->data() + into, length);
    request.error = {};
    return true;
  }

  void patch(ReadRequest& request) const {
    const std::uint64_t begin = request.offset_bytes;
    const std::uint64_t end = begin + request.buffer.size();
    auto& blocks = transaction_.blocks_;
    auto block = blocks.upper_bound(begin);
    if (block != blocks.begin()) --block;
    for (; block != blocks.end() && block->first < end; ++block) {
      if (block->second.bytes == nullptr) continue;
      const std::uint64_t from = std::max(begin, block->first);
      const std::uint64_t to = std::min(end, block->first + block->second.place.length_bytes);
      if (from >= to) continue;
      transaction_.seal(block->second);
      std::memcpy(request.buffer.data() + (from - begin), block->second.bytes->data() + (from - block->first),
                  to - from);
    }
  }

  Transaction& transaction_;
  Device& base_;
};

Transaction::Transaction(Journal& journal) : journal_(journal), view_(std::make_unique<View>(*this)) {
  journal_.begin();
}

Transaction::~Transaction() {
  if (open_) journal_.end();
}

Device& Transaction::view() { return *view_; }

ByteSpan Transaction::read(const BlockPlace& place, const MetadataIdentity& identity) {
  const auto own = blocks_.find(place.byte);
  if (own != blocks_.end()) return change(place, identity);
  const auto seen = read_.find(place.byte);
  if (seen != read_.end() && seen->second.version->size() == place.length_bytes && seen->second.identity == identity) {
    return *seen->second.version;
  }
  Version version = journal_.cache().read(place, identity);
  const ByteSpan bytes = *version;
  seen_.push_back(version);
  read_.insert_or_assign(place.byte, Seen{.identity = identity, .version = std::move(version)});
  return bytes;
}

MutableByteSpan Transaction::change(const BlockPlace& place, const MetadataIdentity& identity) {
  const auto own = blocks_.find(place.byte);
  if (own != blocks_.end()) {
    const Block& block = own->second;
    if (block.bytes == nullptr || block.place != place || block.identity != identity) {
      throw CorruptionError(Errc::kBadStructure,
                            fmt::format("{}: {} at byte {} is also used as {}", journal_.device().name(),
                                        to_string(identity.kind), place.byte, to_string(block.identity.kind)));
    }
    return *block.bytes;
  }
  Version before = journal_.cache().read(place, identity);
  auto bytes = std::make_shared<std::vector<std::byte>>(*before);
  const MutableByteSpan span = *bytes;
  blocks_.emplace(place.byte,
                  Block{.place = place, .identity = identity, .bytes = std::move(bytes), .before = std::move(before)});
  return span;
}

MutableByteSpan Transaction::create(const BlockPlace& place, const MetadataIdentity& identity) {
  auto bytes = std::make_shared<std::vector<std::byte>>(place.length_bytes);
  const MutableByteSpan span = *bytes;
  blocks_.insert_or_assign(place.byte,
                           Block{.place = place, .identity = identity, .bytes = std::move(bytes), .before = nullptr});
  return span;
}

void Transaction::retype(const BlockPlace& place, const MetadataIdentity& identity) {
  const auto own = blocks_.find(place.byte);
  XDAX_ASSERT(own != blocks_.end() && own->second.bytes != nullptr);
  own->second.identity = identity;
}

void Transaction::give_up(const BlockPlace& place) {
  // What is looked at stays: whoever holds it may finish.
  const auto own = blocks_.find(place.byte);
  if (own != blocks_.end() && own->second.bytes != nullptr) seen_.push_back(own->second.bytes);
  blocks_.insert_or_assign(place.byte, Block{.place = place, .identity = {}, .bytes = nullptr, .before = nullptr});
}

void Transaction::create_inodes(const NewInodes& inodes) {
  const Geometry& geo = geometry();
  const std::uint32_t cluster_bytes = geo.inode_cluster_bytes();
  const std::uint32_t per_cluster = cluster_bytes >> geo.inode_log;
  const std::uint64_t first_byte = geo.byte_of(geo.inode_number(inodes.ag, inodes.first));
  for (std::uint32_t done = 0; done < inodes.count; done += per_cluster) {
    const BlockPlace place{.byte = first_byte + (std::uint64_t{done} << geo.inode_log), .length_bytes = cluster_bytes};
    auto bytes = std::make_shared<std::vector<std::byte>>(cluster_bytes);
    fill_new_inodes(geo,
                    {.ag = inodes.ag,
                     .first = inodes.first + done,
                     .count = std::min(per_cluster, inodes.count - done),
                     .generation = inodes.generation},
                    *bytes);
    // The item makes them as they are here, so that only what differs later needs an item of its own.
    auto before = std::make_shared<const std::vector<std::byte>>(*bytes);
    blocks_.insert_or_assign(place.byte,
                             Block{.place = place,
                                   .identity = {.kind = MetadataKind::kInodes, .owner = {}, .file_block = {}},
                                   .bytes = std::move(bytes),
                                   .before = std::move(before)});
  }
  new_inodes_.push_back(inodes);
}

std::vector<std::pair<FsBlock, std::uint32_t>> Transaction::available(FsBlock start, std::uint32_t length) const {
  std::vector<std::pair<FsBlock, std::uint32_t>> parts = journal_.not_busy(start, length);
  for (const auto& [freed, freed_length] : freed_) {
    std::vector<std::pair<FsBlock, std::uint32_t>> left;
    const std::uint64_t gone = freed.value();
    const std::uint64_t gone_end = gone + freed_length;
    for (const auto& [part, part_length] : parts) {
      const std::uint64_t begin = part.value();
      const std::uint64_t end = begin + part_length;
      if (gone_end <= begin || end <= gone) {
        left.emplace_back(part, part_length);
        continue;
      }
      if (begin < gone) left.emplace_back(part, static_cast<std::uint32_t>(gone - begin));
      if (gone_end < end) left.emplace_back(FsBlock(gone_end), static_cast<std::uint32_t>(end - gone_end));
    }
    parts = std::move(left);
  }
  return parts;
}

SummaryCounters Transaction::counters() const {
  SummaryCounters counters = journal_.counters();
  counters.inodes += static_cast<std::uint64_t>(counters_.inodes);
  counters.free_inodes += static_cast<std::uint64_t>(counters_.free_inodes);
  counters.free_blocks += static_cast<std::uint64_t>(counters_.free_blocks);
  return counters;
}

void Transaction::seal(Block& block) const {
  seal_changes(geometry(), block.identity.kind, bytes_before(block), *block.bytes);
}

void Transaction::commit() {
  XDAX_ASSERT(open_);
  Commit commit;
  std::set<std::uint64_t> fresh;
  for (const NewInodes& inodes : new_inodes_) {
    const std::uint64_t begin = geometry().byte_of(geometry().inode_number(inodes.ag, inodes.first));
    const std::uint64_t end = begin + (std::uint64_t{inodes.count} << geometry().inode_log);
    for (auto block = blocks_.lower_bound(begin); block != blocks_.end() && block->first < end; ++block) {
      fresh.insert(block->first);
    }
  }
  for (auto& [byte, block] : blocks_) {
    if (block.bytes == nullptr) {
      commit.blocks.push_back({.place = block.place, .identity = {}, .before = nullptr, .after = nullptr});
      continue;
    }
    seal(block);
    const bool is_fresh = fresh.contains(byte);
    const ByteSpan before = bytes_before(block);
    if (!before.empty() && std::memcmp(before.data(), block.bytes->data(), before.size()) == 0 && !is_fresh) continue;
    const Flaws flaws = verify_changes(geometry(), byte, block.identity, is_fresh ? ByteSpan() : before, *block.bytes);
    if (!flaws.empty()) {
      throw CorruptionError(
          Errc::kBadStructure,
          fmt::format("{}: the change is refused: {} at byte {} would have {} not {} (found {}, expected {})",
                      journal_.device().name(), to_string(block.identity.kind), byte, flaws[0].field, flaws[0].rule,
                      flaws[0].found, flaws[0].expected));
    }
    commit.blocks.push_back(
        {.place = block.place, .identity = block.identity, .before = block.before, .after = block.bytes});
  }
  commit.new_inodes = new_inodes_;
  commit.freed = freed_;
  commit.notes = notes_;
  commit.counters = counters_;
  journal_.commit(std::move(commit));
  open_ = false;
  journal_.end();
}

}  // namespace xdax

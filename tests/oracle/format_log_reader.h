// Takes the log of an image apart: records, operations, transactions, items; verifies each on the way.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "libfs/format/log_items.h"
#include "libfs/format/log_record.h"
#include "tests/oracle/format_image.h"

namespace xdax::test {

class LogReader {
 public:
  explicit LogReader(const Image& image)
      : geometry_(image.geometry()),
        log_(image.read(geometry_.byte_of(geometry_.log_start),
                        std::size_t{geometry_.log_blocks} << geometry_.block_log)),
        ring_(log_) {
    ring_.insert(ring_.end(), log_.begin(), log_.end());
  }

  void read() {
    for (const std::uint32_t block : records_by_age()) read_record(block);
  }

  /// How many of each kind were seen: "record", "further header", "inode", "efi" ...
  [[nodiscard]] const std::map<std::string, std::uint64_t>& census() const { return census_; }
  [[nodiscard]] const std::vector<std::string>& problems() const { return problems_; }
  /// The last logged core of each inode, as it would be on disk.
  [[nodiscard]] const std::map<std::uint64_t, InodeCore>& cores() const { return cores_; }
  /// First blocks of the records, by age.
  [[nodiscard]] const std::vector<std::uint32_t>& records() const { return records_; }
  /// From a record's first block on, as far as the log goes around.
  [[nodiscard]] ByteSpan record_at(std::uint32_t block) const {
    return ByteSpan(ring_).subspan(std::size_t{block} * kBasicBlockBytes, log_.size());
  }
  [[nodiscard]] LogRecordExpectation expectation(std::uint32_t block) const {
    return {.user_uuid = geometry_.user_uuid,
            .block = block,
            .log_blocks = static_cast<std::uint32_t>(log_.size() / kBasicBlockBytes)};
  }
  [[nodiscard]] std::string describe_census() const {
    std::string text;
    for (const auto& [kind, count] : census_) text += kind + " " + std::to_string(count) + "\n";
    return text;
  }

 private:
  static constexpr std::size_t kMostProblems = 20;
  struct Transaction {
    std::vector<Bytes> regions;
  };

  void expect(const Flaws& flaws, const std::string& what) { expect(flaws.empty(), what + ":\n" + describe(flaws)); }
  void expect(bool holds, const std::string& what) {
    if (!holds && problems_.size() < kMostProblems) problems_.push_back(what);
  }

  std::vector<std::uint32_t> records_by_age() {
    std::map<Lsn, std::uint32_t> found;
    for (std::uint32_t block = 0; block < log_.size() / kBasicBlockBytes; ++block) {
      const std::size_t at = std::size_t{block} * kBasicBlockBytes;
      if (view<be32>(log_, at) != LogRecordHeader::kMagic) continue;
      const auto& header = view<LogRecordHeader>(log_, at);
      expect(verify_log_record_header(ByteSpan(log_).subspan(at), expectation(block)), "header");
      if (header.blank()) {
        ++census_["blank header"];
      } else {
        found.emplace(Lsn::decode(header.lsn), block);
      }
    }
    for (const auto& [lsn, block] : found) {
      if (!overwritten(lsn, block, found.rbegin()->first)) records_.push_back(block);
    }
    return records_;
  }

  // Of the turn before the newest record's only what lies ahead of it is still there, and nothing of earlier turns.
  [[nodiscard]] bool overwritten(const Lsn& lsn, std::uint32_t block, const Lsn& newest) const {
    if (lsn.cycle == newest.cycle) return false;
    const auto& header = view<LogRecordHeader>(record_at(newest.block));
    const std::uint32_t end = newest.block + log_header_blocks(header.size) + header.len / kBasicBlockBytes;
    return block < end || next_log_cycle(lsn.cycle) != newest.cycle;
  }

  void read_record(std::uint32_t block) {
    const ByteSpan record = record_at(block);
    const Flaws flaws = verify_log_record(record, expectation(block));
    expect(flaws, "record at " + std::to_string(block));
    if (!flaws.empty()) return;
    ++census_["record"];
    const std::uint32_t to_end = expectation(block).log_blocks - block;
    const auto& header = view<LogRecordHeader>(record);
    const std::size_t header_bytes = std::size_t{log_header_blocks(header.size)} * kBasicBlockBytes;
    if (header.len > limits::kLogBytesPerHeader) ++census_["further header"];
    if ((header_bytes + header.len) / kBasicBlockBytes > to_end) ++census_["record around the end"];
    Bytes data(record.begin() + static_cast<std::ptrdiff_t>(header_bytes),
               record.begin() + static_cast<std::ptrdiff_t>(header_bytes + header.len));
    const Bytes stamped = data;
    restore_cycle_words(data, record.first(header_bytes));
    expect_stamps_alike(data, stamped, record.first(header_bytes), {.cycle = header.cycle, .blocks_to_end = to_end});
    ByteSpan rest = data;
    for (std::uint32_t i = 0; i < header.num_logops; ++i) {
      const Flaws broken = verify_log_op(rest);
      expect(broken, "operation");
      if (!broken.empty()) return;
      const auto& op = view<LogOpHeader>(rest);
      read_op(op, rest.subspan(sizeof(LogOpHeader), op.len));
      rest = rest.subspan(sizeof(LogOpHeader) + op.len);
    }
  }

  // Stamping what was restored gives what was there.
  void expect_stamps_alike(const Bytes& data, const Bytes& stamped, ByteSpan headers, const LogStamp& stamp) {
    Bytes again = data;
    Bytes copy(headers.begin(), headers.end());
    stamp_cycle_words(again, copy, stamp);
    expect(again == stamped && std::equal(copy.begin(), copy.end(), headers.begin()), "stamping differs");
  }

  void read_op(const LogOpHeader& op, ByteSpan body) {
    if ((op.flags & log_op_flags::kUnmount) != 0) {
      ++census_["unmount"];
      expect(verify_unmount_record(body), "unmount");
      return;
    }
    if ((op.flags & log_op_flags::kStart) != 0) {
      open_[op.tid] = {};
      return;
    }
    const auto open = open_.find(op.tid);
    if (open == open_.end()) return;  // what came before was overwritten
    if ((op.flags & log_op_flags::kCommit) != 0) {
      read_transaction(open->second);
      open_.erase(open);
      return;
    }
    std::vector<Bytes>& regions = open->second.regions;
    if ((op.flags & log_op_flags::kWasContinued) != 0 && !regions.empty()) {
      ++census_["continued region"];
      regions.back().insert(regions.back().end(), body.begin(), body.end());
    } else {
      regions.emplace_back(body.begin(), body.end());
    }
  }

  void read_transaction(const Transaction& transaction) {
    const auto& regions = transaction.regions;
    if (regions.empty()) return;
    ++census_["transaction"];
    expect(verify_transaction_header(regions[0]), "transaction header");
    for (std::size_t i = 1; i < regions.size();) {
      const auto type = log_item_type(regions[i]);
      expect(type.has_value(), "an item of no type");
      if (!type) return;
      ++census_[to_string(*type)];
      const Flaws flaws = verify_log_item(regions[i], *type, geometry_);
      expect(flaws, std::string("item ") + to_string(*type));
      const std::size_t count = view<LogItemHeader>(regions[i]).size;
      expect(count != 0 && count <= regions.size() - i, "an item of more regions than there are");
      if (!flaws.empty() || count == 0 || count > regions.size() - i) return;
      read_item(*type, std::span(regions).subspan(i, count));
      i += count;
    }
    expect(regions.size() - 1 == view<TransactionHeader>(regions[0]).num_items, "another number of regions");
  }

  void read_item(LogItemType type, std::span<const Bytes> regions) {
    if (type == LogItemType::kInode) {
      expect(verify_logged_inode_core(regions[1], geometry_), "core");
      if (regions[1].size() != sizeof(LoggedInodeCore)) return;
      const auto& core = view<LoggedInodeCore>(regions[1]);
      expect(core.ino == view<InodeLogFormat>(regions[0]).ino, "a core of another inode");
      cores_[core.ino] = disk_core_of_logged(core);
    } else if (type == LogItemType::kBuffer && !view<BufLogFormat>(regions[0]).cancelled()) {
      std::uint64_t pieces = 0;
      std::uint32_t from = 0;
      while (const auto run = next_dirty_run(regions[0], from)) {
        pieces += run->count;
        from = run->first + run->count;
      }
      std::uint64_t bytes = 0;
      for (const Bytes& region : regions.subspan(1)) bytes += region.size();
      expect(bytes == pieces * BufLogFormat::kPieceBytes, "a buffer of other bytes than its map says");
    } else if (type == LogItemType::kAttri) {
      const auto& item = view<AttriLogFormat>(regions[0]);
      expect(regions.size() > 1 && regions[1].size() >= item.name_len, "an attribute name cut short");
    }
  }

  Geometry geometry_;
  Bytes log_;
  Bytes ring_;  ///< the log twice, so that a record that goes around its end lies in one piece
  std::vector<std::uint32_t> records_;
  std::map<std::string, std::uint64_t> census_;
  std::vector<std::string> problems_;
  std::map<std::uint32_t, Transaction> open_;
  std::map<std::uint64_t, InodeCore> cores_;
};

}  // namespace xdax::test

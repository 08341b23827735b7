// One allocation group inside a transaction: its headers, its free list, and the roots of its trees.
//
// A Group is made where it is needed and thrown away; all it holds is in the transaction. Group trees get their blocks
// from the group itself: the free-space trees and the reverse map from the free list (AGFL), so that allocating never
// waits for itself; the others from free space. Not thread-safe. Source: XFS Algorithms & Data Structures, "AG Free
// Block List".
#pragma once

#include <cstdint>
#include <optional>

#include "libfs/btree/btree.h"
#include "libfs/format/agf.h"
#include "libfs/format/agfl.h"
#include "libfs/format/agi.h"
#include "libfs/journal/transaction.h"

namespace xdax {

/// An extent of a group.
struct GroupExtent {
  AgBlock start;
  std::uint32_t length_blocks = 0;
  bool operator==(const GroupExtent&) const = default;
};

class Group {
 public:
  /// The group must exist.
  Group(Transaction& transaction, AgNumber ag) : transaction_(transaction), ag_(ag) {}

  [[nodiscard]] Transaction& transaction() { return transaction_; }
  [[nodiscard]] const Geometry& geometry() const { return transaction_.geometry(); }
  [[nodiscard]] AgNumber ag() const { return ag_; }
  [[nodiscard]] std::uint32_t length_blocks() const { return geometry().ag_length_blocks(ag_); }

  /// Throw CorruptionError, IoError; so does everything that reads.
  [[nodiscard]] const Agf& agf();
  [[nodiscard]] Agf& change_agf();
  [[nodiscard]] const Agi& agi();
  [[nodiscard]] Agi& change_agi();

  /// The next block of the free list. Throws RefusalError (kNoSpace) when it is empty.
  [[nodiscard]] AgBlock take_from_list();
  /// Throws CorruptionError when the list is full.
  void put_on_list(AgBlock block);
  /// Blocks the free list must have before free space changes, so that every tree can split to the top.
  [[nodiscard]] std::uint32_t list_wanted();

  [[nodiscard]] BlockPlace place(AgBlock block) const {
    return {.byte = geometry().byte_of(ag_, block), .length_bytes = geometry().block_bytes};
  }

 private:
  [[nodiscard]] BlockPlace header_place(std::uint32_t index) const {
    return {.byte = geometry().header_byte(ag_, index), .length_bytes = geometry().sector_bytes};
  }
  [[nodiscard]] MutableByteSpan change_list();

  Transaction& transaction_;
  AgNumber ag_;
};

/// Root and blocks of one of a group's trees.
class GroupTree final : public BtreeStore {
 public:
  GroupTree(Group& group, BtreeKind kind) : group_(group), kind_(kind) {}

  [[nodiscard]] std::uint32_t levels() override;
  [[nodiscard]] std::uint64_t root() override;
  void set_root(std::uint64_t pointer, std::uint32_t levels) override;
  [[nodiscard]] BlockPlace place(std::uint64_t pointer) override;
  [[nodiscard]] MetadataIdentity identity() override;
  [[nodiscard]] std::uint64_t owner() override { return group_.ag().value(); }
  [[nodiscard]] std::uint64_t allocate(std::uint64_t near) override;
  void release(std::uint64_t pointer) override;

 private:
  void count_block(std::int32_t change);
  [[nodiscard]] bool from_list() const {
    return kind_ == BtreeKind::kBno || kind_ == BtreeKind::kCnt || kind_ == BtreeKind::kRmap;
  }
  [[nodiscard]] std::uint64_t rmap_owner() const;

  Group& group_;
  BtreeKind kind_;
};

/// A tree of a group with typed records.
template <class Record>
class TypedTree {
 public:
  TypedTree(Group& group, BtreeKind kind) : store_(group, kind), tree_(group.transaction(), store_, kind) {}

  template <class Key>
  [[nodiscard]] bool find_at_most(const Key& key) {
    return tree_.find_at_most(std::as_bytes(std::span(&key, 1)));
  }
  template <class Key>
  [[nodiscard]] bool find_at_least(const Key& key) {
    return tree_.find_at_least(std::as_bytes(std::span(&key, 1)));
  }
  [[nodiscard]] bool find_first() { return tree_.find_first(); }
  [[nodiscard]] bool find_last() { return tree_.find_last(); }
  [[nodiscard]] bool next() { return tree_.next(); }
  [[nodiscard]] bool previous() { return tree_.previous(); }
  [[nodiscard]] Record record() { return view<Record>(tree_.record()); }
  void update(const Record& record) { tree_.update(std::as_bytes(std::span(&record, 1))); }
  void insert(const Record& record) { tree_.insert(std::as_bytes(std::span(&record, 1))); }
  void erase() { tree_.erase(); }
  [[nodiscard]] Btree& bytes() { return tree_; }

 private:
  GroupTree store_;
  Btree tree_;
};

}  // namespace xdax

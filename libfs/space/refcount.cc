#include "libfs/space/refcount.h"

#include <fmt/format.h>

#include <algorithm>

#include "libfs/base/error.h"

namespace xdax {
namespace {

be32 key_of(std::uint32_t start) { return start; }

}  // namespace

void Refcounts::corrupt(const GroupExtent& extent, const char* what) const {
  throw CorruptionError(Errc::kBadStructure,
                        fmt::format("{}: group {}: blocks {}+{} {}", group_.transaction().journal().device().name(),
                                    group_.ag().value(), extent.start.value(), extent.length_blocks, what));
}

Refcounts::Run Refcounts::run_at(const GroupExtent& extent) {
  if (!group_.geometry().features.reflink()) return {.owners = 1, .length_blocks = extent.length_blocks};
  const std::uint32_t start = extent.start.value();
  if (tree_.find_at_most(key_of(start))) {
    const RefcountRecord record = tree_.record();
    const std::uint32_t end = record.startblock + record.blockcount;
    if (end > start) return {.owners = record.refcount, .length_blocks = std::min(extent.length_blocks, end - start)};
  }
  if (!tree_.find_at_least(key_of(start))) return {.owners = 1, .length_blocks = extent.length_blocks};
  const std::uint32_t next = tree_.record().startblock;
  return {.owners = 1, .length_blocks = std::min(extent.length_blocks, next - start)};
}

// Takes every record that touches [start, start + length), or ends or begins where that begins or ends, out of the
// tree.
std::vector<Refcounts::Piece> Refcounts::take_out(std::uint32_t start, std::uint32_t length) {
  std::vector<Piece> pieces;
  const std::uint32_t end = start + length;
  const bool staged = (start & refcount::kCowFlag) != 0;
  bool found = start != 0 && tree_.find_at_most(key_of(start - 1));
  if (found && tree_.record().startblock + tree_.record().blockcount < start) found = tree_.next();
  if (!found) found = tree_.find_at_least(key_of(start));
  for (;;) {
    if (!found) break;
    const RefcountRecord record = tree_.record();
    if (record.startblock > end) break;
    if (((record.startblock & refcount::kCowFlag) != 0) == staged) {
      pieces.push_back({.start = record.startblock, .length = record.blockcount, .count = record.refcount});
      tree_.erase();
    } else if (!tree_.next()) {
      break;
    } else {
      continue;
    }
    found = tree_.find_at_least(key_of(pieces.back().start));
  }
  return pieces;
}

// Puts pieces, ascending, into the tree, joined where they touch and agree.
void Refcounts::put_in(std::vector<Piece> pieces) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    if (pieces[i].length == 0) continue;
    if (kept > 0) {
      Piece& last = pieces[kept - 1];
      if (last.start + last.length == pieces[i].start && last.count == pieces[i].count) {
        last.length += pieces[i].length;
        continue;
      }
    }
    pieces[kept++] = pieces[i];
  }
  for (std::size_t i = 0; i < kept; ++i) {
    const bool staged = (pieces[i].start & refcount::kCowFlag) != 0;
    if (!staged && pieces[i].count < 2) continue;
    RefcountRecord record;
    record.startblock = pieces[i].start;
    record.blockcount = pieces[i].length;
    record.refcount = pieces[i].count;
    tree_.insert(record);
  }
}

void Refcounts::increase(const GroupExtent& extent) {
  const std::uint32_t start = extent.start.value();
  const std::uint32_t end = start + extent.length_blocks;
  std::vector<Piece> result;
  std::uint32_t at = start;
  const std::vector<Piece> pieces = take_out(start, extent.length_blocks);
  for (const Piece& piece : pieces) {
    const std::uint32_t piece_end = piece.start + piece.length;
    if (piece_end <= start || piece.start >= end) {
      if (piece.start >= end && at < end) {
        result.push_back({.start = at, .length = end - at, .count = 2});
        at = end;
      }
      result.push_back(piece);
      continue;
    }
    const std::uint32_t from = std::max(piece.start, start);
    const std::uint32_t to = std::min(piece_end, end);
    result.push_back({.start = at, .length = from - at, .count = 2});
    if (piece.start < start) {
      result.back().length = 0;
      result.push_back({.start = piece.start, .length = start - piece.start, .count = piece.count});
    }
    // A count that is as high as it can be stays there for ever.
    const std::uint32_t more = piece.count == refcount::kMaxCount ? piece.count : piece.count + 1;
    result.push_back({.start = from, .length = to - from, .count = more});
    if (piece_end > end) result.push_back({.start = end, .length = piece_end - end, .count = piece.count});
    at = to;
  }
  if (at < end) result.push_back({.start = at, .length = end - at, .count = 2});
  put_in(std::move(result));
}

std::vector<GroupExtent> Refcounts::decrease(const GroupExtent& extent) {
  if (!group_.geometry().features.reflink()) return {extent};
  const std::uint32_t start = extent.start.value();
  const std::uint32_t end = start + extent.length_blocks;
  std::vector<Piece> result;
  std::vector<GroupExtent> unowned;
  std::uint32_t at = start;
  const auto nobody = [&](std::uint32_t to) {
    if (to > at) unowned.push_back({.start = AgBlock(at), .length_blocks = to - at});
  };
  const std::vector<Piece> pieces = take_out(start, extent.length_blocks);
  for (const Piece& piece : pieces) {
    const std::uint32_t piece_end = piece.start + piece.length;
    if (piece_end <= start || piece.start >= end) {
      result.push_back(piece);
      continue;
    }
    const std::uint32_t from = std::max(piece.start, start);
    const std::uint32_t to = std::min(piece_end, end);
    nobody(from);
    if (piece.start < start) {
      result.push_back({.start = piece.start, .length = start - piece.start, .count = piece.count});
    }
    const std::uint32_t less = piece.count == refcount::kMaxCount ? piece.count : piece.count - 1;
    result.push_back({.start = from, .length = to - from, .count = less});
    if (piece_end > end) result.push_back({.start = end, .length = piece_end - end, .count = piece.count});
    at = to;
  }
  nobody(end);
  put_in(std::move(result));
  return unowned;
}

void Refcounts::stage(const GroupExtent& extent) {
  const std::uint32_t start = extent.start.value() | refcount::kCowFlag;
  std::vector<Piece> pieces = take_out(start, extent.length_blocks);
  for (const Piece& piece : pieces) {
    if (piece.start < start + extent.length_blocks && piece.start + piece.length > start) {
      corrupt(extent, "are staged for copy on write already");
    }
  }
  pieces.push_back({.start = start, .length = extent.length_blocks, .count = 1});
  std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.start < b.start; });
  put_in(std::move(pieces));
}

void Refcounts::unstage(const GroupExtent& extent) {
  const std::uint32_t start = extent.start.value() | refcount::kCowFlag;
  const std::uint32_t end = start + extent.length_blocks;
  std::vector<Piece> result;
  bool whole = false;
  for (const Piece& piece : take_out(start, extent.length_blocks)) {
    const std::uint32_t piece_end = piece.start + piece.length;
    if (piece_end <= start || piece.start >= end) {
      result.push_back(piece);
      continue;
    }
    whole = piece.start <= start && piece_end >= end;
    if (piece.start < start) result.push_back({.start = piece.start, .length = start - piece.start, .count = 1});
    if (piece_end > end) result.push_back({.start = end, .length = piece_end - end, .count = 1});
  }
  if (!whole) corrupt(extent, "ought to be staged for copy on write");
  put_in(std::move(result));
}

std::optional<GroupExtent> Refcounts::next_staged(AgBlock from) {
  const std::uint32_t start = from.value() | refcount::kCowFlag;
  if (!tree_.find_at_least(key_of(start))) return std::nullopt;
  const RefcountRecord record = tree_.record();
  return GroupExtent{.start = AgBlock(record.startblock & ~refcount::kCowFlag), .length_blocks = record.blockcount};
}

}  // namespace xdax

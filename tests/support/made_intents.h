// Intents made by hand, put into the log of a filesystem that is then left as if the power had gone.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libfs/base/bytes.h"
#include "libfs/base/math.h"
#include "libfs/format/attr_entry.h"
#include "libfs/inode/inode_edit.h"
#include "libfs/journal/transaction.h"

namespace xdax::test {

inline LogRegion region_of(ByteSpan bytes) {
  LogRegion region(bytes.begin(), bytes.end());
  region.resize(round_up(region.size(), sizeof(le32)));
  return region;
}
inline LogRegion region_of(std::string_view text) { return region_of(std::as_bytes(std::span(text))); }

inline std::uint64_t next_intent_id() {
  static std::uint64_t id = 0xffff'8880'0000'0000;
  return id += 64;
}

struct MadeAttri {
  std::uint32_t op = attr_intent_ops::kSet;
  InodeNumber ino;
  std::string name, value;
  std::string new_name, new_value;
  std::uint32_t filter = 0;
  std::uint32_t generation = 0;
};

inline LogItem attri(const MadeAttri& made) {
  AttriLogFormat format{};
  format.type = static_cast<std::uint16_t>(LogItemType::kAttri);
  format.igen = made.generation;
  format.id = next_intent_id();
  format.ino = made.ino.value();
  format.op_flags = made.op;
  format.name_len = static_cast<std::uint16_t>(made.name.size());
  format.new_name_len = static_cast<std::uint16_t>(made.new_name.size());
  format.value_len = static_cast<std::uint32_t>(made.value.size());
  format.attr_filter = made.filter;
  LogItem item{.type = LogItemType::kAttri, .regions = {{}}};
  for (const std::string* const part : {&made.name, &made.new_name, &made.value, &made.new_value}) {
    if (!part->empty()) item.regions.push_back(region_of(*part));
  }
  format.size = static_cast<std::uint16_t>(item.regions.size());
  item.regions[0] = region_of(std::as_bytes(std::span(&format, 1)));
  return item;
}

inline std::string pointer_to(InodeNumber parent, std::uint32_t generation) {
  ParentPointer pointer;
  pointer.ino = parent.value();
  pointer.gen = generation;
  return {reinterpret_cast<const char*>(&pointer), sizeof pointer};
}

/// Of two inodes and a range; generations, flags and sizes are the caller's.
struct MadeXmi {
  InodeNumber one, other;
  std::uint32_t generation = 0, other_generation = 0;
  std::uint64_t at = 0, other_at = 0, blocks = 1;
  std::uint64_t flags = 0;
  std::uint64_t size = 0, other_size = 0;
};

inline LogItem xmi(const MadeXmi& made) {
  XmiLogFormat format{};
  format.type = static_cast<std::uint16_t>(LogItemType::kXmi);
  format.size = std::uint16_t{1};
  format.id = next_intent_id();
  format.inode1 = made.one.value();
  format.inode2 = made.other.value();
  format.igen1 = made.generation;
  format.igen2 = made.other_generation;
  format.startoff1 = made.at;
  format.startoff2 = made.other_at;
  format.blockcount = made.blocks;
  format.flags = made.flags;
  format.isize1 = made.size;
  format.isize2 = made.other_size;
  return {.type = LogItemType::kXmi, .regions = {region_of(std::as_bytes(std::span(&format, 1)))}};
}

/// Changes a filesystem with a clean log, notes intents, and stops there.
inline void announce(Device& device, const Geometry& geometry, const std::vector<LogItem>& intents,
                     const std::function<void(Transaction&)>& change = {}) {
  const auto journal = open_journal(device, geometry);
  {
    Transaction transaction(*journal);
    if (change) change(transaction);
    for (const LogItem& intent : intents) transaction.note(intent);
    transaction.commit();
  }
  journal->sync();
}

}  // namespace xdax::test

#include "fsck/da_walk.h"

#include <algorithm>

#include "fsck/flaw_findings.h"

namespace xdax::fsck {

const DaProblems& da_problems(Fork fork) {
  static constexpr DaProblems kDirectory = {.group = "dir",
                                            .structure = "directory",
                                            .hole = Problem::kDirHole,
                                            .sibling = Problem::kDirSibling,
                                            .revisited = Problem::kDirRevisited,
                                            .order = Problem::kDirOrder,
                                            .abandoned = Problem::kDirAbandoned};
  static constexpr DaProblems kAttributes = {.group = "attr",
                                             .structure = "attributes",
                                             .hole = Problem::kAttrHole,
                                             .sibling = Problem::kAttrSibling,
                                             .revisited = Problem::kAttrRevisited,
                                             .order = Problem::kAttrOrder,
                                             .abandoned = Problem::kAttrAbandoned};
  return fork == Fork::kData ? kDirectory : kAttributes;
}

bool Identity::own(const Flaws& flaws) {
  if (!flaws.has(FlawKind::kMagic) && !flaws.has(FlawKind::kOwner) && !flaws.has(FlawKind::kUuid) &&
      !flaws.has(FlawKind::kSelfAddress)) {
    return true;
  }
  if (++foreign_ == kMostForeign + 1) file_.add(problems_.abandoned, file_.place(problems_.structure));
  return false;
}

DaWalk::DaWalk(FileView& file, const ForkMap& map, Fork fork, Identity& identity, LeafVisitor& visitor)
    : file_(file),
      fork_(fork),
      problems_(da_problems(fork)),
      identity_(identity),
      visitor_(visitor),
      reader_(file, map, problems_.structure),
      block_length_(da_block_bytes(file.geometry, fork) >> file.geometry.block_log) {}

bool DaWalk::run(FileBlock root) {
  levels_.resize(limits::kMaxDaLevels + 1);
  block(root, std::nullopt);
  end_of_levels();
  return complete_;
}

void DaWalk::report(Problem problem, Finding finding, std::uint64_t found, std::uint64_t expected, const char* detail) {
  finding.found = found;
  finding.expected = expected;
  finding.detail = detail;
  file_.add(problem, std::move(finding));
}

void DaWalk::lost(std::optional<std::uint32_t> level) {
  complete_ = false;
  const std::size_t last = level ? std::min<std::size_t>(*level, levels_.size() - 1) : levels_.size() - 1;
  for (std::size_t below = 0; below <= last; ++below) levels_[below].known = false;
  last_hash_.reset();
}

std::optional<std::uint32_t> DaWalk::block(FileBlock at, std::optional<std::uint32_t> level) {
  if (identity_.abandoned()) {
    lost(level);
    return std::nullopt;
  }
  if (!visited_.insert(at.value()).second) {
    Finding finding = file_.place(problems_.structure);
    finding.detail = "a block of its hash tree";
    finding.found = at.value();
    file_.add(problems_.revisited, std::move(finding));
    lost(level);
    return std::nullopt;
  }
  const auto piece = reader_.read(at, block_length_);
  if (!piece) {
    if (!reader_.mapped(at, block_length_)) {
      Finding finding = file_.place(problems_.structure);
      finding.detail = "a block of its hash tree";
      finding.found = at.value();
      file_.add(problems_.hole, std::move(finding));
    }
    lost(level);
    return std::nullopt;
  }
  // A node says its level, and a parent which one it expects. Only of the root nobody says what it is.
  const bool is_node = level ? *level > 0 : view<DaBlockInfo>(piece->bytes).magic == DaNodeHeader::kMagic;
  return is_node ? node(*piece, at, level) : leaf(*piece, at);
}

std::optional<std::uint32_t> DaWalk::node(const ForkReader::Piece& piece, FileBlock at,
                                          std::optional<std::uint32_t> level) {
  const Flaws flaws = verify_da_node(piece.bytes, file_.geometry, fork_,
                                     {.owner = file_.ino, .block = piece.first, .file_block = at}, level);
  const Finding where = file_.place(problems_.structure, piece.first);
  add_flaws(file_.findings, flaws, where, problems_.group);
  if (!identity_.own(flaws) || flaws.has(FlawKind::kLevel) || flaws.has(FlawKind::kCount)) {
    lost(level);
    return std::nullopt;
  }
  const auto& header = view<DaNodeHeader>(piece.bytes);
  if (!flaws.has(FlawKind::kChecksum)) file_.check_stamp(header.info.lsn, where);
  const std::uint32_t own_level = header.level;
  siblings(piece.bytes, at, piece.first, own_level);
  // The piece goes with the next read.
  const auto stored = da_node_entries(piece.bytes);
  const std::vector<DaNodeEntry> entries(stored.begin(), stored.end());
  for (const DaNodeEntry& entry : entries) {
    if (!valid_da_block(file_.geometry, fork_, entry.before)) {
      lost(own_level - 1);
      continue;
    }
    const auto greatest = block(FileBlock(entry.before), own_level - 1);
    if (greatest && *greatest != entry.hashval) {
      report(problems_.order, where, entry.hashval, *greatest, "the greatest hash of a child");
    }
  }
  return entries.back().hashval.get();
}

std::optional<std::uint32_t> DaWalk::leaf(const ForkReader::Piece& piece, FileBlock at) {
  if (!visitor_.leaf(piece, at)) {
    lost(0u);
    return std::nullopt;
  }
  siblings(piece.bytes, at, piece.first, 0);
  const auto hashes = visitor_.hashes();
  if (!hashes) return std::nullopt;
  if (last_hash_ && hashes->first < *last_hash_) {
    report(problems_.order, file_.place(problems_.structure, piece.first), hashes->first, *last_hash_,
           "not below the last hash of the leaf before it");
  }
  last_hash_ = hashes->last;
  return hashes->last;
}

void DaWalk::siblings(ByteSpan bytes, FileBlock at, FsBlock address, std::uint32_t level) {
  const auto& info = view<DaBlockInfo>(bytes);
  Level& here = levels_[level];
  const auto value = static_cast<std::uint32_t>(at.value());
  if (here.known) {
    if (info.back != here.previous.value_or(0)) {
      report(problems_.sibling, file_.place(problems_.structure, address), info.back, here.previous.value_or(0),
             "the neighbour before it");
    }
    if (here.previous && here.previous_forward != value) {
      report(problems_.sibling, file_.place(problems_.structure, here.previous_address), here.previous_forward, value,
             "the neighbour behind it");
    }
  }
  here = {.previous = value, .previous_forward = info.forw, .previous_address = address, .known = true};
}

void DaWalk::end_of_levels() {
  for (const Level& level : levels_) {
    if (!level.known || !level.previous || level.previous_forward == 0) continue;
    report(problems_.sibling, file_.place(problems_.structure, level.previous_address), level.previous_forward, 0,
           "the neighbour behind the last");
  }
}

}  // namespace xdax::fsck

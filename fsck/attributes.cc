// The check of a file's attributes: inside the inode, in one leaf, or in leaves under a hash tree.

#include <fmt/format.h>
#define XXH_INLINE_ALL  // keys are short: the call would cost as much as the hash
#include <xxhash.h>

#include <algorithm>
#include <string>
#include <unordered_set>

#include "fsck/contents.h"
#include "fsck/da_walk.h"
#include "fsck/flaw_findings.h"
#include "libfs/cli/message.h"
#include "libfs/format/attr_leaf.h"
#include "libfs/format/attr_shortform.h"
#include "libfs/format/remote_block.h"

namespace xdax::fsck {
namespace {

std::string quoted(std::string_view name) { return fmt::format("\"{}\"", cli::one_line(std::string(name))); }

// What makes an attribute another one: namespace and name, and of a parent pointer the parent. As a number of 128 bits
// with a seed, so that many long names cost little.
std::uint64_t identity_of(const AttrEntry& entry, std::uint64_t seed) {
  std::uint64_t key[3] = {XXH3_64bits_withSeed(entry.name.data(), entry.name.size(), seed),
                          entry.flags & std::uint64_t{attr_flags::kNamespaces}, 0};
  if (entry.parent() && entry.value.size() == sizeof(ParentPointer)) key[2] = view<ParentPointer>(entry.value).ino;
  return XXH3_64bits_withSeed(key, sizeof(key), seed);
}

void hand_on(const AttrEntry& entry, AttributeSink& sink) {
  const bool complete = (entry.flags & attr_flags::kIncomplete) == 0;
  if (entry.parent() && complete && !entry.remote && entry.value.size() == sizeof(ParentPointer)) {
    sink.parent_pointer(entry);
  }
}

// Values in blocks of their own.
class RemoteValues {
 public:
  RemoteValues(FileView& file, const ForkMap& attr) : file_(file), map_(attr), reader_(file, attr, "attribute value") {}

  // Every block of one value. A block that another value has is not read again.
  bool check(const AttrEntry& entry) {
    const std::uint32_t blocks = attr_remote_blocks(entry.value_bytes, file_.geometry.block_bytes);
    bool complete = true;
    for (std::uint32_t i = 0; i < blocks; ++i) {
      const FileBlock at{std::uint64_t{entry.remote_block} + i};
      const Extent* extent = map_.find(at);
      if (extent == nullptr) {
        if (map_.intact) report(Problem::kAttrHole, entry, at);
        return false;
      }
      if (!used_.insert(at.value()).second) {
        report(Problem::kAttrValueTwice, entry, at);
        return false;
      }
      const auto piece = reader_.read(at, 1);
      if (!piece) {
        complete = false;
        continue;
      }
      const std::uint32_t offset = i * remote_capacity_bytes(file_.geometry.block_bytes);
      const Flaws flaws = verify_attr_remote(
          piece->bytes, file_.geometry,
          {.owner = file_.ino, .block = piece->first, .offset_bytes = offset, .value_bytes = entry.value_bytes});
      if (!flaws.empty()) {
        add_flaws(file_.findings, flaws, file_.place("attribute value", piece->first));
        complete = false;
      }
    }
    return complete;
  }
  [[nodiscard]] std::uint64_t blocks() const { return used_.size(); }

 private:
  void report(Problem problem, const AttrEntry& entry, FileBlock at) {
    Finding finding = file_.place("attribute value");
    finding.found = at.value();
    finding.detail = fmt::format("block {} of the fork, {}", at.value(), quoted(entry.name));
    file_.add(problem, std::move(finding));
  }

  FileView& file_;
  const ForkMap& map_;
  ForkReader reader_;
  std::unordered_set<std::uint64_t> used_;
};

class AttrLeaves final : public LeafVisitor {
 public:
  AttrLeaves(FileView& file, const ForkMap& attr, Identity& identity, AttributeSink& sink)
      : file_(file), identity_(identity), sink_(sink), values_(file, attr) {}

  bool leaf(const ForkReader::Piece& piece, FileBlock at) override {
    const Flaws flaws =
        verify_attr_leaf(piece.bytes, file_.geometry, {.owner = file_.ino, .block = piece.first, .file_block = at});
    const Finding where = file_.place("attributes", piece.first);
    if (!flaws.empty()) add_flaws(file_.findings, flaws, where, "attr");
    hashes_.reset();
    if (!identity_.own(flaws) || flaws.has(FlawKind::kCount)) return false;
    if (!flaws.has(FlawKind::kChecksum)) file_.check_stamp(view<DaBlockInfo>(piece.bytes).lsn, where);
    const auto entries = attr_leaf_entries(piece.bytes);
    for (const AttrLeafEntry& entry : entries) {
      const auto name = attr_leaf_name(piece.bytes, entry);
      if (!name) {
        complete_ = false;
        continue;
      }
      one(entry, *name, where);
    }
    if (!entries.empty()) hashes_ = Hashes{entries.front().hashval, entries.back().hashval};
    return true;
  }
  [[nodiscard]] std::optional<Hashes> hashes() const override { return hashes_; }
  [[nodiscard]] bool complete() const { return complete_; }
  [[nodiscard]] bool incomplete_values() const { return incomplete_values_; }
  [[nodiscard]] std::uint64_t value_blocks() const { return values_.blocks(); }

 private:
  void one(const AttrLeafEntry& entry, const AttrEntry& name, const Finding& where) {
    if ((entry.flags & attr_flags::kIncomplete) != 0) {
      incomplete_values_ = true;
      Finding finding = where;
      finding.detail = quoted(name.name);
      file_.add(Problem::kAttrIncomplete, std::move(finding));
      return;
    }
    if (entry.hashval != hash_) {
      hash_ = entry.hashval;
      same_hash_.clear();
    }
    if (!same_hash_.insert(identity_of(name, file_.seed)).second) {
      Finding finding = where;
      finding.detail = quoted(name.name);
      file_.add(Problem::kAttrDuplicate, std::move(finding));
    }
    hand_on(name, sink_);
    if (name.remote && name.value_bytes > 0 && name.value_bytes <= limits::kMaxAttrValueBytes &&
        name.remote_block != 0 && !values_.check(name)) {
      complete_ = false;
    }
  }

  FileView& file_;
  Identity& identity_;
  AttributeSink& sink_;
  RemoteValues values_;
  std::optional<Hashes> hashes_;
  std::uint32_t hash_ = 0;
  std::unordered_set<std::uint64_t> same_hash_;
  bool complete_ = true;
  bool incomplete_values_ = false;
};

ContentReport check_tree(FileView& file, const ForkMap& attr, AttributeSink& sink) {
  if (attr.extents.empty()) return {.complete = attr.intact};  // room for attributes that are gone
  if (attr.overlaps_on_disk()) {
    file.add(Problem::kAttrRevisited, file.place("attributes"));
    return {.complete = false};
  }
  Identity identity(file, da_problems(Fork::kAttr));
  AttrLeaves leaves(file, attr, identity, sink);
  DaWalk walk(file, attr, Fork::kAttr, identity, leaves);
  const bool complete = walk.run(FileBlock(0)) && leaves.complete() && attr.intact && !identity.abandoned();
  // A value that was never finished may have blocks that its entry does not count yet.
  const std::uint64_t known = walk.visited().size() + leaves.value_blocks();
  if (complete && !leaves.incomplete_values() && attr.blocks() != known) {
    Finding finding = file.place("attributes");
    finding.found = attr.blocks();
    finding.expected = known;
    finding.detail = "blocks of the fork";
    file.add(Problem::kAttrStray, std::move(finding));
  }
  return {.complete = complete};
}

ContentReport check_shortform(FileView& file, AttributeSink& sink) {
  const ByteSpan fork = fork_bytes(file.inode, Fork::kAttr);
  // verify_inode() has reported a size that does not fit the fork.
  const bool sized = fork.size() >= sizeof(AttrShortformHeader) &&
                     view<AttrShortformHeader>(fork).totsize >= sizeof(AttrShortformHeader) &&
                     view<AttrShortformHeader>(fork).totsize <= fork.size();
  if (!sized) return {.complete = false};
  const Flaws flaws = verify_attr_shortform(fork, file.geometry);
  Finding where = file.place("attributes");
  *where.byte += fork_area(file.core(), file.geometry.inode_bytes, Fork::kAttr).offset_bytes;
  if (!flaws.empty()) add_flaws(file.findings, flaws, where, "attr");
  AttrShortformCursor cursor(fork);
  std::vector<std::uint64_t> seen;
  while (const auto entry = cursor.next()) {
    const std::uint64_t identity = identity_of(*entry, file.seed);
    if (std::find(seen.begin(), seen.end(), identity) != seen.end()) {
      Finding finding = where;
      finding.detail = quoted(entry->name);
      file.add(Problem::kAttrDuplicate, std::move(finding));
    }
    seen.push_back(identity);
    hand_on(*entry, sink);
  }
  return {.complete = !cursor.broken()};
}

}  // namespace

ContentReport check_attributes(FileView& file, const ForkMap& attr, AttributeSink& sink) {
  switch (fork_format(file.core(), Fork::kAttr)) {
    case ForkFormat::kLocal:
      return check_shortform(file, sink);
    case ForkFormat::kExtents:
    case ForkFormat::kBtree:
      return check_tree(file, attr, sink);
    default:
      return {.complete = false};
  }
}

}  // namespace xdax::fsck

#include "fsck/directory_index.h"

#include <fmt/format.h>
#define XXH_INLINE_ALL  // keys are short: the call would cost as much as the hash
#include <xxhash.h>

#include <algorithm>

#include "fsck/flaw_findings.h"
#include "libfs/cli/message.h"
#include "libfs/format/da_hash.h"
#include "libfs/format/dir_free.h"

namespace xdax::fsck {
namespace {

// Makes capital letters small as the hash of an ASCII case-insensitive directory does.
std::string folded(std::string_view name, const Features& features) {
  std::string text(name);
  if (!features.ascii_ci()) return text;
  for (char& letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    const bool capital =
        (byte >= 'A' && byte <= 'Z') || (byte >= 0xc0 && byte <= 0xd6) || (byte >= 0xd8 && byte <= 0xde);
    if (capital) letter = static_cast<char>(byte + 0x20);
  }
  return text;
}

class IndexLeaves final : public LeafVisitor {
 public:
  IndexLeaves(FileView& file, const ForkMap& data, DirLeafForm form, Identity& identity, IndexSum& sum)
      : file_(file), form_(form), identity_(identity), sum_(sum), duplicates_(file, data) {}

  bool leaf(const ForkReader::Piece& piece, FileBlock at) override {
    const Flaws flaws = verify_dir_leaf(piece.bytes, file_.geometry, form_,
                                        {.owner = file_.ino, .block = piece.first, .file_block = at});
    const Finding where = file_.place("directory", piece.first);
    add_flaws(file_.findings, flaws, where, "dir");
    hashes_.reset();
    if (!identity_.own(flaws) || flaws.has(FlawKind::kCount)) return false;
    if (!flaws.has(FlawKind::kChecksum)) file_.check_stamp(view<DaBlockInfo>(piece.bytes).lsn, where);
    const auto entries = dir_leaf_entries(piece.bytes);
    for (const DirLeafEntry& entry : entries) {
      if (entry.stale()) continue;
      sum_.add(entry.hashval, entry.address);
      duplicates_.add(entry.hashval, entry.address);
    }
    if (!entries.empty()) hashes_ = Hashes{entries.front().hashval, entries.back().hashval};
    if (form_ == DirLeafForm::kLeaf1) {
      const auto bests = dir_leaf_bests(piece.bytes);
      bests_.assign(bests.begin(), bests.end());
    }
    return true;
  }
  [[nodiscard]] std::optional<Hashes> hashes() const override { return hashes_; }
  [[nodiscard]] const std::vector<std::uint16_t>& bests() const { return bests_; }

 private:
  FileView& file_;
  DirLeafForm form_;
  Identity& identity_;
  IndexSum& sum_;
  DuplicateNames duplicates_;
  std::optional<Hashes> hashes_;
  std::vector<std::uint16_t> bests_;
};

void report_best(FileView& file, const Finding& where, std::uint64_t block, std::uint64_t found,
                 std::uint64_t expected) {
  Finding finding = where;
  finding.found = found;
  finding.expected = expected;
  finding.detail = fmt::format("the largest unused region of block {} of entries", block);
  file.add(Problem::kDirBests, std::move(finding));
}

// What an index says of blocks [first, first + capacity) against what they hold. It lists as many as `bests` has.
void compare_bests(FileView& file, const Finding& where, std::span<const std::uint16_t> bests, std::uint64_t first,
                   std::uint64_t capacity, const DirectoryIndex& known) {
  auto block = std::partition_point(known.blocks.begin(), known.blocks.end(),
                                    [first](const DirectoryIndex::Block& each) { return each.number < first; });
  for (std::size_t i = 0; i < bests.size(); ++i) {
    const bool exists = block != known.blocks.end() && block->number == first + i;
    const std::uint16_t expected = exists ? block->best : kNoDataBlock;
    if (exists) ++block;
    if (expected != kBestUnknown && bests[i] != expected) report_best(file, where, first + i, bests[i], expected);
  }
  for (; block != known.blocks.end() && block->number < first + capacity; ++block) {
    if (block->best == kBestUnknown) continue;
    report_best(file, where, block->number, kNoDataBlock, block->best);
  }
}

class FreeIndex {
 public:
  FreeIndex(FileView& file, const ForkMap& data, Identity& identity, const DirectoryIndex& known)
      : file_(file),
        data_(data),
        identity_(identity),
        known_(known),
        reader_(file, data, "directory"),
        block_length_(1u << file.geometry.dir_block_log),
        capacity_(dir_free_capacity(file.geometry.dir_block_bytes())),
        regions_(DirRegions::of(file.geometry)) {}

  bool run() {
    for (const std::uint64_t number : numbers()) {
      if (identity_.abandoned()) return false;
      one(number);
    }
    return complete_;
  }

 private:
  // Blocks of the index that blocks of entries need, and those that are there.
  [[nodiscard]] std::vector<std::uint64_t> numbers() const {
    std::vector<std::uint64_t> all;
    const auto add = [&all](std::uint64_t number) {
      if (all.empty() || all.back() != number) all.push_back(number);
    };
    for (const DirectoryIndex::Block& block : known_.blocks) add(block.number / capacity_);
    for (const Extent& extent : data_.extents) {
      const std::uint64_t begin = std::max(extent.file_block.value(), regions_.free.value());
      const std::uint64_t end = std::min(extent.file_block.value() + extent.length_blocks, regions_.past_end.value());
      for (std::uint64_t at = begin; at < end; at += block_length_) add((at - regions_.free.value()) / block_length_);
    }
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
  }

  void one(std::uint64_t number) {
    const FileBlock at = regions_.free + number * block_length_;
    const auto piece = reader_.read(at, block_length_);
    if (!piece) {
      complete_ = false;
      if (!reader_.mapped(at, block_length_)) hole(at);
      return;
    }
    const Finding where = file_.place("directory", piece->first);
    const Flaws flaws =
        verify_dir_free(piece->bytes, file_.geometry, {.owner = file_.ino, .block = piece->first, .file_block = at});
    add_flaws(file_.findings, flaws, where, "dir");
    if (!identity_.own(flaws) || flaws.has(FlawKind::kCount)) {
      complete_ = false;
      return;
    }
    if (!flaws.has(FlawKind::kChecksum)) file_.check_stamp(view<DirBlockInfo>(piece->bytes).lsn, where);
    const auto stored = dir_free_bests(piece->bytes);
    const std::vector<std::uint16_t> bests(stored.begin(), stored.end());
    compare_bests(file_, where, bests, number * capacity_, capacity_, known_);
  }

  void hole(FileBlock at) {
    Finding finding = file_.place("directory");
    finding.found = at.value();
    finding.detail = "a block of its free index";
    file_.add(Problem::kDirHole, std::move(finding));
  }

  FileView& file_;
  const ForkMap& data_;
  Identity& identity_;
  const DirectoryIndex& known_;
  ForkReader reader_;
  std::uint32_t block_length_;
  std::uint32_t capacity_;
  DirRegions regions_;
  bool complete_ = true;
};

// Blocks that the fork maps in the index's part of the file and the tree never named.
void check_stray(FileView& file, const ForkMap& data, const DaWalk& walk) {
  const DirRegions regions = DirRegions::of(file.geometry);
  const std::uint64_t block_length = 1ull << file.geometry.dir_block_log;
  for (const Extent& extent : data.extents) {
    const std::uint64_t begin = std::max(extent.file_block.value(), regions.leaf.value());
    const std::uint64_t end = std::min(extent.file_block.value() + extent.length_blocks, regions.free.value());
    for (std::uint64_t at = begin; at < end; ++at) {
      if (walk.visited().contains(at & ~(block_length - 1))) continue;
      Finding finding = file.place("directory", extent.start + (at - extent.file_block.value()));
      finding.found = at;
      finding.detail = "a block of the index's part that its tree does not have";
      file.add(Problem::kDirStray, std::move(finding));
      return;
    }
  }
}

}  // namespace

void IndexSum::add(std::uint32_t hash, std::uint32_t address) {
  const std::uint64_t key = std::uint64_t{hash} << 32 | address;
  const XXH128_hash_t value = XXH3_128bits_withSeed(&key, sizeof(key), seed_);
  sum_ += Sum128{value.low64, value.high64};
  ++count_;
  if (collect != nullptr) collect->add(key);
}

void DuplicateNames::add(std::uint32_t hash, std::uint32_t address) {
  if (!any_ || hash != hash_) {
    any_ = true;
    hash_ = hash;
    first_address_ = address;
    names_.clear();
    return;
  }
  if (first_address_ != 0) name(first_address_);
  first_address_ = 0;
  name(address);
}

void DuplicateNames::name(std::uint32_t address) {
  const std::uint32_t block_bytes = file_.geometry.dir_block_bytes();
  const std::uint64_t byte = std::uint64_t{address} * kDirAlignBytes;
  const std::uint32_t length = 1u << file_.geometry.dir_block_log;
  const FileBlock block(byte / block_bytes * length);
  if (!reader_.mapped(block, length)) return;  // the index is compared with the entries besides
  const auto piece = reader_.read(block, length);
  if (!piece) return;
  const std::size_t at = static_cast<std::size_t>(byte % block_bytes);
  if (at + sizeof(DirDataEntry) > piece->bytes.size()) return;
  const auto& stored = view<DirDataEntry>(piece->bytes, at);
  if (at + sizeof(DirDataEntry) + stored.namelen > piece->bytes.size()) return;
  const std::string_view name = name_at(piece->bytes, at + sizeof(DirDataEntry), stored.namelen);
  if (names_.insert(folded(name, file_.geometry.features)).second) return;
  Finding finding = file_.place("directory", piece->first);
  finding.detail = fmt::format("\"{}\"", cli::one_line(std::string(name)));
  file_.add(Problem::kDirDuplicate, std::move(finding));
}

bool check_directory_index(FileView& file, const ForkMap& data, Identity& identity, const DirectoryIndex& known,
                           IndexSum& sum) {
  const DirRegions regions = DirRegions::of(file.geometry);
  const std::uint32_t block_length = 1u << file.geometry.dir_block_log;
  // A free index is what tells a node form from a leaf form; the first block of the index then says the same.
  const bool node_form = data.end_block() > regions.free.value();
  const DirLeafForm form = node_form ? DirLeafForm::kLeafN : DirLeafForm::kLeaf1;
  IndexLeaves leaves(file, data, form, identity, sum);
  DaWalk walk(file, data, Fork::kData, identity, leaves);
  bool complete = walk.run(regions.leaf);
  if (complete) check_stray(file, data, walk);
  if (node_form) return FreeIndex(file, data, identity, known).run() && complete;
  if (complete) {
    ForkReader reader(file, data, "directory");
    const auto piece = reader.read(regions.leaf, block_length);
    if (piece) {
      compare_bests(file, file.place("directory", piece->first), leaves.bests(), 0, ~0ull, known);
    }
  }
  return complete;
}

}  // namespace xdax::fsck

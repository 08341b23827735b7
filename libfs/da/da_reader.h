// Blocks of a directory or of an attribute fork, and the tree of hashes that both share.
//
// A DaReader reads blocks by where they lie in the fork; whoever reads one verifies it. A DaTree finds the leaf of a
// hash and walks from leaf to leaf. Levels descend strictly, and a walk of the leaves visits each block once: bytes
// that lead in a circle are damage. Source: XFS Algorithms & Data Structures, "Node Directories", "Node Attributes".
//
// Not thread-safe: both remember what they read. Each user makes its own.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_set>
#include <vector>

#include "libfs/format/da_node.h"
#include "libfs/inode/extent_map.h"
#include "libfs/inode/inode_reader.h"

namespace xdax {

/// One block of a fork: a directory block, which may lie in several pieces, or a filesystem block.
struct DaBlock {
  std::vector<std::byte> bytes;
  FsBlock first;  ///< address of its first piece
  FileBlock at;   ///< where it lies in the fork
};

class DaReader {
 public:
  /// `structure` ("directory", "attributes") is for messages. The inode need not outlive the reader.
  DaReader(const MetadataReader& reader, const Inode& inode, Fork fork, const char* structure);

  /// The block at `at`, not verified. A hole, an unwritten extent, or an address past what a file may have is
  /// CorruptionError.
  [[nodiscard]] DaBlock read(FileBlock at);
  /// What a verifier is told to expect of a block.
  [[nodiscard]] DaExpectation expectation(const DaBlock& block) const {
    return {.owner = ino_, .block = block.first, .file_block = block.at};
  }
  /// Throws CorruptionError naming the first flaw of a block, when there is one.
  void require(const Flaws& flaws, const DaBlock& block) const { reader_.require(flaws, place(block)); }
  [[noreturn]] void corrupt(const DaBlock& block, std::string_view rule) const { reader_.corrupt(place(block), rule); }

  [[nodiscard]] const MetadataReader& metadata() const { return reader_; }
  [[nodiscard]] const Geometry& geometry() const { return reader_.geometry(); }
  [[nodiscard]] Fork fork() const { return fork_; }
  [[nodiscard]] ExtentMap& map() { return map_; }
  /// Filesystem blocks of one block.
  [[nodiscard]] std::uint32_t block_length() const { return block_length_; }
  /// The inode, for messages about the whole.
  [[nodiscard]] MetadataPlace place() const;

 private:
  [[nodiscard]] MetadataPlace place(const DaBlock& block) const;

  MetadataReader reader_;
  InodeNumber ino_;
  Fork fork_;
  const char* structure_;
  std::uint32_t block_length_;
  ExtentMap map_;
};

/// What the leaves of a tree are.
struct DaLeafKind {
  struct Hashes {
    std::uint32_t least = 0;
    std::uint32_t greatest = 0;
  };
  Flaws (*verify)(ByteSpan block, const Geometry& geometry, const DaExpectation& expected);
  /// Of the entries of a verified leaf; nothing when it has none.
  std::optional<Hashes> (*hashes)(ByteSpan block);
};

class DaTree {
 public:
  DaTree(DaReader& reader, FileBlock root, const DaLeafKind& kind) : reader_(reader), root_(root), kind_(kind) {}

  /// The first leaf that may hold `hash`, verified; nothing when no leaf has one as great. Starts a new walk.
  [[nodiscard]] std::optional<DaBlock> find(std::uint32_t hash);
  /// The leaf behind `leaf`, which find() or next() gave last; nothing behind the last one.
  [[nodiscard]] std::optional<DaBlock> next(const DaBlock& leaf);

 private:
  [[nodiscard]] DaBlock visit(FileBlock at);
  void check_leaf(const DaBlock& leaf, std::optional<std::uint32_t> greatest) const;

  DaReader& reader_;
  FileBlock root_;
  DaLeafKind kind_;
  std::unordered_set<std::uint64_t> visited_;
};

}  // namespace xdax

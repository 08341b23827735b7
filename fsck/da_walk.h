// Walks the hash tree of a directory or of attributes from its root to its leaves, in order.
//
// A level is followed only downwards and a block only once, so that a walk ends whatever the disk says. The walk checks
// what lies between blocks: levels, neighbours, and that a node has the greatest hash of each child. What is in a leaf
// is the visitor's. Blocks that are not the file's own are counted; after too many the fork is abandoned. Not
// thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_set>
#include <vector>

#include "fsck/file_view.h"
#include "libfs/format/da_node.h"

namespace xdax::fsck {

/// Which findings a fork's blocks give: a directory's or those of attributes.
struct DaProblems {
  const char* group = "";      ///< of the ids
  const char* structure = "";  ///< of the findings
  Problem hole{};
  Problem sibling{};
  Problem revisited{};
  Problem order{};
  Problem abandoned{};
};
[[nodiscard]] const DaProblems& da_problems(Fork fork);

/// Counts blocks that are not the file's own.
class Identity {
 public:
  Identity(FileView& file, const DaProblems& problems) : file_(file), problems_(problems) {}
  /// Whether flaws leave a block the file's own. Reports the fork as abandoned once too many are not.
  bool own(const Flaws& flaws);
  [[nodiscard]] bool abandoned() const { return foreign_ > kMostForeign; }

 private:
  static constexpr std::uint32_t kMostForeign = 64;
  FileView& file_;
  const DaProblems& problems_;
  std::uint32_t foreign_ = 0;
};

class LeafVisitor {
 public:
  virtual ~LeafVisitor() = default;
  /// Checks a leaf and reports its flaws. False when it is not what it must be.
  virtual bool leaf(const ForkReader::Piece& piece, FileBlock at) = 0;
  /// The hashes of the leaf just visited: first and last. Nothing when it is empty.
  struct Hashes {
    std::uint32_t first = 0;
    std::uint32_t last = 0;
  };
  [[nodiscard]] virtual std::optional<Hashes> hashes() const = 0;

 protected:
  LeafVisitor() = default;
  LeafVisitor(const LeafVisitor&) = default;
  LeafVisitor& operator=(const LeafVisitor&) = default;
};

class DaWalk {
 public:
  DaWalk(FileView& file, const ForkMap& map, Fork fork, Identity& identity, LeafVisitor& visitor);

  /// Walks from the block at `root`. False when something could not be followed.
  bool run(FileBlock root);
  [[nodiscard]] const std::unordered_set<std::uint64_t>& visited() const { return visited_; }

 private:
  struct Level {
    std::optional<std::uint32_t> previous;
    std::uint32_t previous_forward = 0;
    FsBlock previous_address;
    bool known = true;
  };

  /// The greatest hash below; nothing when it is not known.
  std::optional<std::uint32_t> block(FileBlock at, std::optional<std::uint32_t> level);
  std::optional<std::uint32_t> node(const ForkReader::Piece& piece, FileBlock at, std::optional<std::uint32_t> level);
  std::optional<std::uint32_t> leaf(const ForkReader::Piece& piece, FileBlock at);
  void siblings(ByteSpan bytes, FileBlock at, FsBlock address, std::uint32_t level);
  void end_of_levels();
  void lost(std::optional<std::uint32_t> level);
  void report(Problem problem, Finding finding, std::uint64_t found, std::uint64_t expected, const char* detail);

  FileView& file_;
  Fork fork_;
  const DaProblems& problems_;
  Identity& identity_;
  LeafVisitor& visitor_;
  ForkReader reader_;
  std::uint32_t block_length_;
  std::vector<Level> levels_;
  std::unordered_set<std::uint64_t> visited_;
  std::optional<std::uint32_t> last_hash_;
  bool complete_ = true;
};

}  // namespace xdax::fsck

#include "fsck/paths.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "fsck/name_scan.h"

namespace xdax::fsck {
namespace {

constexpr std::size_t kMostPathBytes = 4096;
constexpr std::size_t kMostLevels = 256;

struct Name {
  InodeNumber parent;
  std::string text;
};
using Names = std::map<std::uint64_t, Name>;

// Keeps the first name of each inode that is wanted.
class NameKeeper final : public DirectorySink {
 public:
  NameKeeper(const std::set<std::uint64_t>& wanted, Names& names) : wanted_(wanted), names_(names) {}
  InodeNumber directory;
  void entry(const DirEntry& entry) override {
    if (wanted_.contains(entry.ino.value()))
      names_.try_emplace(entry.ino.value(), Name{directory, std::string(entry.name)});
  }
  void parent(InodeNumber) override {}

 private:
  const std::set<std::uint64_t>& wanted_;
  Names& names_;
};

class PathFinder {
 public:
  explicit PathFinder(FileCheck& check) : check_(check), file_(check.device, check.geometry, silence_) {
    file_.seed = check.seed;
  }

  void look_everywhere(const std::set<std::uint64_t>& wanted) {
    for (const DirectoryRef& ref : all_directories(check_.inodes)) {
      if (names_.size() == wanted.size()) return;
      read(check_.inodes.number(ref.group, check_.inodes.group(ref.group).directories[ref.index].place), wanted);
    }
  }

  // The parents of what has a name are known from the check; only those are read.
  void name_parents() {
    std::set<std::uint64_t> open;
    for (const auto& [ino, name] : names_) open.insert(name.parent.value());
    for (std::size_t level = 0; level < kMostLevels && !open.empty(); ++level) {
      std::map<std::uint64_t, std::set<std::uint64_t>> by_parent;
      for (const std::uint64_t ino : open) {
        if (names_.contains(ino) || ino == check_.geometry.root_inode.value()) continue;
        const auto found = check_.inodes.find(InodeNumber(ino));
        const DirectoryRecord* record = found ? found->group->directory(found->place) : nullptr;
        if (record != nullptr && record->seen != kNullInode) by_parent[record->seen.value()].insert(ino);
      }
      open.clear();
      for (const auto& [parent, children] : by_parent) {
        read(InodeNumber(parent), children);
        open.insert(parent);
      }
    }
  }

  [[nodiscard]] std::string path(std::uint64_t ino) const {
    if (ino == check_.geometry.root_inode.value()) return "/";
    std::string path;
    for (std::size_t level = 0; level <= kMostLevels; ++level) {
      const auto name = names_.find(ino);
      if (name == names_.end()) return {};
      path.insert(0, "/" + name->second.text);
      if (path.size() > kMostPathBytes) return {};
      ino = name->second.parent.value();
      if (ino == check_.geometry.root_inode.value()) return path;
    }
    return {};
  }

 private:
  void read(InodeNumber directory, const std::set<std::uint64_t>& wanted) {
    read_directory(check_, directory, silence_, file_, buffer_, [&](FileView& file, const ForkMap& data) {
      NameKeeper keeper(wanted, names_);
      keeper.directory = directory;
      static_cast<void>(check_directory(file, data, keeper));
    });
  }

  FileCheck& check_;
  NoFindings silence_;
  FileView file_;
  IoBytes buffer_;
  Names names_;
};

}  // namespace

void find_paths(FileCheck& check, FindingList& findings) {
  std::set<std::uint64_t> wanted;
  for (const Finding& finding : findings.findings()) {
    if (finding.inode && check.inodes.find(InodeNumber(*finding.inode))) wanted.insert(*finding.inode);
  }
  if (wanted.empty()) return;
  PathFinder finder(check);
  finder.look_everywhere(wanted);
  finder.name_parents();
  findings.for_each([&](Finding& finding) {
    if (finding.inode && wanted.contains(*finding.inode)) finding.path = finder.path(*finding.inode);
  });
}

}  // namespace xdax::fsck

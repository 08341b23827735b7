#include "fsck/links.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "libfs/format/agi.h"

namespace xdax::fsck {
namespace {

Finding place_inode(const FileCheck& check, InodeNumber ino) {
  Finding finding;
  finding.structure = "inode";
  finding.group = check.geometry.ag_of(ino).value();
  finding.inode = ino.value();
  finding.byte = check.geometry.byte_of(ino);
  return finding;
}

void report(FindingList& findings, Problem problem, Finding finding) {
  finding.problem = problem;
  findings.add(std::move(finding));
}

std::optional<InodeCore> read_core(const FileCheck& check, InodeNumber ino) {
  std::vector<std::byte> bytes(check.geometry.inode_bytes);
  ReadRequest request{.offset_bytes = check.geometry.byte_of(ino), .buffer = bytes, .error = {}};
  check.device.read_batch({&request, 1});
  if (request.error) return std::nullopt;
  const auto& core = view<InodeCore>(bytes);
  if (core.magic != InodeCore::kMagic) return std::nullopt;
  return core;
}

// One list: inodes of a group in use and without links, each pointing to the next, until there is none. Every inode is
// marked when it is reached, so that lists that meet or run in circles end.
void follow_list(FileCheck& check, FindingList& findings, std::uint64_t ag, const UnlinkedHead& list) {
  GroupInodes& inodes = check.inodes.group(ag);
  std::uint32_t next = list.head.value();
  bool first = true;
  while (next != kNullAgInode.value()) {
    const auto place = inodes.find(AgInode(next));
    const InodeNumber ino = check.geometry.inode_number(AgNumber(static_cast<std::uint32_t>(ag)), AgInode(next));
    if (!place || !inodes.in_use(*place)) {
      // The head itself is judged with the header (agi.unlinked).
      if (!first && inodes.intact) {
        Finding finding;
        finding.structure = "agi";
        finding.group = static_cast<std::uint32_t>(ag);
        finding.found = next;
        finding.detail = fmt::format("bucket {} leads to inode {} of the group", list.bucket, next);
        report(findings, Problem::kUnlinkedRange, std::move(finding));
      }
      return;
    }
    const std::uint8_t marks = inodes.marks(*place);
    if ((marks & inode_marks::kUnlinked) != 0) {
      Finding finding = place_inode(check, ino);
      finding.detail = fmt::format("bucket {}", list.bucket);
      return report(findings, Problem::kUnlinkedLoop, std::move(finding));
    }
    inodes.add_marks(*place, inode_marks::kUnlinked);
    // The header's verifier has judged the head.
    if (!first && next % Agi::kUnlinkedBuckets != list.bucket) {
      Finding finding = place_inode(check, ino);
      finding.found = list.bucket;
      finding.expected = next % Agi::kUnlinkedBuckets;
      finding.detail = "the bucket";
      report(findings, Problem::kUnlinkedBucket, std::move(finding));
    }
    if ((marks & inode_marks::kRead) == 0) return;  // what it says of the next is not to be believed
    if ((marks & inode_marks::kNoLinks) == 0) {
      Finding finding = place_inode(check, ino);
      finding.detail = fmt::format("bucket {}", list.bucket);
      report(findings, Problem::kUnlinkedLinked, std::move(finding));
    }
    const auto core = read_core(check, ino);
    if (!core) return;
    next = core->next_unlinked;
    first = false;
  }
}

struct Special {
  InodeNumber ino;
  const char* field;
  FileType type;
  Problem problem;
};

std::vector<Special> special_inodes(const FileCheck& check) {
  const Superblock& superblock = check.superblock;
  std::vector<Special> all = {
      {InodeNumber(superblock.rootino), "sb.rootino", FileType::kDirectory, Problem::kInodeSpecial},
      {InodeNumber(superblock.rbmino), "sb.rbmino", FileType::kRegular, Problem::kInodeSpecial},
      {InodeNumber(superblock.rsumino), "sb.rsumino", FileType::kRegular, Problem::kInodeSpecial}};
  const auto quota = [&](std::uint64_t ino, const char* field) {
    if (ino != 0 && ino != kNullInode.value()) {
      all.push_back({InodeNumber(ino), field, FileType::kRegular, Problem::kQuotaInode});
    }
  };
  quota(superblock.uquotino, "sb.uquotino");
  quota(superblock.gquotino, "sb.gquotino");
  quota(superblock.pquotino, "sb.pquotino");
  return all;
}

class LinkCheck {
 public:
  LinkCheck(FileCheck& check, FindingList& findings) : check_(check), findings_(findings) {}

  // Whether every name is known, so that what has none is lost.
  [[nodiscard]] bool names_known() const { return !check_.incomplete_directories.any() && check_.inodes.intact(); }

  bool run() {
    const bool all_names = names_known();
    for (std::uint64_t ag = 0; ag < check_.inodes.group_count(); ++ag) {
      GroupInodes& inodes = check_.inodes.group(ag);
      for (std::uint32_t place = 0; place < inodes.places(); ++place) {
        const std::uint8_t marks = inodes.marks(place);
        if ((marks & inode_marks::kRead) == 0) continue;
        const std::uint32_t left = inodes.links_left(place);
        const bool odd_list = ((marks & inode_marks::kNoLinks) != 0) != ((marks & inode_marks::kUnlinked) != 0);
        if (left != 0 || odd_list) inode(ag, place, marks, left, all_names);
      }
    }
    return all_names;
  }

 private:
  void inode(std::uint64_t ag, std::uint32_t place, std::uint8_t marks, std::uint32_t left, bool all_names) {
    const InodeNumber ino = check_.inodes.number(ag, place);
    const bool is_directory = static_cast<FileType>((marks & inode_marks::kTypeMask) << 12) == FileType::kDirectory;
    if ((marks & inode_marks::kNoLinks) != 0 && (marks & inode_marks::kUnlinked) == 0 &&
        (is_directory ? !has_entry(ag, place) : left == 0)) {
      if (heads_known(ag)) report(findings_, Problem::kUnlinkedMissing, place_inode(check_, ino));
      return;
    }
    if (left == 0 || (marks & inode_marks::kPinned) != 0) return;
    const auto core = read_core(check_, ino);
    if (!core) return;
    const std::uint32_t links = core->nlink;
    const std::uint32_t seen = links - left;
    const bool directory = core->type() == FileType::kDirectory;
    const bool named = directory ? has_entry(ag, place) || ino == check_.geometry.root_inode : seen > 0;
    if (!named && (marks & inode_marks::kUnlinked) == 0 && links > 0) {
      if (all_names) report(findings_, Problem::kInodeLost, place_inode(check_, ino));
      // A directory that nobody names lacks just the link of its entry.
      if (!directory || left == 1) return;
    }
    // An unlinked directory keeps what its own dots were worth until it goes.
    if ((marks & inode_marks::kUnlinked) != 0 && directory && links == 0) return;
    const bool too_few = left < 0x80000000u;
    if (too_few && !all_names) return;
    Finding finding = place_inode(check_, ino);
    finding.found = links;
    finding.expected = seen;
    finding.detail = "links";
    report(findings_, Problem::kInodeLinks, std::move(finding));
  }

  [[nodiscard]] bool has_entry(std::uint64_t ag, std::uint32_t place) {
    const DirectoryRecord* record = check_.inodes.group(ag).directory(place);
    return record != nullptr && record->seen != kNullInode;
  }
  // Where the inode header is gone, so are the heads of its lists.
  [[nodiscard]] bool heads_known(std::uint64_t ag) const {
    return check_.facts[static_cast<std::size_t>(ag)].inodes_intact;
  }

  FileCheck& check_;
  FindingList& findings_;
};

class TreeCheck {
 public:
  TreeCheck(FileCheck& check, FindingList& findings) : check_(check), findings_(findings) {}

  void run() {
    for (std::uint64_t ag = 0; ag < check_.inodes.group_count(); ++ag) {
      for (const DirectoryRecord& record : check_.inodes.group(ag).directories) {
        const InodeNumber ino = check_.inodes.number(ag, record.place);
        parents(ino, record);
        climb(ino);
      }
    }
  }

 private:
  void parents(InodeNumber ino, const DirectoryRecord& record) {
    if (record.twice) {
      Finding finding = place_inode(check_, ino);
      finding.structure = "directory";
      finding.detail =
          fmt::format("one entry is in inode {}; its own \"..\" says {}", record.seen.value(), record.said.value());
      return report(findings_, Problem::kEntryTwice, std::move(finding));
    }
    const bool root = ino == check_.geometry.root_inode;
    const InodeNumber expected = root ? ino : record.seen;
    if (record.said == kNullInode || expected == kNullInode || record.said == expected) return;
    Finding finding = place_inode(check_, ino);
    finding.structure = "directory";
    finding.found = record.said.value();
    finding.expected = expected.value();
    finding.detail = "its \"..\"";
    report(findings_, Problem::kEntryParent, std::move(finding));
  }

  // Up from entry to entry. What does not end at the root, or at a directory that nobody names (inode.lost), runs in a
  // circle. Each directory is walked over once.
  void climb(InodeNumber from) {
    std::vector<std::uint64_t> path;
    InodeNumber at = from;
    while (settled_.insert(at.value()).second) {
      path.push_back(at.value());
      if (at == check_.geometry.root_inode) return;
      const auto found = check_.inodes.find(at);
      const DirectoryRecord* record = found ? found->group->directory(found->place) : nullptr;
      if (record == nullptr || record->seen == kNullInode) return;
      at = record->seen;
    }
    const auto meeting = std::find(path.begin(), path.end(), at.value());
    if (meeting == path.end()) return;  // a branch walked over before
    Finding finding = place_inode(check_, at);
    finding.structure = "directory";
    finding.detail = fmt::format("{} directories name each other in a circle", path.end() - meeting);
    report(findings_, Problem::kTreeDetached, std::move(finding));
  }

  FileCheck& check_;
  FindingList& findings_;
  std::unordered_set<std::uint64_t> settled_;
};

}  // namespace

void check_unlinked_lists(FileCheck& check, FindingList& findings) {
  for (std::uint64_t ag = 0; ag < check.inodes.group_count(); ++ag) {
    for (const UnlinkedHead& list : check.facts[static_cast<std::size_t>(ag)].unlinked) {
      follow_list(check, findings, ag, list);
    }
  }
}

void check_special_inodes(FileCheck& check, FindingList& findings) {
  for (const Special& special : special_inodes(check)) {
    const auto found = check.inodes.find(special.ino);
    const std::uint64_t ag = check.geometry.ag_of(special.ino).value();
    const bool group_known = ag < check.inodes.group_count() && check.inodes.group(ag).intact;
    const bool in_use = found && found->group->in_use(found->place);
    const std::uint8_t marks = in_use ? found->group->marks(found->place) : std::uint8_t{0};
    if (in_use && (marks & inode_marks::kRead) == 0) continue;  // damaged: reported already
    const auto type = static_cast<FileType>((marks & inode_marks::kTypeMask) << 12);
    if (in_use && type == special.type) {
      // Only the root has entries; the others have one link that no directory holds.
      if (special.type == FileType::kRegular) found->group->take_link(found->place);
      continue;
    }
    if (!in_use && !group_known && check.geometry.valid_inode(special.ino)) continue;
    Finding finding;
    finding.structure = "superblock";
    finding.field = special.field;
    finding.group = 0;
    finding.inode = special.ino.value();
    finding.detail = fmt::format("{}: the inode is {}", special.field, in_use ? "of another type" : "not in use");
    report(findings, special.problem, std::move(finding));
  }
}

void check_links(FileCheck& check, FindingList& findings, SkippedChecks& skipped) {
  if (!LinkCheck(check, findings).run()) skipped.add(CrossCheck::kLinks, check.inodes.group_count());
}

void check_tree(FileCheck& check, FindingList& findings) { TreeCheck(check, findings).run(); }

}  // namespace xdax::fsck

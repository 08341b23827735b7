#include "fsck/files.h"

#include "fsck/extent_compare.h"
#include "fsck/inode_scan.h"
#include "fsck/links.h"
#include "fsck/media.h"
#include "fsck/name_scan.h"
#include "fsck/parent_compare.h"
#include "fsck/paths.h"
#include "libfs/base/math.h"

namespace xdax::fsck {
namespace {

// Tells an observer, when there is one.
class Pass {
 public:
  Pass(CheckObserver* observer, unsigned number, std::uint64_t tasks, const char* title) : observer_(observer) {
    if (observer_ != nullptr) observer_->start_pass(number, tasks, title);
  }
  std::function<void()> step() {
    return [observer = observer_] {
      if (observer != nullptr) observer->advance(1);
    };
  }
  void finish() {
    if (observer_ != nullptr) observer_->finish_pass();
  }

 private:
  CheckObserver* observer_;
};

void lay_out(FileCheck& check) {
  for (std::uint64_t ag = 0; ag < check.inodes.group_count(); ++ag) {
    GroupFacts& facts = check.facts[static_cast<std::size_t>(ag)];
    GroupInodes& inodes = check.inodes.group(ag);
    inodes.chunks = std::move(facts.chunks);
    inodes.intact = facts.inodes_intact;
    inodes.lay_out();
  }
}

}  // namespace

FileTotals check_files(FileCheck& check, CheckObserver* observer, FindingList& findings, SkippedChecks& skipped) {
  lay_out(check);
  FileTotals totals;
  {
    Pass pass(observer, 2, chunk_ranges(check.inodes).size(), "inodes");
    scan_inodes(check, findings, pass.step());
    pass.finish();
  }
  {
    const std::uint64_t directories = all_directories(check.inodes).size();
    Pass pass(observer, 3, div_ceil(directories, directories_per_task(directories)), "directories");
    scan_names(check, findings, pass.step());
    pass.finish();
    totals.directories = directories;
  }
  check.incomplete_extents.settle();
  check.incomplete_directories.settle();
  check.incomplete_attributes.settle();
  check_unlinked_lists(check, findings);
  check_special_inodes(check, findings);
  check_links(check, findings, skipped);
  check_tree(check, findings);
  compare_extents(check, findings, skipped);
  if (check.geometry.features.parent()) compare_parents(check, findings, skipped);
  if (check.media) check_media(check, observer, findings);
  find_paths(check, findings);
  for (std::uint64_t ag = 0; ag < check.inodes.group_count(); ++ag) {
    const GroupInodes& inodes = check.inodes.group(ag);
    for (std::uint32_t place = 0; place < inodes.places(); ++place) {
      if ((inodes.marks(place) & inode_marks::kRead) != 0) ++totals.inodes;
    }
  }
  return totals;
}

}  // namespace xdax::fsck

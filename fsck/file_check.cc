#include "fsck/file_check.h"

#include <algorithm>

namespace xdax::fsck {

void IncompleteFiles::settle() {
  const MutexLock lock(mutex_);
  std::sort(inodes_.begin(), inodes_.end());
}

bool IncompleteFiles::contains(std::uint64_t ino) const {
  const MutexLock lock(mutex_);
  return too_many_ || std::binary_search(inodes_.begin(), inodes_.end(), ino);
}

bool IncompleteFiles::any() const {
  const MutexLock lock(mutex_);
  return !inodes_.empty();
}

}  // namespace xdax::fsck

// What a file holds besides bytes: the checks of directories, attributes, symbolic links and quota records.
//
// Each looks at one file whose forks have been mapped, reports what is wrong to the file's sink, and hands on what
// others have to be compared with: entries, the parent, parent pointers. Names are looked at and never stored. Work is
// bounded by what the fork maps: no block is read more than a fixed number of times, and a fork whose blocks turn out
// to belong to others is abandoned (dir.abandoned, attr.abandoned). Never throws for anything on the device. Not
// thread-safe; a worker for each thread.
#pragma once

#include <cstdint>

#include "fsck/file_view.h"
#include "libfs/format/attr_entry.h"
#include "libfs/format/dir_entry.h"
#include "libfs/format/dquot.h"

namespace xdax::fsck {

/// Told what a directory says: numbers that could be an inode's. A name may be an illegal one, which was reported; it
/// is a link all the same.
class DirectorySink {
 public:
  virtual ~DirectorySink() = default;
  /// An entry but "." and "..".
  virtual void entry(const DirEntry& entry) = 0;
  /// What ".." says (in a shortform directory, the parent).
  virtual void parent(InodeNumber ino) = 0;

 protected:
  DirectorySink() = default;
  DirectorySink(const DirectorySink&) = default;
  DirectorySink& operator=(const DirectorySink&) = default;
};

/// Told the parent pointers of a file.
class AttributeSink {
 public:
  virtual ~AttributeSink() = default;
  /// A complete parent pointer whose value has the right size.
  virtual void parent_pointer(const AttrEntry& entry) = 0;

 protected:
  AttributeSink() = default;
  AttributeSink(const AttributeSink&) = default;
  AttributeSink& operator=(const AttributeSink&) = default;
};

/// What a check came to know of a fork as a whole.
struct ContentReport {
  /// Everything was read and understood: what is not there is missing.
  bool complete = true;
};

/// Checks the content of a directory: the form its size and extents imply, every block, "." and "..", entries against
/// the index both ways, hash order across leaves, duplicate names, the free index, the size. The data fork is local, or
/// `data` maps it.
[[nodiscard]] ContentReport check_directory(FileView& file, const ForkMap& data, DirectorySink& sink);

/// Checks the attributes of a file in any form: the hash tree, order across leaves, duplicate names, remote values and
/// that no two share a block, parent pointers.
[[nodiscard]] ContentReport check_attributes(FileView& file, const ForkMap& attr, AttributeSink& sink);

/// Checks the target of a symbolic link that is not inside its inode: that its blocks hold just the size.
[[nodiscard]] ContentReport check_symlink(FileView& file, const ForkMap& data);

/// Checks the records of a quota file.
[[nodiscard]] ContentReport check_quota_records(FileView& file, const ForkMap& data, DquotType type);

}  // namespace xdax::fsck

// Filesystem: what changes names, and with them links.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "libfs/base/error.h"
#include "libfs/dir/directory_writer.h"
#include "libfs/inode/inactivate.h"
#include "libfs/inode/inode_allocator.h"
#include "libfs/inode/unlinked.h"
#include "libfs/volume/filesystem.h"

namespace xdax {
namespace {

std::uint16_t mode_of(FileType type, std::uint32_t permissions) {
  return static_cast<std::uint16_t>(static_cast<std::uint16_t>(type) | (permissions & 07777u));
}

// A name that may be taken away.
DirItem removable(DirectoryWriter& directory, std::string_view name) {
  auto item = directory.lookup(name);
  if (!item || item->dots()) {
    throw RefusalError(Errc::kNotFound, fmt::format("there is no \"{}\" to remove", name));
  }
  return *std::move(item);
}

// A directory that hands its project down takes nothing of another one.
void require_same_project(const InodeEdit& directory, const InodeEdit& inode) {
  if ((directory.core().flags & inode_flags::kProjInherit) == 0) return;
  if (directory.core().projid() == inode.core().projid()) return;
  throw RefusalError(Errc::kBadArgument, fmt::format("inode {} belongs to another project than directory {}",
                                                     inode.ino().value(), directory.ino().value()));
}

void change_links(const InodeEdit& inode, std::int32_t by) {
  InodeCore& core = inode.change_core();
  if (by > 0 && core.nlink >= limits::kMaxLinks) {
    throw RefusalError(Errc::kTooManyLinks, fmt::format("inode {} has as many links as it can", inode.ino().value()));
  }
  core.nlink += static_cast<std::uint32_t>(by);
}

}  // namespace

void Filesystem::require_free_name(Transaction& transaction, InodeNumber directory, std::string_view name) {
  if (!DirectoryWriter(transaction, directory).lookup(name)) return;
  throw RefusalError(Errc::kExists,
                     fmt::format("{}: directory {} has \"{}\" already", device_.name(), directory.value(), name));
}

// Puts a name for an inode into a directory, which does not have it.
void Filesystem::enter(Transaction& transaction, InodeNumber directory, std::string_view name, InodeNumber ino) {
  DirectoryWriter writer(transaction, directory);
  const InodeEdit inode(transaction, ino);
  require_names_may_come(InodeEdit(transaction, directory));
  writer.add({.name = name, .ino = ino, .type = dir_file_type_of(inode.type())});
  note_parent(inode, directory, name);
  const InodeEdit parent(transaction, directory);
  stamp_times(parent, now(), {.modification = true});
  note_change(parent, now());
  note_change(inode, now());
}

namespace {

ParentPointer pointer_to(Transaction& transaction, InodeNumber directory) {
  ParentPointer pointer;
  pointer.ino = directory.value();
  pointer.gen = InodeEdit(transaction, directory).core().gen;
  return pointer;
}

}  // namespace

void Filesystem::note_parent(const InodeEdit& inode, InodeNumber directory, std::string_view name) {
  if (!geometry_->features.parent()) return;
  make_room_for_attributes(inode);
  const ParentPointer pointer = pointer_to(inode.transaction(), directory);
  AttrWriter(inode).set({.space = attr_flags::kParent, .name = name}, std::as_bytes(std::span(&pointer, 1)),
                        SetMode::kCreate);
}

void Filesystem::forget_parent(const InodeEdit& inode, InodeNumber directory, std::string_view name) {
  if (!geometry_->features.parent()) return;
  const ParentPointer pointer = pointer_to(inode.transaction(), directory);
  AttrWriter(inode).remove({.space = attr_flags::kParent, .name = name}, std::as_bytes(std::span(&pointer, 1)));
}

void Filesystem::set_attribute(InodeNumber ino, AttrNamespace space, std::string_view name, ByteSpan value,
                               SetMode mode) {
  const MutexLock operation(operations_);
  change([&](Transaction& transaction) {
    const InodeEdit inode(transaction, ino);
    require_changeable(inode);
    make_room_for_attributes(inode);
    AttrWriter(inode).set(attr_name(space, name), value, mode);
    note_change(inode, now());
    return true;
  });
}

void Filesystem::remove_attribute(InodeNumber ino, AttrNamespace space, std::string_view name) {
  const MutexLock operation(operations_);
  change([&](Transaction& transaction) {
    const InodeEdit inode(transaction, ino);
    require_changeable(inode);
    AttrWriter(inode).remove(attr_name(space, name));
    note_change(inode, now());
    return true;
  });
}

// One name less; with the last one the inode goes on its way to being free.
void Filesystem::drop_link(Transaction& transaction, const InodeEdit& inode) {
  if (inode.core().nlink == 0) {
    throw CorruptionError(Errc::kBadStructure,
                          fmt::format("{}: inode {} has a name and no link", device_.name(), inode.ino().value()));
  }
  change_links(inode, -1);
  note_change(inode, now());
  if (inode.core().nlink == 0) add_unlinked(transaction, inode.ino());
}

void Filesystem::gone(InodeNumber ino) {
  {
    const MutexLock lock(holds_mutex_);
    if (holds_.contains(ino.value())) return;
  }
  to_free_.push_back(ino);
  try {
    reap();
  } catch (const IoError&) {
    // The name is gone, which is what was asked for; the rest is tried again by the next that goes, and by sync().
    return;
  }
}

void Filesystem::reap() {
  while (!to_free_.empty()) {
    inactivate(*journal_, to_free_.back(), [this](Transaction& transaction) { commit(transaction); });
    to_free_.pop_back();
  }
}

InodeNumber Filesystem::make(InodeNumber directory, std::string_view name, std::uint16_t mode, std::uint32_t rdev,
                             const NewFile& file, const std::function<void(const InodeEdit&)>& fill) {
  const MutexLock operation(operations_);
  return change([&](Transaction& transaction) {
    require_free_name(transaction, directory, name);
    const InodeEdit folder(transaction, directory);
    require_names_may_come(folder);
    if ((mode & kFileTypeMask) == static_cast<std::uint16_t>(FileType::kSymlink) &&
        (folder.core().flags & inode_flags::kNoSymlinks) != 0) {
      throw RefusalError(Errc::kReadOnly, fmt::format("{}: directory {} is marked to have no symbolic links",
                                                      device_.name(), directory.value()));
    }
    const InodeNumber ino = InodeAllocator(transaction)
                                .allocate({.parent = directory,
                                           .mode = mode,
                                           .uid = file.uid,
                                           .gid = file.gid,
                                           .projid = file.projid,
                                           .rdev = rdev,
                                           .now = now(),
                                           .generation = options_.generation()});
    const InodeEdit inode(transaction, ino);
    inode.change_core().nlink = 1u;
    inherit(folder, inode);
    if (fill) fill(inode);
    inherit_acl(folder, inode);
    enter(transaction, directory, name, ino);
    return ino;
  });
}

InodeNumber Filesystem::create(InodeNumber directory, std::string_view name, const NewFile& file) {
  return make(directory, name, mode_of(FileType::kRegular, file.mode), 0, file, {});
}

InodeNumber Filesystem::make_directory(InodeNumber directory, std::string_view name, const NewFile& file) {
  return make(directory, name, mode_of(FileType::kDirectory, file.mode), 0, file, [&](const InodeEdit& inode) {
    inode.change_core().nlink = 2u;
    DirectoryWriter::make_empty(inode, directory);
    change_links(InodeEdit(inode.transaction(), directory), 1);
  });
}

InodeNumber Filesystem::make_symlink(InodeNumber directory, std::string_view name, std::string_view target,
                                     const NewFile& file) {
  return make(directory, name, mode_of(FileType::kSymlink, 0777), 0, file,
              [&](const InodeEdit& inode) { write_symlink(inode, target); });
}

InodeNumber Filesystem::make_node(InodeNumber directory, std::string_view name, FileType type, std::uint32_t rdev,
                                  const NewFile& file) {
  const bool device = type == FileType::kBlockDevice || type == FileType::kCharacterDevice;
  if (!device && type != FileType::kFifo && type != FileType::kSocket) {
    throw RefusalError(Errc::kBadArgument, "a node is a fifo, a socket or a device");
  }
  return make(directory, name, mode_of(type, file.mode), device ? rdev : 0, file, {});
}

void Filesystem::link(InodeNumber ino, InodeNumber directory, std::string_view name) {
  const MutexLock operation(operations_);
  change([&](Transaction& transaction) {
    const InodeEdit inode(transaction, ino);
    require_changeable(inode);
    if (inode.type() == FileType::kDirectory) {
      throw RefusalError(Errc::kIsDirectory, fmt::format("{}: inode {} is a directory, which has one name only",
                                                         device_.name(), ino.value()));
    }
    require_free_name(transaction, directory, name);
    require_same_project(InodeEdit(transaction, directory), inode);
    if (inode.core().nlink == 0) remove_unlinked(transaction, ino);
    change_links(inode, 1);
    enter(transaction, directory, name, ino);
    return true;
  });
}

void Filesystem::unlink(InodeNumber directory, std::string_view name) {
  const MutexLock operation(operations_);
  const auto last = change([&](Transaction& transaction) {
    DirectoryWriter writer(transaction, directory);
    const DirItem item = removable(writer, name);
    const InodeEdit inode(transaction, item.ino);
    inode.require_allocated();
    if (inode.type() == FileType::kDirectory) {
      throw RefusalError(Errc::kIsDirectory, fmt::format("{}: \"{}\" is a directory", device_.name(), name));
    }
    const InodeEdit parent(transaction, directory);
    require_changeable(parent);
    require_changeable(inode);
    writer.remove(name);
    forget_parent(inode, directory, item.name);
    stamp_times(parent, now(), {.modification = true});
    note_change(parent, now());
    drop_link(transaction, inode);
    return inode.core().nlink == 0 ? std::optional(item.ino) : std::nullopt;
  });
  if (last) gone(*last);
}

void Filesystem::remove_directory(InodeNumber directory, std::string_view name) {
  const MutexLock operation(operations_);
  const InodeNumber removed = change([&](Transaction& transaction) {
    DirectoryWriter writer(transaction, directory);
    const DirItem item = removable(writer, name);
    const InodeEdit inode(transaction, item.ino);
    if (inode.type() != FileType::kDirectory) {
      throw RefusalError(Errc::kNotDirectory, fmt::format("{}: \"{}\" is not a directory", device_.name(), name));
    }
    if (!DirectoryWriter(transaction, item.ino).empty()) {
      throw RefusalError(Errc::kNotEmpty, fmt::format("{}: directory \"{}\" is not empty", device_.name(), name));
    }
    const InodeEdit parent(transaction, directory);
    require_changeable(parent);
    require_changeable(inode);
    writer.remove(name);
    forget_parent(inode, directory, item.name);
    change_links(parent, -1);
    stamp_times(parent, now(), {.modification = true});
    note_change(parent, now());
    change_links(inode, -1);
    drop_link(transaction, inode);
    return item.ino;
  });
  gone(removed);
}

// Whether `directory` is `ancestor` or lies somewhere in it.
bool Filesystem::is_below(Transaction& transaction, InodeNumber directory, InodeNumber ancestor) {
  std::unordered_set<std::uint64_t> visited;
  while (visited.insert(directory.value()).second) {
    if (directory == ancestor) return true;
    if (directory == root()) return false;
    const auto up = DirectoryWriter(transaction, directory).lookup("..");
    if (!up) break;
    directory = up->ino;
  }
  throw CorruptionError(Errc::kBadStructure,
                        fmt::format("{}: directory {} does not lie below the root", device_.name(), directory.value()));
}

void Filesystem::rename(InodeNumber from, std::string_view old_name, InodeNumber to, std::string_view new_name,
                        RenameMode mode) {
  const MutexLock operation(operations_);
  const auto last = change([&](Transaction& transaction) -> std::optional<InodeNumber> {
    DirectoryWriter source(transaction, from);
    DirectoryWriter target(transaction, to);
    const auto moved = source.lookup(old_name);
    const auto there = target.lookup(new_name);
    if (!moved || moved->dots() || (mode == RenameMode::kExchange && !there)) {
      throw RefusalError(Errc::kNotFound,
                         fmt::format("{}: there is no \"{}\" to rename", device_.name(), moved ? new_name : old_name));
    }
    if (there && (mode == RenameMode::kNoReplace || there->dots())) {
      throw RefusalError(Errc::kExists,
                         fmt::format("{}: directory {} has \"{}\" already", device_.name(), to.value(), new_name));
    }
    const InodeEdit inode(transaction, moved->ino);
    inode.require_allocated();
    const bool folder = inode.type() == FileType::kDirectory;
    if (there && there->ino == moved->ino && (from != to || there->cookie != moved->cookie)) return std::nullopt;
    if (from == to && old_name == new_name) return std::nullopt;
    if (folder && from != to && is_below(transaction, to, moved->ino)) {
      throw RefusalError(Errc::kBadArgument,
                         fmt::format("{}: \"{}\" cannot move into itself", device_.name(), old_name));
    }
    const InodeEdit from_folder(transaction, from), to_folder(transaction, to);
    require_changeable(from_folder);
    require_changeable(inode);
    require_same_project(to_folder, inode);
    if (there) {
      const InodeEdit other(transaction, there->ino);
      require_changeable(to_folder);
      require_changeable(other);
      if (mode == RenameMode::kExchange) require_same_project(from_folder, other);
    } else {
      require_names_may_come(to_folder);
    }
    const DirFileType type = dir_file_type_of(inode.type());
    std::optional<InodeNumber> dropped;
    if (mode == RenameMode::kExchange) {
      const InodeEdit other(transaction, there->ino);
      const bool other_folder = other.type() == FileType::kDirectory;
      if (other_folder && from != to && is_below(transaction, from, there->ino)) {
        throw RefusalError(Errc::kBadArgument,
                           fmt::format("{}: \"{}\" cannot move into itself", device_.name(), new_name));
      }
      source.replace(old_name, there->ino, dir_file_type_of(other.type()));
      target.replace(new_name, moved->ino, type);
      forget_parent(inode, from, moved->name);
      forget_parent(other, to, there->name);
      note_parent(inode, to, there->name);
      note_parent(other, from, moved->name);
      if (from != to) {
        if (folder) DirectoryWriter(transaction, moved->ino).replace("..", to, DirFileType::kDirectory);
        if (other_folder) DirectoryWriter(transaction, there->ino).replace("..", from, DirFileType::kDirectory);
        const int more = (folder ? 1 : 0) - (other_folder ? 1 : 0);
        if (more != 0) {
          change_links(InodeEdit(transaction, to), more);
          change_links(InodeEdit(transaction, from), -more);
        }
      }
      note_change(other, now());
    } else {
      if (there) {
        const InodeEdit victim(transaction, there->ino);
        const bool victim_folder = victim.type() == FileType::kDirectory;
        if (victim_folder && !folder) {
          throw RefusalError(Errc::kIsDirectory, fmt::format("{}: \"{}\" is a directory", device_.name(), new_name));
        }
        if (folder && !victim_folder) {
          throw RefusalError(Errc::kNotDirectory,
                             fmt::format("{}: \"{}\" is not a directory", device_.name(), new_name));
        }
        if (victim_folder && !DirectoryWriter(transaction, there->ino).empty()) {
          throw RefusalError(Errc::kNotEmpty,
                             fmt::format("{}: directory \"{}\" is not empty", device_.name(), new_name));
        }
        target.replace(new_name, moved->ino, type);
        forget_parent(victim, to, there->name);
        if (victim_folder) {
          change_links(victim, -1);
          change_links(InodeEdit(transaction, to), -1);
        }
        drop_link(transaction, victim);
        if (victim.core().nlink == 0) dropped = there->ino;
      } else {
        target.add({.name = new_name, .ino = moved->ino, .type = type});
      }
      source.remove(old_name);
      forget_parent(inode, from, moved->name);
      note_parent(inode, to, there ? there->name : new_name);
      if (folder && from != to) {
        DirectoryWriter(transaction, moved->ino).replace("..", to, DirFileType::kDirectory);
        change_links(InodeEdit(transaction, to), 1);
        change_links(InodeEdit(transaction, from), -1);
      }
    }
    for (const InodeNumber directory : {from, to}) {
      const InodeEdit parent(transaction, directory);
      stamp_times(parent, now(), {.modification = true});
      note_change(parent, now());
      if (from == to) break;
    }
    note_change(inode, now());
    return dropped;
  });
  if (last) gone(*last);
}

InodeNumber Filesystem::create_unnamed(InodeNumber near, const NewFile& file) {
  const MutexLock operation(operations_);
  const InodeNumber ino = change([&](Transaction& transaction) {
    const InodeNumber fresh = InodeAllocator(transaction)
                                  .allocate({.parent = near,
                                             .mode = mode_of(FileType::kRegular, file.mode),
                                             .uid = file.uid,
                                             .gid = file.gid,
                                             .projid = file.projid,
                                             .now = now(),
                                             .generation = options_.generation()});
    const InodeEdit folder(transaction, near);
    if (folder.type() == FileType::kDirectory) {
      const InodeEdit inode(transaction, fresh);
      inherit(folder, inode);
      inherit_acl(folder, inode);
    }
    add_unlinked(transaction, fresh);
    return fresh;
  });
  hold(ino);
  return ino;
}

void Filesystem::hold(InodeNumber ino) {
  const MutexLock lock(holds_mutex_);
  ++holds_[ino.value()];
}

void Filesystem::release(InodeNumber ino) {
  const MutexLock operation(operations_);
  {
    const MutexLock lock(holds_mutex_);
    const auto held = holds_.find(ino.value());
    if (held == holds_.end()) throw RefusalError(Errc::kBadArgument, fmt::format("inode {} is not held", ino.value()));
    if (--held->second != 0) return;
    holds_.erase(held);
  }
  bool nameless = false;
  {
    Transaction transaction(*journal_);
    const InodeEdit inode(transaction, ino);
    nameless = inode.core().allocated() && inode.core().nlink == 0;
  }
  if (nameless) gone(ino);
}

}  // namespace xdax

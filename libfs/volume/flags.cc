// Filesystem: flags, hints, projects and access control lists of inodes, and what a new inode has of them.
#include <fmt/format.h>

#include <algorithm>

#include "libfs/base/error.h"
#include "libfs/dir/directory_writer.h"
#include "libfs/volume/filesystem.h"

namespace xdax {
namespace {

// What files and directories made in a directory have from it.
constexpr std::uint16_t kInheritedFlags = inode_flags::kNoDump | inode_flags::kSync | inode_flags::kNoAtime |
                                          inode_flags::kNoDefrag | inode_flags::kFilestream;
constexpr std::uint32_t kSetGroupId = 02000;

void set_flag(InodeCore& core, std::uint16_t flag, bool on) {
  core.flags = static_cast<std::uint16_t>(on ? core.flags | flag : core.flags & ~flag);
}

void set_flag2(InodeCore& core, std::uint64_t flag, bool on) {
  core.flags2 = on ? core.flags2 | flag : core.flags2 & ~flag;
}

void set_projid(InodeCore& core, std::uint32_t projid) {
  core.projid_lo = static_cast<std::uint16_t>(projid);
  core.projid_hi = static_cast<std::uint16_t>(projid >> 16);
}

std::string_view name_of(AclKind kind) { return kind == AclKind::kAccess ? kAccessAclName : kDefaultAclName; }

bool file_or_directory(FileType type) { return type == FileType::kRegular || type == FileType::kDirectory; }

// In blocks; a hint that an inode cannot have is refused.
std::uint32_t hint_blocks(const Geometry& geometry, std::uint64_t bytes) {
  const std::uint64_t blocks = bytes >> geometry.block_log;
  const std::uint64_t most = std::min<std::uint64_t>(limits::kMaxExtentBlocks, geometry.ag_blocks / 2);
  if (bytes % geometry.block_bytes != 0 || blocks > most) {
    throw RefusalError(Errc::kBadArgument,
                       fmt::format("a hint of {} bytes is not one of whole blocks up to half a group ({} bytes)", bytes,
                                   most << geometry.block_log));
  }
  return static_cast<std::uint32_t>(blocks);
}

}  // namespace

void Filesystem::require_changeable(const InodeEdit& inode) {
  if (!inode.core().allocated()) {
    throw RefusalError(Errc::kNotFound, fmt::format("{}: there is no inode {}", device_.name(), inode.ino().value()));
  }
  if ((inode.core().flags & (inode_flags::kImmutable | inode_flags::kAppend)) != 0) {
    throw RefusalError(Errc::kReadOnly, fmt::format("{}: inode {} is marked immutable or append-only", device_.name(),
                                                    inode.ino().value()));
  }
}

// Names may come into a directory that is append-only.
void Filesystem::require_names_may_come(const InodeEdit& directory) {
  if ((directory.core().flags & inode_flags::kImmutable) == 0) return;
  throw RefusalError(Errc::kReadOnly,
                     fmt::format("{}: directory {} is marked immutable", device_.name(), directory.ino().value()));
}

template <class Edit>
void Filesystem::edit(InodeNumber ino, const Edit& edit) {
  const MutexLock operation(operations_);
  change([&](Transaction& transaction) {
    const InodeEdit inode(transaction, ino);
    edit(inode);
    note_change(inode, now());
    return true;
  });
}

void Filesystem::set_permissions(InodeNumber ino, std::uint32_t mode) {
  edit(ino, [&](const InodeEdit& inode) {
    require_changeable(inode);
    InodeCore& core = inode.change_core();
    core.mode = static_cast<std::uint16_t>(static_cast<std::uint16_t>(core.type()) | (mode & 07777u));
    // The list says the same.
    std::vector<AclEntry> entries = stored_acl(inode, AclKind::kAccess);
    if (entries.empty()) return;
    for (AclEntry& entry : entries) {
      if (entry.tag == AclTag::kUserObject) entry.permissions = mode >> 6 & 7;
      if (entry.tag == AclTag::kMask) entry.permissions = mode >> 3 & 7;
      if (entry.tag == AclTag::kOther) entry.permissions = mode & 7;
    }
    store_acl(inode, AclKind::kAccess, entries);
  });
}

void Filesystem::set_owner(InodeNumber ino, std::uint32_t uid, std::uint32_t gid) {
  edit(ino, [&](const InodeEdit& inode) {
    require_changeable(inode);
    inode.change_core().uid = uid;
    inode.change_core().gid = gid;
  });
}

void Filesystem::set_times(InodeNumber ino, std::optional<Timestamp> access, std::optional<Timestamp> modification) {
  edit(ino, [&](const InodeEdit& inode) {
    require_changeable(inode);
    if (access) stamp_times(inode, *access, {.access = true});
    if (modification) stamp_times(inode, *modification, {.modification = true});
  });
}

void Filesystem::set_flags(InodeNumber ino, std::uint16_t flags, bool dax) {
  if ((flags & ~kSettableFlags) != 0) {
    throw RefusalError(Errc::kBadArgument,
                       fmt::format("flags {:#x} are not for users to set", flags & ~kSettableFlags));
  }
  edit(ino, [&](const InodeEdit& inode) {
    inode.require_allocated();
    if (dax && !file_or_directory(inode.type())) {
      throw RefusalError(Errc::kBadArgument, "only files and directories can be mapped directly");
    }
    InodeCore& core = inode.change_core();
    core.flags = static_cast<std::uint16_t>((core.flags & ~kSettableFlags) | flags);
    set_flag2(core, inode_flags2::kDax, dax);
  });
}

void Filesystem::set_project(InodeNumber ino, std::uint32_t projid, bool inherited) {
  edit(ino, [&](const InodeEdit& inode) {
    require_changeable(inode);
    if (inherited && inode.type() != FileType::kDirectory) {
      throw RefusalError(Errc::kBadArgument, "only what is made in a directory has its project");
    }
    set_projid(inode.change_core(), projid);
    set_flag(inode.change_core(), inode_flags::kProjInherit, inherited);
  });
}

void Filesystem::set_extent_size_hint(InodeNumber ino, std::uint64_t bytes) {
  const std::uint32_t blocks = hint_blocks(*geometry_, bytes);
  edit(ino, [&](const InodeEdit& inode) {
    require_changeable(inode);
    if (!file_or_directory(inode.type())) {
      throw RefusalError(Errc::kBadArgument, "a hint is for files and directories");
    }
    const bool file = inode.type() == FileType::kRegular;
    if (file && data_extent_count(inode.core()) != 0 && blocks != inode.core().extsize) {
      throw RefusalError(Errc::kBadArgument,
                         fmt::format("{}: inode {} has blocks already", device_.name(), ino.value()));
    }
    InodeCore& core = inode.change_core();
    core.extsize = blocks;
    set_flag(core, file ? inode_flags::kExtsize : inode_flags::kExtszInherit, blocks != 0);
  });
}

void Filesystem::set_copy_size_hint(InodeNumber ino, std::uint64_t bytes) {
  if (!geometry_->features.reflink()) {
    throw RefusalError(Errc::kNotSupported, fmt::format("{}: was made without shared blocks", device_.name()));
  }
  const std::uint32_t blocks = hint_blocks(*geometry_, bytes);
  edit(ino, [&](const InodeEdit& inode) {
    require_changeable(inode);
    if (!file_or_directory(inode.type())) {
      throw RefusalError(Errc::kBadArgument, "a hint is for files and directories");
    }
    inode.change_core().cowextsize = blocks;
    set_flag2(inode.change_core(), inode_flags2::kCowExtsize, blocks != 0);
  });
}

// A new inode is nobody else's yet: its project and group are its directory's where that says so, and so are hints.
void Filesystem::inherit(const InodeEdit& parent, const InodeEdit& inode) {
  const InodeCore& from = parent.core();
  InodeCore& core = inode.change_core();
  const FileType type = core.type();
  const bool folder = type == FileType::kDirectory;
  const bool file = type == FileType::kRegular;
  if ((from.mode & kSetGroupId) != 0) {
    core.gid = from.gid;
    if (folder) core.mode = static_cast<std::uint16_t>(core.mode | kSetGroupId);
  }
  if ((from.flags & inode_flags::kProjInherit) != 0) {
    set_projid(core, from.projid());
    if (folder) set_flag(core, inode_flags::kProjInherit, true);
  }
  if (!folder && !file) return;
  core.flags = static_cast<std::uint16_t>(core.flags | (from.flags & kInheritedFlags));
  if ((from.flags & inode_flags::kExtszInherit) != 0) {
    set_flag(core, folder ? inode_flags::kExtszInherit : inode_flags::kExtsize, true);
    core.extsize = from.extsize;
  }
  if ((from.flags2 & inode_flags2::kCowExtsize) != 0) {
    set_flag2(core, inode_flags2::kCowExtsize, true);
    core.cowextsize = from.cowextsize;
  }
  if ((from.flags2 & inode_flags2::kDax) != 0) set_flag2(core, inode_flags2::kDax, true);
}

// A default list takes the place of the creator's mask.
void Filesystem::inherit_acl(const InodeEdit& parent, const InodeEdit& inode) {
  if (inode.type() == FileType::kSymlink) return;
  const std::vector<AclEntry> inherited = stored_acl(parent, AclKind::kDefault);
  if (inherited.empty()) return;
  std::vector<AclEntry> access = inherited;
  InodeCore& core = inode.change_core();
  restrict_acl(access, core.mode & 0777u);
  core.mode = static_cast<std::uint16_t>((core.mode & ~0777u) | permissions_of_acl(access));
  if (!is_minimal_acl(access)) store_acl(inode, AclKind::kAccess, access);
  if (inode.type() == FileType::kDirectory) store_acl(inode, AclKind::kDefault, inherited);
}

// Over the transaction's own state.
std::vector<AclEntry> Filesystem::stored_acl(const InodeEdit& inode, AclKind kind) {
  if (inode.core().forkoff == 0) return {};
  const MetadataReader reader(inode.transaction().view(), *geometry_);
  const auto value =
      Attributes(reader, InodeReader(reader).read(inode.ino())).get(AttrNamespace::kTrusted, name_of(kind));
  if (!value) return {};
  auto entries = decode_acl(*value);
  if (!entries || !valid_acl(*entries)) {
    throw CorruptionError(Errc::kBadStructure, fmt::format("{}: inode {}: {} is no access control list", device_.name(),
                                                           inode.ino().value(), name_of(kind)));
  }
  return *std::move(entries);
}

void Filesystem::store_acl(const InodeEdit& inode, AclKind kind, const std::vector<AclEntry>& entries) {
  make_room_for_attributes(inode);
  AttrWriter(inode).set(attr_name(AttrNamespace::kTrusted, name_of(kind)), encode_acl(entries));
}

std::vector<AclEntry> Filesystem::acl(InodeNumber ino, AclKind kind) {
  const MutexLock operation(operations_);
  Transaction transaction(*journal_);
  const InodeEdit inode(transaction, ino);
  inode.require_allocated();
  return stored_acl(inode, kind);
}

void Filesystem::set_acl(InodeNumber ino, AclKind kind, std::vector<AclEntry> entries) {
  sort_acl(entries);
  if (!entries.empty() && !valid_acl(entries)) {
    throw RefusalError(Errc::kBadArgument,
                       "an access control list has the owner, the group and others once, and a mask when it names "
                       "users or groups");
  }
  edit(ino, [&](const InodeEdit& inode) {
    require_changeable(inode);
    if (inode.type() == FileType::kSymlink || (kind == AclKind::kDefault && inode.type() != FileType::kDirectory)) {
      throw RefusalError(Errc::kBadArgument,
                         kind == AclKind::kDefault ? "a default list is a directory's" : "a symbolic link has no list");
    }
    if (kind == AclKind::kAccess && !entries.empty()) {
      InodeCore& core = inode.change_core();
      core.mode = static_cast<std::uint16_t>((core.mode & ~0777u) | permissions_of_acl(entries));
    }
    const bool gone = entries.empty() || (kind == AclKind::kAccess && is_minimal_acl(entries));
    if (!gone) return store_acl(inode, kind, entries);
    if (!stored_acl(inode, kind).empty()) {
      AttrWriter(inode).remove(attr_name(AttrNamespace::kTrusted, name_of(kind)));
    }
  });
}

}  // namespace xdax

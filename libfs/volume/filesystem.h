// A filesystem opened for writing: the public face of libfs.
//
//   const auto device = open_device("disk.img", {.mode = OpenMode::kReadWrite});
//   const auto filesystem = Filesystem::open(*device, {});
//   const InodeNumber file = filesystem->create(filesystem->root(), "hello", {.mode = 0644});
//   filesystem->write(file, 0, bytes);
//   filesystem->sync();
//   filesystem->close();
//
// Every operation on names is one atomic change: after a crash all of it is there or nothing. Operations on the bytes
// of a large file take several, each of which leaves the file sound. Nothing is durable before sync() or close()
// returns; what was synced survives any crash, replayed by xdax_repair or by a mount. An operation that throws changed
// nothing, but for the parts of a large one that were done before. An I/O error leaves the filesystem usable: the same
// may be tried again.
//
// Thread-safe: writers take turns, readers run beside them and see each change whole or not at all. Sizes and offsets
// are in bytes. Errors: RefusalError with the cause that is named, CorruptionError for damage that is met, IoError.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libfs/attr/attr_writer.h"
#include "libfs/base/error.h"
#include "libfs/base/mutex.h"
#include "libfs/device/device.h"
#include "libfs/file/file_writer.h"
#include "libfs/format/acl.h"
#include "libfs/format/timestamp.h"
#include "libfs/journal/journal.h"
#include "libfs/volume/volume.h"

namespace xdax {

struct FilesystemOptions {
  /// Where times come from; the clock of this machine unless given. For tests and reproducible images.
  std::function<Timestamp()> clock;
  /// Generation numbers of new inodes; random unless given.
  std::function<std::uint32_t()> generation;
};

/// What a new file is.
struct NewFile {
  std::uint32_t mode = 0644;  ///< permissions
  std::uint32_t uid = 0, gid = 0, projid = 0;
};

enum class RenameMode : std::uint8_t {
  kReplace,    ///< what has the new name goes
  kNoReplace,  ///< kExists when something has it
  kExchange,   ///< the two names change places
};

/// A byte of a file.
struct FilePlace {
  InodeNumber ino;
  std::uint64_t offset_bytes = 0;
};

/// Which of the two access control lists of an inode.
enum class AclKind : std::uint8_t {
  kAccess,   ///< who may do what with it
  kDefault,  ///< of a directory: what is made in it begins with it
};

class Filesystem {
 public:
  /// The device must outlive it. Throws RefusalError: kNotXfs; kNotSupported for a feature that cannot be written or a
  /// log that is not clean, with one line that says what to do.
  [[nodiscard]] static std::unique_ptr<Filesystem> open(Device& device, const FilesystemOptions& options);
  /// Drops what was not synced, as a crash would; the log is then dirty.
  ~Filesystem();
  Filesystem(const Filesystem&) = delete;
  Filesystem& operator=(const Filesystem&) = delete;

  [[nodiscard]] const Geometry& geometry() const { return *geometry_; }
  [[nodiscard]] InodeNumber root() const { return geometry_->root_inode; }
  [[nodiscard]] SummaryCounters counters();

  /// Everything done before the call is durable when it returns. Throws IoError; it may be called again then.
  void sync();
  /// sync(), everything in its place and the log clean: what a mount finds after an unmount. Nothing may be called
  /// afterwards but the destructor. Throws IoError; may be called again then.
  void close();

  /// Calls `use` with the filesystem as it is now; no change happens meanwhile, so keep it short.
  template <class Use>
  auto read(const Use& use) {
    const ReadLock lock(state_);
    return use(static_cast<const Volume&>(*volume_));
  }

  // Names. Directories are given by their inode. kNotDirectory, kNotFound, kExists, kNoSpace, kBadArgument for a name
  // that cannot be, kTooManyLinks.
  InodeNumber create(InodeNumber directory, std::string_view name, const NewFile& file);
  InodeNumber make_directory(InodeNumber directory, std::string_view name, const NewFile& file);
  InodeNumber make_symlink(InodeNumber directory, std::string_view name, std::string_view target, const NewFile& file);
  /// `type` is a fifo, a socket or a device; `rdev` as the format stores it.
  InodeNumber make_node(InodeNumber directory, std::string_view name, FileType type, std::uint32_t rdev,
                        const NewFile& file);
  /// Another name for what is no directory.
  void link(InodeNumber ino, InodeNumber directory, std::string_view name);
  /// Takes a name away; the last one takes the file with it, once nobody holds it. kIsDirectory.
  void unlink(InodeNumber directory, std::string_view name);
  /// kNotEmpty.
  void remove_directory(InodeNumber directory, std::string_view name);
  void rename(InodeNumber from, std::string_view old_name, InodeNumber to, std::string_view new_name, RenameMode mode);

  /// A file without a name, held once; it goes with its last release unless it is linked before.
  InodeNumber create_unnamed(InodeNumber near, const NewFile& file);
  /// Keeps a file while it has no name, and lets it go. Each hold needs one release.
  void hold(InodeNumber ino);
  void release(InodeNumber ino);

  // What an inode says of itself.
  void set_permissions(InodeNumber ino, std::uint32_t mode);
  void set_owner(InodeNumber ino, std::uint32_t uid, std::uint32_t gid);
  void set_times(InodeNumber ino, std::optional<Timestamp> access, std::optional<Timestamp> modification);

  /// Flags that a user sets: of inode_flags any of kSettableFlags, and whether it is to be mapped directly. Where an
  /// inode is marked immutable or append-only, changes of it fail with kReadOnly until the flag is gone.
  void set_flags(InodeNumber ino, std::uint16_t flags, bool dax);
  static constexpr std::uint16_t kSettableFlags = inode_flags::kImmutable | inode_flags::kAppend | inode_flags::kSync |
                                                  inode_flags::kNoAtime | inode_flags::kNoDump |
                                                  inode_flags::kNoSymlinks | inode_flags::kNoDefrag;
  /// Which project an inode belongs to; with `inherited`, of a directory, what is made in it too.
  void set_project(InodeNumber ino, std::uint32_t projid, bool inherited);
  /// What space is allocated in at least, in bytes: whole blocks, or 0 for no hint. Of a file it must have no blocks
  /// yet (kBadArgument); of a directory it is for what is made in it.
  void set_extent_size_hint(InodeNumber ino, std::uint64_t bytes);
  /// The same of copies of shared blocks. kNotSupported where nothing can be shared.
  void set_copy_size_hint(InodeNumber ino, std::uint64_t bytes);

  // Access control lists. An access list that says no more than permissions can becomes them; others change them.
  /// Nothing when there is none.
  [[nodiscard]] std::vector<AclEntry> acl(InodeNumber ino, AclKind kind);
  /// An empty list takes it away. kBadArgument for one that POSIX.1e does not allow, or a default list of no directory.
  void set_acl(InodeNumber ino, AclKind kind, std::vector<AclEntry> entries);

  // Extended attributes: kExists and kNotFound as the mode says; kBadArgument for a name or a value of more than 64
  // KiB.
  void set_attribute(InodeNumber ino, AttrNamespace space, std::string_view name, ByteSpan value,
                     SetMode mode = SetMode::kEither);
  void remove_attribute(InodeNumber ino, AttrNamespace space, std::string_view name);

  // Bytes of regular files; see FileWriter for each. kBadArgument for what is none.
  [[nodiscard]] std::size_t read(InodeNumber ino, std::uint64_t offset_bytes, MutableByteSpan buffer);
  void write(InodeNumber ino, std::uint64_t offset_bytes, ByteSpan bytes);
  void truncate(InodeNumber ino, std::uint64_t size_bytes);
  void allocate(InodeNumber ino, std::uint64_t offset_bytes, std::uint64_t length_bytes, FileWriter::Grow grow);
  void punch(InodeNumber ino, std::uint64_t offset_bytes, std::uint64_t length_bytes);
  void zero(InodeNumber ino, std::uint64_t offset_bytes, std::uint64_t length_bytes, FileWriter::Grow grow);
  void collapse(InodeNumber ino, std::uint64_t offset_bytes, std::uint64_t length_bytes);
  void insert(InodeNumber ino, std::uint64_t offset_bytes, std::uint64_t length_bytes);
  void unshare(InodeNumber ino, std::uint64_t offset_bytes, std::uint64_t length_bytes);

  /// Gives `to` the blocks at `from`; a length of 0 is what is left of its file.
  void share(const FilePlace& from, const FilePlace& to, std::uint64_t length_bytes);
  /// share() when both ranges hold the same bytes, which no reader can tell. Returns whether they do.
  [[nodiscard]] bool deduplicate(const FilePlace& from, const FilePlace& to, std::uint64_t length_bytes);
  /// Copies bytes, by sharing blocks where that can be. Returns how many: fewer than asked for at the end of the
  /// source.
  std::uint64_t copy(const FilePlace& from, const FilePlace& to, std::uint64_t length_bytes);
  void exchange(const FilePlace& one, const FilePlace& other, std::uint64_t length_bytes);
  void exchange_rest(const FilePlace& one, const FilePlace& other);
  /// The next byte at or behind an offset that is or is not in a hole, where what was never written is one too, and so
  /// is what is behind the end. Nothing when there is no such data, or when the offset lies behind the end.
  [[nodiscard]] std::optional<std::uint64_t> next_data(const FilePlace& from);
  [[nodiscard]] std::optional<std::uint64_t> next_hole(const FilePlace& from);

 private:
  Filesystem(Device& device, std::unique_ptr<const Geometry> geometry, FilesystemOptions options);

  void commit(Transaction& transaction);
  /// Runs `change` in a transaction; once more behind a sync() when space that was freed is not durable yet.
  template <class Change>
  auto change(const Change& change);
  [[nodiscard]] Timestamp now() const { return options_.clock(); }
  void change_file(InodeNumber ino, const std::function<void(FileWriter&)>& change);
  void require_regular(const InodeEdit& inode);
  void require_source(InodeNumber ino);
  void require_target(InodeNumber ino);
  /// kReadOnly for what is marked so; a directory that is append-only takes new names.
  void require_changeable(const InodeEdit& inode);
  void require_names_may_come(const InodeEdit& directory);
  /// Changes an inode in a transaction, and notes that it did.
  template <class Edit>
  void edit(InodeNumber ino, const Edit& edit);
  /// What a new file has from the directory that it is made in.
  void inherit(const InodeEdit& parent, const InodeEdit& inode);
  void inherit_acl(const InodeEdit& parent, const InodeEdit& inode);
  [[nodiscard]] std::vector<AclEntry> stored_acl(const InodeEdit& inode, AclKind kind);
  void store_acl(const InodeEdit& inode, AclKind kind, const std::vector<AclEntry>& entries);
  InodeNumber make(InodeNumber directory, std::string_view name, std::uint16_t mode, std::uint32_t rdev,
                   const NewFile& file, const std::function<void(const InodeEdit&)>& fill);
  void require_free_name(Transaction& transaction, InodeNumber directory, std::string_view name);
  void enter(Transaction& transaction, InodeNumber directory, std::string_view name, InodeNumber ino);
  void drop_link(Transaction& transaction, const InodeEdit& inode);
  /// Where the feature is on: notes a name in the inode that it names, and takes the note away.
  void note_parent(const InodeEdit& inode, InodeNumber directory, std::string_view name);
  void forget_parent(const InodeEdit& inode, InodeNumber directory, std::string_view name);
  /// Frees an inode that lost its last name, unless somebody holds it; later, when the device fails now.
  void gone(InodeNumber ino) XDAX_REQUIRES(operations_);
  void reap() XDAX_REQUIRES(operations_);
  [[nodiscard]] bool is_below(Transaction& transaction, InodeNumber directory, InodeNumber ancestor);
  void tell_space();

  Device& device_;
  std::unique_ptr<const Geometry> geometry_;
  FilesystemOptions options_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<const Volume> volume_;
  /// Shared by readers, exclusive while a commit becomes visible.
  SharedMutex state_;
  /// One operation that changes files at a time: several transactions of one must not mix with another's.
  Mutex operations_;
  Mutex holds_mutex_;
  std::map<std::uint64_t, std::uint32_t> holds_ XDAX_GUARDED_BY(holds_mutex_);
  std::vector<InodeNumber> to_free_ XDAX_GUARDED_BY(operations_);  ///< nameless, and nobody's
};

template <class Change>
auto Filesystem::change(const Change& change) {
  for (bool synced = false;;) {
    {
      Transaction transaction(*journal_);
      try {
        auto result = change(transaction);
        commit(transaction);
        return result;
      } catch (const RefusalError& refusal) {
        if (refusal.cause() != Errc::kNoSpace || synced || !journal_->has_busy()) throw;
      }
    }
    journal_->sync();
    synced = true;
  }
}

}  // namespace xdax

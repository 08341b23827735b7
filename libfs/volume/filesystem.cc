#include "libfs/volume/filesystem.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "libfs/base/error.h"
#include "libfs/inode/inactivate.h"
#include "libfs/journal/superblock_edit.h"
#include "libfs/space/free_space.h"

namespace xdax {
namespace {

// What a kernel keeps back for conversions: a twentieth of space, at most this many blocks.
constexpr std::uint64_t kMostPoolBlocks = 8192;
constexpr std::uint64_t kPoolPart = 20;

Timestamp clock_now() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
  return {.seconds = seconds.count(),
          .nanoseconds = static_cast<std::uint32_t>(
              std::chrono::duration_cast<std::chrono::nanoseconds>(since - seconds).count())};
}

}  // namespace

Filesystem::Filesystem(Device& device, std::unique_ptr<const Geometry> geometry, FilesystemOptions options)
    : device_(device),
      geometry_(std::move(geometry)),
      options_(std::move(options)),
      journal_(open_journal(device, *geometry_)),
      volume_(std::make_unique<const Volume>(Volume::over(journal_->cache().view(), *geometry_))) {
  if (!options_.clock) options_.clock = clock_now;
  if (!options_.generation) {
    options_.generation = [engine = std::mt19937(std::random_device{}())]() mutable { return engine(); };
  }
}

Filesystem::~Filesystem() = default;

std::unique_ptr<Filesystem> Filesystem::open(Device& device, const FilesystemOptions& options) {
  auto geometry = std::make_unique<const Geometry>(open_geometry_to_write(device));
  std::unique_ptr<Filesystem> filesystem(new Filesystem(device, std::move(geometry), options));
  {
    // What a crash left without a name, where nobody freed it since.
    const MutexLock operation(filesystem->operations_);
    for (std::uint32_t i = 0; i < filesystem->geometry_->ag_count; ++i) {
      free_unlinked(*filesystem->journal_, AgNumber(i));
    }
  }
  filesystem->tell_space();
  Transaction transaction(*filesystem->journal_);
  if (have_quota_counted(transaction)) transaction.commit();
  return filesystem;
}

// How much of free space files may have, group by group: known exactly now, and followed from here on.
void Filesystem::tell_space() {
  std::uint64_t usable = 0;
  for (std::uint32_t i = 0; i < geometry_->ag_count; ++i) {
    Transaction transaction(*journal_);
    Group group(transaction, AgNumber(i));
    usable += FreeSpace(group).usable_blocks();
  }
  journal_->set_usable(usable, std::min(geometry_->data_blocks / kPoolPart, kMostPoolBlocks));
}

SummaryCounters Filesystem::counters() {
  Transaction transaction(*journal_);
  return transaction.counters();
}

void Filesystem::sync() {
  const MutexLock operation(operations_);
  reap();
  journal_->sync();
}

// Files that have no name go, whoever holds them: a clean log promises that nothing is left to be done.
void Filesystem::close() {
  const MutexLock operation(operations_);
  if (journal_->closed()) return;
  {
    const MutexLock lock(holds_mutex_);
    for (const auto& [ino, count] : holds_) {
      Transaction transaction(*journal_);
      const InodeEdit inode(transaction, InodeNumber(ino));
      if (inode.core().allocated() && inode.core().nlink == 0) to_free_.push_back(inode.ino());
    }
    holds_.clear();
  }
  reap();
  journal_->close();
}

void Filesystem::commit(Transaction& transaction) {
  const WriteLock lock(state_);
  transaction.commit();
}

void Filesystem::change_file(InodeNumber ino, const std::function<void(FileWriter&)>& change) {
  const MutexLock operation(operations_);
  require_target(ino);
  FileWriter writer(*journal_, ino, now(), [this](Transaction& transaction) { commit(transaction); });
  change(writer);
}

// Of a source, which may be marked as it likes.
void Filesystem::require_regular(const InodeEdit& inode) {
  if (!inode.core().allocated()) {
    throw RefusalError(Errc::kNotFound, fmt::format("{}: there is no inode {}", device_.name(), inode.ino().value()));
  }
  if (inode.type() == FileType::kDirectory) {
    throw RefusalError(Errc::kIsDirectory,
                       fmt::format("{}: inode {} is a directory", device_.name(), inode.ino().value()));
  }
  if (inode.type() != FileType::kRegular) {
    throw RefusalError(Errc::kBadArgument,
                       fmt::format("{}: inode {} is not a regular file", device_.name(), inode.ino().value()));
  }
}

void Filesystem::require_source(InodeNumber ino) {
  Transaction transaction(*journal_);
  require_regular(InodeEdit(transaction, ino));
}

void Filesystem::require_target(InodeNumber ino) {
  Transaction transaction(*journal_);
  const InodeEdit inode(transaction, ino);
  require_regular(inode);
  require_changeable(inode);
}

std::size_t Filesystem::read(InodeNumber ino, std::uint64_t offset_bytes, MutableByteSpan buffer) {
  return read([&](const Volume& volume) { return volume.file(ino).read(offset_bytes, buffer); });
}

void Filesystem::write(InodeNumber ino, std::uint64_t offset_bytes, ByteSpan bytes) {
  change_file(ino, [&](FileWriter& file) { file.write(offset_bytes, bytes); });
}
void Filesystem::truncate(InodeNumber ino, std::uint64_t size_bytes) {
  change_file(ino, [&](FileWriter& file) { file.truncate(size_bytes); });
}
void Filesystem::allocate(InodeNumber ino, std::uint64_t offset_bytes, std::uint64_t length_bytes,
                          FileWriter::Grow grow) {
  change_file(ino, [&](FileWriter& file) { file.allocate(offset_bytes, length_bytes, grow); });
}
void Filesystem::punch(InodeNumber ino, std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  change_file(ino, [&](FileWriter& file) { file.punch(offset_bytes, length_bytes); });
}
void Filesystem::zero(InodeNumber ino, std::uint64_t offset_bytes, std::uint64_t length_bytes, FileWriter::Grow grow) {
  change_file(ino, [&](FileWriter& file) { file.zero(offset_bytes, length_bytes, grow); });
}
void Filesystem::collapse(InodeNumber ino, std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  change_file(ino, [&](FileWriter& file) { file.collapse(offset_bytes, length_bytes); });
}
void Filesystem::insert(InodeNumber ino, std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  change_file(ino, [&](FileWriter& file) { file.insert(offset_bytes, length_bytes); });
}
void Filesystem::unshare(InodeNumber ino, std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  change_file(ino, [&](FileWriter& file) { file.unshare(offset_bytes, length_bytes); });
}

}  // namespace xdax

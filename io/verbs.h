// What xdax does: one function a verb. Each prints to `out` and throws xdax::Error.
#pragma once

#include <string>

#include "io/options.h"
#include "io/output.h"
#include "libfs/volume/filesystem.h"
#include "libfs/volume/volume.h"

namespace xdax::io {

void list(const Volume& volume, const Options& options, Output& out);
void tree(const Volume& volume, const Options& options, Output& out);
void show_inode(const Volume& volume, const Options& options, Output& out);
void show_extents(const Volume& volume, const Options& options, Output& out);
void show_attributes(const Volume& volume, const Options& options, Output& out);
void copy_file(const Volume& volume, const Options& options, Output& out);
void digest(const Volume& volume, const Options& options, Output& out);

/// A verb that changes: done and in its place when it returns, or nothing of it but what the verb's page names.
void edit(Filesystem& filesystem, const Options& options);

/// "file", "directory", "symlink", "fifo", "socket", "character", "block".
[[nodiscard]] const char* type_word(FileType type);
/// "drwxr-xr-x"
[[nodiscard]] std::string mode_letters(const InodeCore& core);
/// "2024-05-06 07:08:09.123456789", in UTC.
[[nodiscard]] std::string time_text(std::uint64_t stored, bool bigtime);

struct DeviceNumber {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
};
/// Of a character or block device.
[[nodiscard]] std::optional<DeviceNumber> device_number(const Inode& inode);

}  // namespace xdax::io

// A filesystem in memory that tests change through libfs and then have checked.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fsck/check.h"
#include "fsck/report.h"
#include "libfs/device/memory_device.h"
#include "libfs/journal/transaction.h"
#include "mkfs/format.h"
#include "mkfs/plan.h"

namespace xdax::test {

/// Block sizes and features that the writing layers are tested with.
struct VolumeCase {
  std::string name;
  std::uint32_t block_bytes = 4096;
  bool rmapbt = true;
  bool reflink = true;
  bool parent = false;
  std::uint64_t size_bytes = 256u << 20;
  std::uint64_t ag_count = 4;
  std::uint32_t inode_bytes = 512;
  bool exchange = false;
  std::function<void(mkfs::FormatRequest&)> more = {};  ///< changes the request further
};

inline std::ostream& operator<<(std::ostream& stream, const VolumeCase& each) { return stream << each.name; }

inline mkfs::FormatRequest format_request(const VolumeCase& each) {
  mkfs::FormatRequest request;
  request.block_bytes = each.block_bytes;
  request.rmapbt = each.rmapbt;
  request.reflink = each.reflink;
  request.parent = each.parent;
  request.exchange = each.exchange;
  request.ag_count = each.ag_count;
  request.inode_bytes = each.inode_bytes;
  request.allow_tiny = true;
  if (each.more) each.more(request);
  return request;
}

class WrittenVolume {
 public:
  explicit WrittenVolume(const VolumeCase& each) : device_({.size_bytes = each.size_bytes}) {
    const mkfs::Plan plan = mkfs::make_plan(format_request(each), mkfs::DeviceFacts::of(device_));
    mkfs::format_device(device_, plan, {});
    geometry_ = plan.geometry;
    open();
  }

  [[nodiscard]] MemoryDevice& device() { return device_; }
  [[nodiscard]] Journal& journal() { return *journal_; }
  [[nodiscard]] const Geometry& geometry() const { return geometry_; }
  void open() { journal_ = open_journal(device_, geometry_); }
  /// Closes, and opens again.
  void reopen() {
    journal_->close();
    open();
  }
  /// What the checker says of the device after a close; empty when it is sound.
  [[nodiscard]] std::string problems() {
    reopen();
    return problems_of(device_);
  }
  [[nodiscard]] static std::string problems_of(Device& device) {
    const fsck::CheckResult result = fsck::check_filesystem(device, {.threads = 1});
    std::string all;
    for (const fsck::Finding& finding : result.findings.findings()) all += fsck::describe(finding) + "\n";
    if (!result.complete()) all += "not everything was checked\n";
    return all;
  }

 private:
  MemoryDevice device_;
  Geometry geometry_;
  std::unique_ptr<Journal> journal_;
};

}  // namespace xdax::test

// What the checks of one group share.
#pragma once

#include <cstdint>
#include <optional>

#include "fsck/block_reader.h"
#include "fsck/block_set.h"
#include "fsck/claims.h"
#include "fsck/finding.h"
#include "libfs/device/device.h"
#include "libfs/format/geometry.h"

namespace xdax::fsck {

/// A log sequence number: the cycle in the high half, the 512-byte block of the log in the low half. They compare as
/// numbers.
using LogSequence = std::uint64_t;

struct GroupContext {
  GroupContext(Device& device_in, const Geometry& geometry_in, AgNumber ag_in, FindingSink& findings_in)
      : device(device_in),
        geometry(geometry_in),
        ag(ag_in),
        findings(findings_in),
        reader(device_in, geometry_in, ag_in),
        visited(geometry_in.ag_length_blocks(ag_in)) {}

  Device& device;
  const Geometry& geometry;
  AgNumber ag;
  FindingSink& findings;
  /// Where the log ends; nothing may be stamped later. Nothing when the log could not be read.
  std::optional<LogSequence> log_head;
  BlockReader reader;
  BlockSet visited;
  Claims claims;

  /// A finding placed in this group.
  [[nodiscard]] Finding place(const char* structure) const {
    Finding finding;
    finding.structure = structure;
    finding.group = ag.value();
    return finding;
  }
  /// The same, placed at a block.
  [[nodiscard]] Finding place(const char* structure, AgBlock block) const {
    Finding finding = place(structure);
    finding.block = block.value();
    finding.byte = geometry.byte_of(ag, block);
    return finding;
  }
  void add(Problem problem, Finding finding) {
    finding.problem = problem;
    findings.add(std::move(finding));
  }
  /// Reports a structure stamped past the end of the log.
  void check_stamp(LogSequence lsn, const Finding& where) {
    if (!log_head || lsn <= *log_head || lsn == ~0ull) return;
    Finding finding = where;
    finding.found = lsn;
    finding.expected = *log_head;
    finding.detail = "ought to be at most the end of the log";
    add(Problem::kLsnAhead, std::move(finding));
  }
};

}  // namespace xdax::fsck

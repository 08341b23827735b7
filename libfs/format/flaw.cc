#include "libfs/format/flaw.h"

namespace xdax {

const char* to_string(FlawKind kind) {
  switch (kind) {
    case FlawKind::kMagic:
      return "magic";
    case FlawKind::kVersion:
      return "version";
    case FlawKind::kChecksum:
      return "checksum";
    case FlawKind::kUuid:
      return "uuid";
    case FlawKind::kSelfAddress:
      return "self-address";
    case FlawKind::kOwner:
      return "owner";
    case FlawKind::kSequence:
      return "sequence";
    case FlawKind::kLevel:
      return "level";
    case FlawKind::kCount:
      return "count";
    case FlawKind::kRange:
      return "range";
    case FlawKind::kOrder:
      return "order";
    case FlawKind::kPointer:
      return "pointer";
    case FlawKind::kReserved:
      return "reserved";
    case FlawKind::kConsistency:
      return "consistency";
  }
  return "unknown";
}

}  // namespace xdax

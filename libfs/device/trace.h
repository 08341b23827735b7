// What was asked of a device, in order, and the images that a power cut could have left.
//
// A trace is a list of events: writes and zeroings with what they carried, discards, barriers. A barrier makes
// everything that finished before it began durable. A cut after the first N events leaves on the medium: all events
// before the last barrier among them, whole and in order, and of the later ones any part, in any order, torn at sector
// boundaries. A CrashState names one such outcome; Trace::build() makes its image on a device that holds the initial
// content.
//
// States are values and choices are seeded, so a failing crash test is replayed from the state it printed. A Trace is
// not thread-safe while it is appended to; const members are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "libfs/device/device.h"

namespace xdax {

struct TraceEvent {
  enum class Kind : std::uint8_t {
    kWrite,
    kZero,
    kDiscard,
    kBarrier,
  };
  Kind kind = Kind::kWrite;
  /// The device reported an error. A failed barrier promises nothing. A failed write or zeroing may have arrived in
  /// part: while it is in flight a state may contain any of its sectors, and where events are applied whole it is left
  /// out.
  bool failed = false;
  std::uint64_t offset_bytes = 0;
  std::uint64_t length_bytes = 0;
  /// What a write carried; empty for every other kind.
  std::vector<std::byte> data;
};

/// A part of an event that reached the medium.
struct CrashPiece {
  std::size_t event = 0;
  std::uint64_t offset_bytes = 0;
  std::uint64_t length_bytes = 0;
  bool operator==(const CrashPiece&) const = default;
};

struct CrashState {
  /// These many first events are applied whole and in order.
  std::size_t durable_events = 0;
  /// Then these, in this order.
  std::vector<CrashPiece> pieces;

  bool operator==(const CrashState&) const = default;
  /// One line from which the state can be rebuilt by hand: "17 durable; 18[4096+512] 20[0+1024]".
  [[nodiscard]] std::string describe() const;
};

class Trace {
 public:
  /// `sector_bytes` is where events tear; a power of two.
  explicit Trace(std::uint32_t sector_bytes = 512);

  std::size_t append(TraceEvent event);
  /// Turns a barrier that was begun into one that failed.
  void fail_barrier(std::size_t event);

  [[nodiscard]] const std::vector<TraceEvent>& events() const { return events_; }
  [[nodiscard]] std::uint32_t sector_bytes() const { return sector_bytes_; }
  /// Positions of the barriers that did not fail, ascending.
  [[nodiscard]] std::vector<std::size_t> barriers() const;
  /// How many of the first `count` events a cut after them leaves durable: those before the last barrier, and it.
  [[nodiscard]] std::size_t durable_events(std::size_t count) const;
  /// What the data of all events occupies, in bytes.
  [[nodiscard]] std::uint64_t memory_use_bytes() const { return data_bytes_; }

  /// The first `count` events applied, in order, without failed ones. `count` is at most the number of events.
  [[nodiscard]] CrashState prefix(std::size_t count) const;

  /// Outcomes of a cut after `count` events in which whole events are lost: every subset when there are at most
  /// `max_states` of them; else none, all, each event alone, all but one, and prefixes, up to `max_states`. Never empty
  /// for max_states > 0.
  [[nodiscard]] std::vector<CrashState> subsets(std::size_t count, std::size_t max_states) const;

  /// Outcomes in which one event in flight is torn at a sector boundary, first part or last part kept, all earlier ones
  /// arrived and no later one; every boundary of events of up to `max_boundaries` sectors, and evenly chosen ones of
  /// longer events.
  [[nodiscard]] std::vector<CrashState> torn(std::size_t count, std::size_t max_boundaries) const;

  /// One outcome chosen by `seed`: a random subset of the events in flight, in random order, some torn into runs of
  /// sectors. The same seed gives the same state everywhere.
  [[nodiscard]] CrashState random_state(std::size_t count, std::uint64_t seed) const;

  /// Applies `state` to `image`, which holds the content the device had before the first event. Discarded ranges are
  /// filled with `discard_fill`, since a device promises nothing for them. Throws what the image throws.
  void build(const CrashState& state, Device& image, std::byte discard_fill = std::byte{0}) const;

 private:
  /// The events of a cut after `count` events that may or may not have arrived.
  [[nodiscard]] std::vector<std::size_t> in_flight(std::size_t count) const;
  [[nodiscard]] CrashPiece whole(std::size_t event) const;
  [[nodiscard]] std::uint64_t sectors_of(const TraceEvent& event) const;
  [[nodiscard]] CrashPiece sector_run(std::size_t event, std::uint64_t first, std::uint64_t count) const;
  void apply(const CrashPiece& piece, Device& image, std::byte discard_fill) const;

  std::uint32_t sector_bytes_;
  std::uint64_t data_bytes_ = 0;
  std::vector<TraceEvent> events_;
};

}  // namespace xdax

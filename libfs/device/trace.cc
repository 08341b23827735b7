// A list of what was asked of a device and the images a power cut could have left. See trace.h.

#include "libfs/device/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <span>
#include <utility>

#include "libfs/base/assert.h"
#include "libfs/base/math.h"
#include "libfs/device/random.h"

namespace xdax {
namespace {

using Kind = TraceEvent::Kind;

bool is_barrier(const TraceEvent& event) { return event.kind == Kind::kBarrier && !event.failed; }

bool changes_bytes(const TraceEvent& event) { return event.kind != Kind::kBarrier && event.length_bytes > 0; }

}  // namespace

std::string CrashState::describe() const {
  std::string text = fmt::format("{} durable;", durable_events);
  for (const CrashPiece& piece : pieces) {
    text += fmt::format(" {}[{}+{}]", piece.event, piece.offset_bytes, piece.length_bytes);
  }
  return text;
}

Trace::Trace(std::uint32_t sector_bytes) : sector_bytes_(sector_bytes) {
  XDAX_ASSERT(std::has_single_bit(sector_bytes));
}

std::size_t Trace::append(TraceEvent event) {
  XDAX_ASSERT(event.data.size() == (event.kind == Kind::kWrite ? event.length_bytes : 0));
  data_bytes_ += event.data.size();
  events_.push_back(std::move(event));
  return events_.size() - 1;
}

void Trace::fail_barrier(std::size_t event) {
  XDAX_ASSERT(event < events_.size() && events_[event].kind == Kind::kBarrier);
  events_[event].failed = true;
}

std::vector<std::size_t> Trace::barriers() const {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < events_.size(); ++i) {
    if (is_barrier(events_[i])) found.push_back(i);
  }
  return found;
}

std::size_t Trace::durable_events(std::size_t count) const {
  XDAX_ASSERT(count <= events_.size());
  while (count > 0 && !is_barrier(events_[count - 1])) --count;
  return count;
}

std::vector<std::size_t> Trace::in_flight(std::size_t count) const {
  std::vector<std::size_t> found;
  for (std::size_t i = durable_events(count); i < count; ++i) {
    if (changes_bytes(events_[i])) found.push_back(i);
  }
  return found;
}

CrashPiece Trace::whole(std::size_t event) const {
  return {.event = event, .offset_bytes = events_[event].offset_bytes, .length_bytes = events_[event].length_bytes};
}

std::uint64_t Trace::sectors_of(const TraceEvent& event) const {
  const std::uint64_t first = event.offset_bytes / sector_bytes_;
  return div_ceil(event.offset_bytes + event.length_bytes, std::uint64_t{sector_bytes_}) - first;
}

/// The part of an event in `count` of the sectors it touches, from the one numbered `first`.
CrashPiece Trace::sector_run(std::size_t event, std::uint64_t first, std::uint64_t count) const {
  const TraceEvent& whole_event = events_[event];
  const std::uint64_t base = round_down(whole_event.offset_bytes, std::uint64_t{sector_bytes_});
  const std::uint64_t begin = std::max(whole_event.offset_bytes, base + first * sector_bytes_);
  const std::uint64_t end =
      std::min(whole_event.offset_bytes + whole_event.length_bytes, base + (first + count) * sector_bytes_);
  return {.event = event, .offset_bytes = begin, .length_bytes = end - begin};
}

CrashState Trace::prefix(std::size_t count) const {
  CrashState state;
  state.durable_events = durable_events(count);
  for (const std::size_t event : in_flight(count)) {
    if (!events_[event].failed) state.pieces.push_back(whole(event));
  }
  return state;
}

std::vector<CrashState> Trace::subsets(std::size_t count, std::size_t max_states) const {
  const std::vector<std::size_t> optional = in_flight(count);
  const std::size_t durable = durable_events(count);
  std::vector<CrashState> states;
  const auto add = [&](const auto& keeps) {
    if (states.size() >= max_states) return;
    CrashState state;
    state.durable_events = durable;
    for (std::size_t i = 0; i < optional.size(); ++i) {
      if (keeps(i)) state.pieces.push_back(whole(optional[i]));
    }
    states.push_back(std::move(state));
  };
  const bool exhaustive = optional.size() < 63 && (std::uint64_t{1} << optional.size()) <= max_states;
  if (exhaustive) {
    for (std::uint64_t mask = 0; mask < std::uint64_t{1} << optional.size(); ++mask) {
      add([&](std::size_t i) { return (mask >> i & 1) != 0; });
    }
    return states;
  }
  add([](std::size_t) { return false; });
  add([](std::size_t) { return true; });
  for (std::size_t one = 0; one < optional.size(); ++one) {
    add([&](std::size_t i) { return i == one; });
    add([&](std::size_t i) { return i != one; });
    if (one > 1) add([&](std::size_t i) { return i < one; });
  }
  return states;
}

std::vector<CrashState> Trace::torn(std::size_t count, std::size_t max_boundaries) const {
  const std::vector<std::size_t> optional = in_flight(count);
  std::vector<CrashState> states;
  CrashState before;
  before.durable_events = durable_events(count);
  for (const std::size_t event : optional) {
    const std::uint64_t sectors = sectors_of(events_[event]);
    const std::uint64_t boundaries = std::min<std::uint64_t>(sectors - 1, max_boundaries);
    for (std::uint64_t i = 1; i <= boundaries; ++i) {
      // Evenly spread; with as many boundaries as there are this is i itself. In two steps, as the product could
      // overflow.
      const std::uint64_t step = (sectors - 1) / boundaries;
      const std::uint64_t at = sectors - 1 == boundaries ? i : 1 + (i - 1) * step;
      for (const bool first_part : {true, false}) {
        CrashState state = before;
        state.pieces.push_back(first_part ? sector_run(event, 0, at) : sector_run(event, at, sectors - at));
        states.push_back(std::move(state));
      }
    }
    before.pieces.push_back(whole(event));
  }
  return states;
}

CrashState Trace::random_state(std::size_t count, std::uint64_t seed) const {
  constexpr std::uint64_t kMaxRuns = 8;
  SeededRandom random(seed);
  CrashState state;
  state.durable_events = durable_events(count);
  for (const std::size_t event : in_flight(count)) {
    const std::uint64_t fate = random.below(10);
    const std::uint64_t sectors = sectors_of(events_[event]);
    if (fate < 4 || (fate >= 7 && sectors == 1)) {
      if (fate < 4) state.pieces.push_back(whole(event));
      continue;
    }
    if (fate < 7) continue;  // lost
    std::uint64_t next = 0;
    for (std::uint64_t run = 0, runs = 1 + random.below(kMaxRuns); run < runs && next < sectors; ++run) {
      const std::uint64_t first = next + random.below(sectors - next);
      const std::uint64_t length = 1 + random.below(sectors - first);
      state.pieces.push_back(sector_run(event, first, length));
      next = first + length;
    }
  }
  const bool reordered = random.below(2) == 1;
  for (std::size_t i = state.pieces.size(); reordered && i > 1; --i) {
    std::swap(state.pieces[i - 1], state.pieces[static_cast<std::size_t>(random.below(i))]);
  }
  return state;
}

void Trace::apply(const CrashPiece& piece, Device& image, std::byte discard_fill) const {
  const TraceEvent& event = events_[piece.event];
  XDAX_ASSERT(piece.offset_bytes >= event.offset_bytes &&
              range_fits(piece.offset_bytes - event.offset_bytes, piece.length_bytes, event.length_bytes));
  if (event.kind == Kind::kZero || (event.kind == Kind::kDiscard && discard_fill == std::byte{0})) {
    image.zero(piece.offset_bytes, piece.length_bytes, ZeroMode::kFastest);
    return;
  }
  if (event.kind == Kind::kDiscard) {
    constexpr std::uint64_t kFillBytes = 1u << 20;
    const std::vector<std::byte> fill(static_cast<std::size_t>(std::min(piece.length_bytes, kFillBytes)), discard_fill);
    for (std::uint64_t done = 0; done < piece.length_bytes; done += fill.size()) {
      const std::uint64_t rest = std::min<std::uint64_t>(fill.size(), piece.length_bytes - done);
      image.write(piece.offset_bytes + done, std::span(fill).first(static_cast<std::size_t>(rest)));
    }
    return;
  }
  const auto from = static_cast<std::size_t>(piece.offset_bytes - event.offset_bytes);
  image.write(piece.offset_bytes, std::span(event.data).subspan(from, static_cast<std::size_t>(piece.length_bytes)));
}

void Trace::build(const CrashState& state, Device& image, std::byte discard_fill) const {
  XDAX_ASSERT(state.durable_events <= events_.size());
  for (std::size_t event = 0; event < state.durable_events; ++event) {
    if (changes_bytes(events_[event]) && !events_[event].failed) apply(whole(event), image, discard_fill);
  }
  for (const CrashPiece& piece : state.pieces) {
    XDAX_ASSERT(piece.event < events_.size() && changes_bytes(events_[piece.event]));
    apply(piece, image, discard_fill);
  }
}

}  // namespace xdax

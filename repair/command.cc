#include "repair/command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <new>
#include <nlohmann/json.hpp>
#include <thread>

#include "fsck/report.h"
#include "libfs/base/error.h"
#include "libfs/cli/message.h"
#include "repair/options.h"
#include "repair/replay.h"

namespace xdax::repair {
namespace {

constexpr const char* kProgram = "xdax_repair";
constexpr std::size_t kFindingsShown = 10;

bool print(const std::string& text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

int fail(int status, std::string_view text) {
  cli::error_line(kProgram, text);
  return status;
}

// "2 efi, 1 attri"
std::string kinds_of(const std::vector<LogItem>& intents) {
  std::map<std::string, unsigned> counts;
  for (const LogItem& item : intents) ++counts[to_string(item.type)];
  std::string text;
  for (const auto& [kind, count] : counts) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, kind);
  return text;
}

// Why it is not written, though there is something to write: a clause.
std::string obstacle(const ReplayOutcome& outcome) {
  const RecoveryReport& recovery = outcome.recovery;
  if (recovery.walk.damage) {
    return fmt::format("the log is damaged at cycle {} block {}: {}", recovery.walk.damage->record.cycle,
                       recovery.walk.damage->record.block, recovery.walk.damage->what);
  }
  return fmt::format("with the log replayed, {} problems are left",
                     outcome.check ? outcome.check->findings.problems() : 0);
}

// What was done behind the replay, a line.
std::string text_of(const FinishCounts& finished, bool rehearsed) {
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  if (!finished.intents.empty()) {
    add(fmt::format("{} announced changes made ({})", finished.intents.size(), kinds_of(finished.intents)));
  }
  if (finished.inodes > 0) add(fmt::format("{} inodes without a name freed", finished.inodes));
  if (finished.staged_extents > 0)
    add(fmt::format("{} extents staged for copy on write freed", finished.staged_extents));
  return fmt::format("{}: {}\n", rehearsed ? "to be finished" : "finished", text);
}

std::string text_report(const Options& options, const std::string& device, const ReplayOutcome& outcome) {
  if (outcome.was_clean()) {
    return options.verbose ? fmt::format("{}: the log is clean; there is nothing to replay\n", device) : "";
  }
  const RecoveryReport& recovery = outcome.recovery;
  const ReplayCounts& counts = recovery.counts;
  std::string text =
      fmt::format("{}: {} records, {} transactions: {} buffers, {} inodes, {} chunks of new inodes", device,
                  recovery.walk.records, counts.transactions, counts.buffers, counts.inodes, counts.chunks);
  if (counts.dquots > 0) text += fmt::format(", {} quota records", counts.dquots);
  if (counts.torn > 0) text += fmt::format("; {} on blocks written in part", counts.torn);
  if (counts.newer > 0) text += fmt::format("; {} in place already", counts.newer);
  if (counts.given_up > 0) text += fmt::format("; {} given up later", counts.given_up);
  text += "\n";
  if (recovery.finished) text += fmt::format("{}: {}", device, text_of(*recovery.finished, options.rehearse));
  for (const TouchedFile& file : outcome.files) {
    text += fmt::format("{}: inode {} {}\n", device, file.ino.value(),
                        file.path.empty() ? "without a name" : cli::one_line(file.path));
  }
  if (outcome.check) {
    std::size_t shown = 0;
    for (const fsck::Finding& finding : outcome.check->findings.findings()) {
      if (shown++ < kFindingsShown) text += fmt::format("{}: {}\n", device, fsck::describe(finding));
    }
  }
  if (outcome.written) text += fmt::format("{}: the log was replayed and is clean\n", device);
  if (options.rehearse && outcome.sound()) {
    text += fmt::format("{}: {} KiB would be written, and the log would be clean\n", device,
                        (outcome.changed_bytes + 1023) / 1024);
  }
  return text;
}

std::string json_report(const std::string& device, const ReplayOutcome& outcome) {
  const RecoveryReport& recovery = outcome.recovery;
  const FinishCounts finished = recovery.finished.value_or(FinishCounts{});
  nlohmann::ordered_json object = {{"version", 1},
                                   {"program", kProgram},
                                   {"device", device},
                                   {"log", to_string(recovery.log.state)},
                                   {"records", recovery.walk.records},
                                   {"transactions", recovery.counts.transactions},
                                   {"buffers", recovery.counts.buffers},
                                   {"inodes", recovery.counts.inodes},
                                   {"inode_chunks", recovery.counts.chunks},
                                   {"quota_records", recovery.counts.dquots},
                                   {"written_in_part", recovery.counts.torn},
                                   {"in_place", recovery.counts.newer},
                                   {"given_up", recovery.counts.given_up},
                                   {"unfinished", kinds_of(recovery.unfinished)},
                                   {"unlinked_lists", recovery.unlinked_lists},
                                   {"finished", kinds_of(finished.intents)},
                                   {"freed_inodes", finished.inodes},
                                   {"freed_staged_extents", finished.staged_extents},
                                   {"damage", recovery.walk.damage ? recovery.walk.damage->what : ""},
                                   {"changed_bytes", outcome.changed_bytes},
                                   {"sound", outcome.was_clean() || outcome.sound()},
                                   {"written", outcome.written}};
  auto& files = object["files"] = nlohmann::ordered_json::array();
  for (const TouchedFile& file : outcome.files) files.push_back({{"inode", file.ino.value()}, {"path", file.path}});
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

int run(const Options& options) {
  const std::unique_ptr<Device> device = open_device(
      options.device,
      {.mode = options.rehearse ? OpenMode::kRead : OpenMode::kReadWrite, .io = options.io, .exclusive = true});
  const std::string name = cli::one_line(options.device);
  const ReplayOutcome outcome = replay(*device, {.write = !options.rehearse,
                                                 .name_files = options.verbose || options.rehearse || options.json,
                                                 .threads = std::max(1u, std::thread::hardware_concurrency())});
  const std::string report = options.json ? json_report(name, outcome) : text_report(options, name, outcome);
  if (!print(report)) return fail(kFailed, "standard output cannot be written to");
  if (outcome.was_clean() || outcome.written) return kDone;
  if (!outcome.sound()) {
    return fail(kRefused,
                fmt::format("{}: {}; nothing was written; mount and unmount it instead", name, obstacle(outcome)));
  }
  return kWouldWrite;
}

}  // namespace

int run_command(int argc, const char* const* argv) {
  try {
    const ParsedOptions parsed = parse_options(argc, argv);
    if (!parsed.exit_status) return run(parsed.options);
    if (*parsed.exit_status != 0) return fail(*parsed.exit_status, parsed.message);
    return print(parsed.message) ? kDone : kFailed;
  } catch (const IoError& error) {
    return fail(kFailed, error.what());
  } catch (const CorruptionError& error) {
    return fail(kRefused, fmt::format("{}; nothing was written", error.what()));
  } catch (const RefusalError& error) {
    const bool device = error.cause() == Errc::kOpenFailed || error.cause() == Errc::kInUse;
    return fail(device ? kFailed : kRefused, error.what());
  } catch (const std::bad_alloc&) {
    return fail(kFailed, "not enough memory");
  } catch (const std::exception& error) {
    return fail(kFailed, error.what());
  }
}

}  // namespace xdax::repair

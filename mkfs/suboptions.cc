#include "mkfs/suboptions.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <limits>

#include "libfs/base/error.h"
#include "libfs/cli/parse_size.h"
#include "libfs/cli/suboptions.h"
#include "libfs/format/geometry.h"

namespace xdax::mkfs {
namespace {

constexpr std::uint64_t kAny = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kMaxBlocks32 = 0xffffffffull;

enum class Take : std::uint8_t {
  kSize,       // bytes, with suffixes
  kPowerSize,  // bytes, a power of two
  kCount,      // a plain number
  kSwitch,     // 0 or 1
  kFlag,       // present, or =0 / =1
  kText,
  kUuid,
};

struct Value {
  std::uint64_t number = 0;
  bool on = false;
  std::string text = {};
  Uuid uuid = {};
};

// One suboption: how it reads, what range it has, and where it goes.
struct Row {
  char group;
  const char* key;
  Take take;
  std::uint64_t least;
  std::uint64_t most;
  std::function<void(FormatRequest&, const Value&)> store;
};

[[noreturn]] void refuse(const std::string& text) { throw RefusalError(Errc::kBadArgument, text); }

template <class T>
std::function<void(FormatRequest&, const Value&)> number_into(std::optional<T> FormatRequest::* member,
                                                              std::uint64_t scale = 1) {
  return [member, scale](FormatRequest& request, const Value& value) { request.*member = value.number * scale; };
}
std::function<void(FormatRequest&, const Value&)> switch_into(std::optional<bool> FormatRequest::* member) {
  return [member](FormatRequest& request, const Value& value) { request.*member = value.on; };
}
std::function<void(FormatRequest&, const Value&)> flag_into(bool FormatRequest::* member) {
  return [member](FormatRequest& request, const Value& value) { request.*member = value.on; };
}
std::function<void(FormatRequest&, const Value&)> text_into(std::optional<std::string> FormatRequest::* member) {
  return [member](FormatRequest& request, const Value& value) { request.*member = value.text; };
}

constexpr std::uint64_t kMaxBlock = 1ull << limits::kMaxBlockLog;
constexpr std::uint64_t kMinBlock = 1ull << limits::kMinBlockLog;
constexpr std::uint64_t kMinSector = 1ull << limits::kMinSectorLog;
constexpr std::uint64_t kMaxSector = 1ull << limits::kMaxSectorLog;

const std::vector<Row>& rows() {
  using R = FormatRequest;
  static const std::vector<Row> table = {
      {'b', "size", Take::kPowerSize, kMinBlock, kMaxBlock, number_into(&R::block_bytes)},
      {'s', "size", Take::kPowerSize, kMinSector, kMaxSector, number_into(&R::sector_bytes)},

      {'m', "crc", Take::kSwitch, 0, 1, switch_into(&R::crc)},
      {'m', "finobt", Take::kSwitch, 0, 1, switch_into(&R::finobt)},
      {'m', "rmapbt", Take::kSwitch, 0, 1, switch_into(&R::rmapbt)},
      {'m', "reflink", Take::kSwitch, 0, 1, switch_into(&R::reflink)},
      {'m', "inobtcount", Take::kSwitch, 0, 1, switch_into(&R::inobtcount)},
      {'m', "bigtime", Take::kSwitch, 0, 1, switch_into(&R::bigtime)},
      {'m', "uuid", Take::kUuid, 0, 0, [](R& request, const Value& value) { request.uuid = value.uuid; }},

      {'d', "size", Take::kSize, 1, kAny, number_into(&R::data_bytes)},
      {'d', "agcount", Take::kCount, 1, limits::kMaxAgCount, number_into(&R::ag_count)},
      {'d', "agsize", Take::kSize, limits::kMinAgBytes, limits::kMaxAgBytes, number_into(&R::ag_bytes)},
      {'d', "su", Take::kSize, 0, kMaxBlocks32, number_into(&R::stripe_unit_bytes)},
      {'d', "sw", Take::kCount, 0, kMaxBlocks32, number_into(&R::stripe_width_units)},
      {'d', "sunit", Take::kCount, 0, kMaxBlocks32, number_into(&R::stripe_unit_bytes, kBasicBlockBytes)},
      {'d', "swidth", Take::kCount, 0, kMaxBlocks32, number_into(&R::stripe_width_bytes, kBasicBlockBytes)},
      {'d', "noalign", Take::kFlag, 0, 1, flag_into(&R::no_align)},
      {'d', "file", Take::kFlag, 0, 1, flag_into(&R::data_is_file)},
      {'d', "name", Take::kText, 0, 0, text_into(&R::data_name)},
      {'d', "sectsize", Take::kPowerSize, kMinSector, kMaxSector, number_into(&R::sector_bytes)},
      {'d', "rtinherit", Take::kFlag, 0, 1, flag_into(&R::realtime_inherit)},
      {'d', "projinherit", Take::kCount, 0, kMaxBlocks32, number_into(&R::project_inherit)},
      {'d', "extszinherit", Take::kCount, 0, kMaxBlocks32, number_into(&R::extent_size_inherit_blocks)},
      {'d', "cowextsize", Take::kCount, 0, kMaxBlocks32, number_into(&R::cow_extent_size_blocks)},
      {'d', "daxinherit", Take::kFlag, 0, 1, switch_into(&R::dax_inherit)},

      {'i', "size", Take::kPowerSize, 1u << limits::kMinInodeLog, 1u << limits::kMaxInodeLog,
       number_into(&R::inode_bytes)},
      {'i', "perblock", Take::kCount, 2, kMaxBlock >> limits::kMinInodeLog, number_into(&R::inodes_per_block)},
      {'i', "maxpct", Take::kCount, 0, 100, number_into(&R::inode_percent)},
      {'i', "align", Take::kFlag, 0, 1, switch_into(&R::align_inodes)},
      {'i', "attr", Take::kCount, 0, 2, number_into(&R::attr_version)},
      {'i', "projid32bit", Take::kFlag, 0, 1, switch_into(&R::projid32)},
      {'i', "sparse", Take::kFlag, 0, 1, switch_into(&R::sparse)},
      {'i', "nrext64", Take::kFlag, 0, 1, switch_into(&R::nrext64)},
      {'i', "exchange", Take::kFlag, 0, 1, switch_into(&R::exchange)},

      {'l', "size", Take::kSize, 1, limits::kMaxLogBytes, number_into(&R::log_bytes)},
      {'l', "agnum", Take::kCount, 0, kMaxBlocks32, number_into(&R::log_ag)},
      {'l', "internal", Take::kFlag, 0, 1, switch_into(&R::log_internal)},
      {'l', "version", Take::kCount, 1, 2, number_into(&R::log_version)},
      {'l', "su", Take::kSize, 0, limits::kMaxLogStripeBytes, number_into(&R::log_stripe_bytes)},
      {'l', "sunit", Take::kCount, 0, limits::kMaxLogStripeBytes / kBasicBlockBytes,
       number_into(&R::log_stripe_bytes, kBasicBlockBytes)},
      {'l', "sectsize", Take::kPowerSize, kMinSector, kMaxSector, number_into(&R::log_sector_bytes)},
      {'l', "lazy-count", Take::kSwitch, 0, 1, switch_into(&R::lazy_count)},
      {'l', "logdev", Take::kText, 0, 0, text_into(&R::log_device)},
      {'l', "name", Take::kText, 0, 0, text_into(&R::log_device)},

      {'n', "size", Take::kPowerSize, 4096, kMaxBlock, number_into(&R::directory_block_bytes)},
      {'n', "version", Take::kText, 0, 0, text_into(&R::directory_version)},
      {'n', "ftype", Take::kSwitch, 0, 1, switch_into(&R::ftype)},
      {'n', "parent", Take::kFlag, 0, 1, switch_into(&R::parent)},
  };
  return table;
}

struct Exclusion {
  char group;
  const char* first;
  const char* second;
};
constexpr Exclusion kExclusions[] = {
    {'d', "agcount", "agsize"}, {'d', "su", "sunit"},      {'d', "su", "swidth"},  {'d', "sw", "sunit"},
    {'d', "sw", "swidth"},      {'d', "su", "noalign"},    {'d', "sw", "noalign"}, {'d', "sunit", "noalign"},
    {'d', "swidth", "noalign"}, {'i', "size", "perblock"}, {'l', "su", "sunit"},   {'l', "agnum", "logdev"},
};

constexpr std::pair<const char*, char> kSections[] = {{"block", 'b'},    {"data", 'd'},   {"inode", 'i'}, {"log", 'l'},
                                                      {"metadata", 'm'}, {"naming", 'n'}, {"sector", 's'}};

std::string known_keys(char group) {
  std::string text;
  for (const Row& row : rows()) {
    if (row.group == group) text += fmt::format("{}{}", text.empty() ? "" : ", ", row.key);
  }
  return text;
}

const Row& find_row(char group, const GivenSuboption& given) {
  for (const Row& row : rows()) {
    if (row.group == group && given.key == row.key) return row;
  }
  refuse(fmt::format("{}: no such suboption; -{} takes {}", given.where, group, known_keys(group)));
}

std::string range_text(const Row& row) {
  const bool size = row.take == Take::kSize || row.take == Take::kPowerSize;
  const auto show = [size](std::uint64_t value) { return size ? cli::format_size(value) : fmt::format("{}", value); };
  const char* kind = row.take == Take::kPowerSize ? "a power of two " : "";
  if (row.most == kAny) return fmt::format("{}of at least {}", kind, show(row.least));
  return fmt::format("{}from {} to {}", kind, show(row.least), show(row.most));
}

Value read_number(const Row& row, const GivenSuboption& given, const cli::SizeUnits& units) {
  const bool size = row.take == Take::kSize || row.take == Take::kPowerSize;
  const auto parsed = size ? cli::parse_size(*given.value, units) : cli::parse_count(*given.value);
  if (!parsed)
    refuse(fmt::format("{}={}: {}; give a value {}", given.where, *given.value, parsed.error(), range_text(row)));
  const bool power = row.take != Take::kPowerSize || std::has_single_bit(*parsed);
  if (*parsed < row.least || *parsed > row.most || !power) {
    refuse(fmt::format("{}={}: out of range; give a value {}", given.where, *given.value, range_text(row)));
  }
  return {.number = *parsed};
}

Value read_value(const Row& row, const GivenSuboption& given, const cli::SizeUnits& units) {
  if (row.take == Take::kFlag && !given.value) return {.on = true};
  if (!given.value || given.value->empty())
    refuse(fmt::format("{}: needs a value, as in {}=...", given.where, given.key));
  switch (row.take) {
    case Take::kText:
      return {.text = *given.value};
    case Take::kUuid:
      if (*given.value == "generate") return {.uuid = Uuid::random()};
      if (const auto uuid = Uuid::parse(*given.value); uuid && !uuid->is_nil()) return {.uuid = *uuid};
      refuse(fmt::format("{}={}: not a uuid; give 8-4-4-4-12 hexadecimal digits that are not all zero", given.where,
                         *given.value));
    case Take::kSwitch:
    case Take::kFlag: {
      const auto parsed = cli::parse_switch(*given.value);
      if (!parsed) refuse(fmt::format("{}={}: {}; give 0 or 1", given.where, *given.value, parsed.error()));
      return {.on = *parsed};
    }
    default:
      return read_number(row, given, units);
  }
}

const GivenSuboption* find_given(const GivenOptions& given, char group, std::string_view key) {
  const auto found = given.find(group);
  if (found == given.end()) return nullptr;
  const auto at =
      std::find_if(found->second.begin(), found->second.end(), [key](const auto& each) { return each.key == key; });
  return at == found->second.end() ? nullptr : &*at;
}

void check_exclusions(const GivenOptions& given) {
  for (const Exclusion& pair : kExclusions) {
    const GivenSuboption* first = find_given(given, pair.group, pair.first);
    const GivenSuboption* second = find_given(given, pair.group, pair.second);
    if (first != nullptr && second != nullptr) {
      refuse(fmt::format("{} and {} exclude each other; give one of them", first->where, second->where));
    }
  }
  const GivenSuboption* sector = find_given(given, 's', "size");
  const GivenSuboption* data_sector = find_given(given, 'd', "sectsize");
  if (sector != nullptr && data_sector != nullptr && sector->value != data_sector->value) {
    refuse(fmt::format("{} and {} both set the sector size; give one of them", sector->where, data_sector->where));
  }
}

}  // namespace

char group_of_section(std::string_view section) {
  for (const auto& [name, group] : kSections) {
    if (section == name) return group;
  }
  return '\0';
}

void add_command_line_lists(GivenOptions& given, char group, const std::vector<std::string>& lists) {
  if (lists.empty()) return;
  const auto merged = cli::merge_suboptions(lists);
  if (!merged) refuse(fmt::format("-{}: {}", group, merged.error()));
  for (const cli::Suboption& suboption : *merged) {
    // "-s 4096" style values without a key are the common slip.
    given[group].push_back({suboption.key, suboption.value, fmt::format("-{} {}", group, suboption.key)});
  }
}

void add_configuration_line(GivenOptions& given, std::string_view section, GivenSuboption suboption) {
  const char group = group_of_section(section);
  if (group == '\0') {
    refuse(fmt::format("{}: no such section; there are block, data, inode, log, metadata, naming and sector",
                       suboption.where));
  }
  if (const GivenSuboption* earlier = find_given(given, group, suboption.key)) {
    if (earlier->value == suboption.value) return;
    refuse(fmt::format("{} and {} say different things; remove one of them", earlier->where, suboption.where));
  }
  given[group].push_back(std::move(suboption));
}

void apply_given_options(const GivenOptions& given, FormatRequest& request) {
  check_exclusions(given);
  // The suffixes b and s mean the block and sector size wherever those stand on the line, so these two are read first.
  cli::SizeUnits units{.block_bytes = 0, .sector_bytes = kBasicBlockBytes};
  const auto read_first = [&](char group, const char* key, std::uint64_t& unit) {
    if (const GivenSuboption* found = find_given(given, group, key))
      unit = read_value(find_row(group, *found), *found, units).number;
  };
  read_first('d', "sectsize", units.sector_bytes);
  read_first('s', "size", units.sector_bytes);
  read_first('b', "size", units.block_bytes);
  if (units.block_bytes == 0) units.block_bytes = request.block_bytes_or_default();
  for (const auto& [group, suboptions] : given) {
    for (const GivenSuboption& suboption : suboptions) {
      const Row& row = find_row(group, suboption);
      row.store(request, read_value(row, suboption, units));
    }
  }
}

}  // namespace xdax::mkfs

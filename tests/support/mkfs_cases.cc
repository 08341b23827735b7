#include "tests/support/mkfs_cases.h"

namespace xdax::test {
namespace {

constexpr std::uint64_t kMiB = 1ull << 20;
constexpr std::uint64_t kGiB = 1ull << 30;
constexpr std::uint64_t kTiB = 1ull << 40;

using Options = std::vector<std::string>;

Options join(Options left, const Options& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

const Options kFull = explicit_features(true, true, true);

MkfsCase full(std::string name, std::uint64_t size_bytes, const Options& options) {
  return {.name = std::move(name), .size_bytes = size_bytes, .options = join(kFull, options)};
}

void add_block_sizes(std::vector<MkfsCase>& cases) {
  for (const std::uint32_t block : {1024u, 2048u, 4096u, 8192u, 16384u, 32768u, 65536u}) {
    const std::string size = "size=" + std::to_string(block);
    const std::string name = "block_" + std::to_string(block);
    // Groups large enough for the log that the largest blocks need.
    cases.push_back(full(name, 2 * kGiB, {"-b", size}));
    cases.push_back({.name = name + "_plain",
                     .size_bytes = kGiB,
                     .options = join(explicit_features(false, false, false), {"-b", size})});
  }
}

void add_sectors_and_inodes(std::vector<MkfsCase>& cases) {
  for (const char* sector : {"512", "1024", "2048", "4096"}) {
    cases.push_back(full(std::string("sector_") + sector, kGiB, {"-s", std::string("size=") + sector}));
  }
  MkfsCase hard = full("sector_4096_on_4096_device", kGiB, {"-s", "size=4096"});
  hard.loop_sector_bytes = 4096;
  cases.push_back(hard);
  cases.push_back(full("sector_16384_block_16384", 2 * kGiB, {"-s", "size=16384", "-b", "size=16384"}));
  for (const char* inode : {"512", "1024", "2048"}) {
    cases.push_back(full(std::string("inode_") + inode, kGiB, {"-i", std::string("size=") + inode}));
  }
  cases.push_back(full("inode_2048_block_65536", 2 * kGiB, {"-i", "size=2048", "-b", "size=65536"}));
  cases.push_back(full("inode_perblock_4", kGiB, {"-i", "perblock=4"}));
  cases.push_back(full("inode_maxpct_7", kGiB, {"-i", "maxpct=7"}));
  cases.push_back(full("sparse_off", kGiB, {"-i", "sparse=0"}));
  cases.push_back(full("sparse_off_block_1024", kGiB, {"-i", "sparse=0", "-b", "size=1024"}));
  cases.push_back(full("directory_65536", kGiB, {"-n", "size=65536"}));
  cases.push_back(full("directory_8192_block_1024", kGiB, {"-n", "size=8192", "-b", "size=1024"}));
}

void add_groups_and_stripes(std::vector<MkfsCase>& cases) {
  for (const char* count : {"1", "2", "3", "7", "16"}) {
    cases.push_back(full(std::string("groups_") + count, 2 * kGiB, {"-d", std::string("agcount=") + count}));
  }
  cases.push_back(full("group_size_100m", 1000 * kMiB, {"-d", "agsize=100m"}));
  cases.push_back(full("last_group_dropped", 1000 * kMiB + 5 * kMiB, {"-d", "agsize=100m"}));
  cases.push_back(full("last_group_short", 1000 * kMiB + 33 * kMiB, {"-d", "agsize=100m"}));
  cases.push_back(full("odd_size", kGiB + 12345 * 4096, {}));
  cases.push_back(full("smaller_than_device", kGiB, {"-d", "size=700m"}));
  cases.push_back(full("stripe_64k_4", 4 * kGiB, {"-d", "su=64k,sw=4"}));
  cases.push_back(full("stripe_256k_8", 10 * kGiB, {"-d", "su=256k,sw=8"}));
  cases.push_back(full("stripe_1m_3", 4 * kGiB, {"-d", "su=1m,sw=3"}));
  cases.push_back(full("stripe_2m_1", 4 * kGiB, {"-d", "su=2m,sw=1"}));
  cases.push_back(full("stripe_in_sectors", 4 * kGiB, {"-d", "sunit=128,swidth=512"}));
  cases.push_back(full("stripe_block_1024", 4 * kGiB, {"-d", "su=32k,sw=2", "-b", "size=1024"}));
  cases.push_back(full("stripe_noalign", kGiB, {"-d", "noalign"}));
  cases.push_back(full("extent_hint", kGiB, {"-d", "extszinherit=512"}));
  cases.push_back(full("cow_hint", kGiB, {"-d", "cowextsize=16"}));
  cases.push_back(full("dax_flag", kGiB, {"-d", "daxinherit=1"}));
  cases.push_back(full("project", kGiB, {"-d", "projinherit=70000"}));
}

void add_logs(std::vector<MkfsCase>& cases) {
  cases.push_back(full("log_64m", 2 * kGiB, {"-l", "size=64m"}));
  cases.push_back(full("log_500m", 4 * kGiB, {"-l", "size=500m"}));
  cases.push_back(full("log_largest", 20 * kGiB, {"-l", "size=2037m"}));
  cases.push_back(full("log_in_group_0", kGiB, {"-l", "agnum=0"}));
  cases.push_back(full("log_in_last_group", kGiB, {"-l", "agnum=3"}));
  cases.push_back(full("log_stripe_4k", kGiB, {"-l", "su=4k"}));
  cases.push_back(full("log_stripe_32k", kGiB, {"-l", "su=32k"}));
  cases.push_back(full("log_stripe_256k", kGiB, {"-l", "su=256k"}));
  cases.push_back(full("log_stripe_in_sectors", kGiB, {"-l", "sunit=64"}));
  cases.push_back(full("log_in_blocks", kGiB, {"-l", "size=20000b"}));
}

void add_features(std::vector<MkfsCase>& cases) {
  for (unsigned bits = 0; bits < 8; ++bits) {
    const bool rmapbt = (bits & 1) != 0;
    const bool reflink = (bits & 2) != 0;
    const bool nrext64 = (bits & 4) != 0;
    cases.push_back({.name = std::string("features") + (rmapbt ? "_rmapbt" : "") + (reflink ? "_reflink" : "") +
                             (nrext64 ? "_nrext64" : ""),
                     .size_bytes = kGiB,
                     .options = explicit_features(rmapbt, reflink, nrext64)});
  }
  const Options base = {"-m", "rmapbt=1,reflink=1", "-i", "nrext64=1"};
  cases.push_back(
      {.name = "finobt_off", .size_bytes = kGiB, .options = join(base, {"-m", "finobt=0,inobtcount=0,bigtime=1"})});
  cases.push_back(
      {.name = "inobtcount_off", .size_bytes = kGiB, .options = join(base, {"-m", "finobt=1,inobtcount=0,bigtime=1"})});
  cases.push_back(
      {.name = "bigtime_off", .size_bytes = kGiB, .options = join(base, {"-m", "finobt=1,inobtcount=1,bigtime=0"})});
  MkfsCase ascii_ci = full("ascii_ci", kGiB, {"-n", "version=ci"});
  ascii_ci.judge = Judge::kNoKernel;  // this kernel is built without ascii-ci
  cases.push_back(ascii_ci);
  for (const char* option : {"parent", "exchange"}) {
    MkfsCase newer = full(option, kGiB, {});
    newer.judge = Judge::kOnlyKernel;  // xfsprogs 6.1 knows neither parent pointers nor exchange-range
    newer.own_options = {std::string(option) == "parent" ? "-n" : "-i", std::string(option) + "=1"};
    cases.push_back(newer);
  }
}

void add_sizes(std::vector<MkfsCase>& cases) {
  const auto sized = [&](const char* name, std::uint64_t size_bytes) { cases.push_back(full(name, size_bytes, {})); };
  const auto plain = [&](const char* name, std::uint64_t size_bytes) {
    cases.push_back({.name = name, .size_bytes = size_bytes, .options = explicit_features(false, false, false)});
  };
  plain("size_16m", 16 * kMiB);
  plain("size_32m", 32 * kMiB);
  plain("size_64m", 64 * kMiB);
  plain("size_128m", 128 * kMiB);
  sized("size_299m", 299 * kMiB);
  sized("size_300m", 300 * kMiB);
  sized("size_512m", 512 * kMiB);
  sized("size_100g", 100 * kGiB);
  sized("size_1t", kTiB);
  sized("size_4t", 4 * kTiB);
  sized("size_60t", 60 * kTiB);
  sized("size_1p", 1024 * kTiB);
}

}  // namespace

std::vector<std::string> explicit_features(bool rmapbt, bool reflink, bool nrext64) {
  const auto bit = [](bool on) { return on ? "1" : "0"; };
  return {"-m", std::string("finobt=1,inobtcount=1,bigtime=1,rmapbt=") + bit(rmapbt) + ",reflink=" + bit(reflink), "-i",
          std::string("nrext64=") + bit(nrext64)};
}

std::ostream& operator<<(std::ostream& stream, const MkfsCase& each) { return stream << each.name; }

const std::vector<MkfsCase>& mkfs_matrix() {
  static const std::vector<MkfsCase> cases = [] {
    std::vector<MkfsCase> all;
    add_block_sizes(all);
    add_sectors_and_inodes(all);
    add_groups_and_stripes(all);
    add_logs(all);
    add_features(all);
    add_sizes(all);
    return all;
  }();
  return cases;
}

}  // namespace xdax::test

// The option sets the tests of mkfs.xdax and fsck.xdax run over.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

namespace xdax::test {

/// Which oracles can judge a case. Where one cannot, the reason stands beside the case.
enum class Judge : std::uint8_t {
  kBoth,        ///< mkfs.xfs makes the same; xfs_repair and the kernel read it
  kNoKernel,    ///< the kernel here does not mount it
  kOnlyKernel,  ///< a feature xfsprogs 6.1 does not know; the kernel does
};

struct MkfsCase {
  std::string name;
  std::uint64_t size_bytes = 0;
  /// Given to mkfs.xdax and to mkfs.xfs alike; every feature whose default differs between the two is named.
  std::vector<std::string> options;
  Judge judge = Judge::kBoth;
  /// Only mkfs.xdax knows these.
  std::vector<std::string> own_options = {};
  /// Logical sector of the loop device for the kernel.
  std::uint32_t loop_sector_bytes = 512;
};

std::ostream& operator<<(std::ostream& stream, const MkfsCase& each);

/// At least sixty: block, sector and inode sizes, groups, stripes, logs, features on and off, 16 MiB to 1 PB.
[[nodiscard]] const std::vector<MkfsCase>& mkfs_matrix();

/// Options that name the features whose defaults differ between mkfs.xdax and mkfs.xfs 6.1.
[[nodiscard]] std::vector<std::string> explicit_features(bool rmapbt, bool reflink, bool nrext64);

}  // namespace xdax::test

// The writable filesystem against a model, with the checker as judge.
#include <gtest/gtest.h>

#include "tests/support/filesystem_model.h"
#include "tests/support/written_volume.h"

namespace xdax::test {
namespace {

FilesystemOptions reproducible() {
  return {.clock = [] { return Timestamp{.seconds = 1'700'000'000, .nanoseconds = 1}; },
          .generation = [next = 0u]() mutable { return ++next; }};
}

class FilesystemModel : public ::testing::TestWithParam<VolumeCase> {
 protected:
  FilesystemModel() : device_({.size_bytes = GetParam().size_bytes}) {
    const mkfs::Plan plan = mkfs::make_plan(format_request(GetParam()), mkfs::DeviceFacts::of(device_));
    mkfs::format_device(device_, plan, {});
  }

  MemoryDevice device_;
};

TEST_P(FilesystemModel, RandomWorkLeavesWhatTheModelHas) {
  for (const std::uint64_t seed : {1u, 2u}) {
    SCOPED_TRACE(seed);
    auto filesystem = Filesystem::open(device_, reproducible());
    RandomWork work(*filesystem, seed);
    if (seed == 2) {
      // Many names, so that directories go through all their forms and back.
      work.max_names = 4000;
      work.max_file_bytes = 20'000;
    }
    for (int i = 0; i < 4000; ++i) {
      work.step();
      if (i % 100 == 0) filesystem->sync();
      if (i % 1000 != 999) continue;
      ASSERT_EQ(work.difference(), "") << "after step " << i;
      filesystem->close();
      ASSERT_EQ(WrittenVolume::problems_of(device_), "") << "after step " << i;
      filesystem = Filesystem::open(device_, reproducible());
      work.use(*filesystem);
      ASSERT_EQ(work.difference(), "");
    }
    // All of it goes again.
    const auto clear = [&](const auto& self, ModelNode& node) -> void {
      for (const auto& [name, child] : node.names) {
        if (child->type == FileType::kDirectory) {
          self(self, *child);
          filesystem->remove_directory(node.ino, name);
        } else {
          filesystem->unlink(node.ino, name);
        }
      }
      node.names.clear();
    };
    clear(clear, work.root());
    filesystem->close();
    ASSERT_EQ(WrittenVolume::problems_of(device_), "");
  }
}

INSTANTIATE_TEST_SUITE_P(
    Geometries, FilesystemModel,
    ::testing::Values(VolumeCase{.name = "4k"}, VolumeCase{.name = "1k", .block_bytes = 1024},
                      VolumeCase{.name = "1k_plain", .block_bytes = 1024, .rmapbt = false, .reflink = false},
                      VolumeCase{.name = "2k_inodes", .inode_bytes = 2048},
                      VolumeCase{.name = "64k", .block_bytes = 65536, .size_bytes = 2u << 30}),
    [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace xdax::test

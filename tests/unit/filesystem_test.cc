// The writable filesystem against a model, with the checker as judge.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <thread>

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
    if (seed == 1 && GetParam().reflink) {
      EXPECT_GT(work.shared(), 10u);
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

// Several threads change parts of the tree, others read all of it and sync, beside each other.
TEST_P(FilesystemModel, ThreadsWorkBesideEachOther) {
  auto filesystem = Filesystem::open(device_, {});
  constexpr std::uint64_t kWriters = 4;
  std::vector<std::unique_ptr<RandomWork>> works;
  for (std::uint64_t i = 0; i < kWriters; ++i) {
    const std::string name = "part" + std::to_string(i);
    const InodeNumber folder = filesystem->make_directory(filesystem->root(), name, {.mode = 0755});
    works.push_back(std::make_unique<RandomWork>(*filesystem, 100 + i, folder));
    works.back()->max_file_bytes = 40'000;
  }
  std::atomic<bool> done = false;
  std::atomic<std::uint64_t> passes = 0;
  std::vector<std::thread> threads;
  for (auto& work : works) {
    threads.emplace_back([&work] {
      for (int i = 0; i < 700; ++i) work->step();
    });
  }
  // A reader sees each change whole: what a directory names is in use, and has as many links as it ought to.
  std::thread reader([&] {
    while (!done) {
      filesystem->read([](const Volume& volume) {
        const auto visit = [&](const auto& self, InodeNumber folder) -> void {
          std::uint32_t folders = 0;
          for (const DirItem& item : volume.directory(folder).list()) {
            const Inode inode = volume.inode(item.ino);
            ASSERT_TRUE(inode.core().allocated());
            if (inode.type() != FileType::kDirectory) continue;
            ++folders;
            self(self, item.ino);
          }
          ASSERT_EQ(volume.inode(folder).core().nlink, folders + 2);
        };
        visit(visit, volume.root());
      });
      ++passes;
    }
  });
  std::thread syncer([&] {
    while (!done) {
      filesystem->sync();
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  });
  for (std::thread& thread : threads) thread.join();
  done = true;
  reader.join();
  syncer.join();
  EXPECT_GT(passes, 0u);
  for (const auto& work : works) EXPECT_EQ(work->difference(), "");
  filesystem->close();
  ASSERT_EQ(WrittenVolume::problems_of(device_), "");
  filesystem = Filesystem::open(device_, reproducible());
  for (const auto& work : works) {
    work->use(*filesystem);
    EXPECT_EQ(work->difference(), "");
  }
  filesystem->close();
}

// A directory that goes through all its forms and back, and keeps every position meanwhile.
TEST_P(FilesystemModel, ADirectoryOfThousandsGrowsAndShrinks) {
  auto filesystem = Filesystem::open(device_, reproducible());
  const InodeNumber folder = filesystem->make_directory(filesystem->root(), "folder", {.mode = 0755});
  const InodeNumber file = filesystem->create(folder, "file", {});
  const int names = filesystem->geometry().dir_block_bytes() > 8192 ? 10'000 : 6'000;
  std::vector<int> order;
  std::set<std::string> forms;
  const auto form = [&] {
    return filesystem->read([&](const Volume& volume) { return to_string(volume.directory(folder).form()); });
  };
  std::map<std::string, std::uint64_t> cookies;
  for (int i = 0; i < names; ++i) {
    filesystem->link(file, folder, "name" + std::to_string(i));
    order.push_back(i);
    forms.insert(form());
    if (i == names / 2) {
      for (const DirItem& item :
           filesystem->read([&](const Volume& volume) { return volume.directory(folder).list(); })) {
        cookies[item.name] = item.cookie;
      }
    }
  }
  // What large inodes hold is more than one block of 4 KiB does.
  if (GetParam().inode_bytes > 512) forms.insert("block");
  EXPECT_EQ(forms, (std::set<std::string>{"short", "block", "leaf", "node"}));
  for (const DirItem& item : filesystem->read([&](const Volume& volume) { return volume.directory(folder).list(); })) {
    const auto before = cookies.find(item.name);
    if (before == cookies.end()) continue;
    ASSERT_EQ(before->second, item.cookie) << item.name;
  }
  filesystem->close();
  ASSERT_EQ(WrittenVolume::problems_of(device_), "");
  filesystem = Filesystem::open(device_, reproducible());
  std::mt19937_64 random(1);
  std::shuffle(order.begin(), order.end(), random);
  forms.clear();
  for (std::size_t i = 0; i < order.size(); ++i) {
    filesystem->unlink(folder, "name" + std::to_string(order[i]));
    forms.insert(form());
    if (i == order.size() / 2) {
      filesystem->close();
      ASSERT_EQ(WrittenVolume::problems_of(device_), "");
      filesystem = Filesystem::open(device_, reproducible());
    }
  }
  EXPECT_TRUE(forms.contains("node") && forms.contains("short"));
  filesystem->close();
  EXPECT_EQ(WrittenVolume::problems_of(device_), "");
}

INSTANTIATE_TEST_SUITE_P(
    Geometries, FilesystemModel,
    ::testing::Values(VolumeCase{.name = "4k"}, VolumeCase{.name = "1k", .block_bytes = 1024},
                      VolumeCase{.name = "1k_plain", .block_bytes = 1024, .rmapbt = false, .reflink = false},
                      VolumeCase{.name = "2k_inodes", .inode_bytes = 2048},
                      VolumeCase{.name = "4k_parent", .parent = true},
                      VolumeCase{.name = "1k_parent", .block_bytes = 1024, .parent = true},
                      VolumeCase{.name = "64k", .block_bytes = 65536, .size_bytes = 2u << 30},
                      VolumeCase{.name = "2k", .block_bytes = 2048},
                      VolumeCase{.name = "16k", .block_bytes = 16384, .size_bytes = 1u << 30, .ag_count = 1},
                      VolumeCase{.name = "32k", .block_bytes = 32768, .size_bytes = 1u << 30, .ag_count = 2},
                      VolumeCase{.name = "16_groups", .size_bytes = 512u << 20, .ag_count = 16},
                      VolumeCase{.name = "old_features",
                                 .rmapbt = false,
                                 .reflink = false,
                                 .more =
                                     [](mkfs::FormatRequest& request) {
                                       request.finobt = false;
                                       request.inobtcount = false;
                                       request.sparse = false;
                                       request.bigtime = false;
                                       request.nrext64 = false;
                                     }},
                      VolumeCase{.name = "dir_8k",
                                 .block_bytes = 1024,
                                 .more = [](mkfs::FormatRequest& request) { request.directory_block_bytes = 8192; }},
                      VolumeCase{.name = "dir_64k",
                                 .more = [](mkfs::FormatRequest& request) { request.directory_block_bytes = 65536; }},
                      VolumeCase{.name = "case_blind",
                                 .more = [](mkfs::FormatRequest& request) { request.directory_version = "ci"; }},
                      VolumeCase{.name = "striped",
                                 .more =
                                     [](mkfs::FormatRequest& request) {
                                       request.stripe_unit_bytes = 64u << 10;
                                       request.stripe_width_units = 2;
                                       request.log_stripe_bytes = 64u << 10;
                                     }},
                      VolumeCase{.name = "sector_4k",
                                 .more = [](mkfs::FormatRequest& request) { request.sector_bytes = 4096; }},
                      VolumeCase{.name = "hints",
                                 .more =
                                     [](mkfs::FormatRequest& request) {
                                       request.extent_size_inherit_blocks = 4;
                                       request.cow_extent_size_blocks = 8;
                                       request.project_inherit = 7;
                                     }}),
    [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace xdax::test

// The test support itself: what other tests lean on.

#include "tests/support/process.h"

#include <gtest/gtest.h>

#include <csignal>
#include <stdexcept>

#include "tests/support/temp_dir.h"
#include "tests/support/xfs_db.h"

namespace xdax::test {
namespace {

TEST(Process, KeepsBothOutputsAndTheStatusApart) {
  const ProcessResult result = run({"sh", "-c", "echo out; echo err >&2; exit 3"});
  EXPECT_EQ(result.exit_status, 3);
  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(result.err, "err\n");
  EXPECT_FALSE(result.ok());
  EXPECT_FALSE(result.timed_out);
}

TEST(Process, PassesArgumentsUntouched) {
  EXPECT_EQ(run({"printf", "[%s]", "a b", "$HOME", "*", ""}).out, "[a b][$HOME][*][]");
}

TEST(Process, CollectsMoreThanAPipeHolds) {
  const ProcessResult result = run({"sh", "-c", "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2"});
  EXPECT_TRUE(result.ok());
  EXPECT_EQ(result.out.size(), 3000000u);
  EXPECT_EQ(result.err.size(), 3000000u);
}

TEST(Process, GivesInputAndThenItsEnd) {
  const std::string input(200000, 'x');
  EXPECT_EQ(run({"wc", "-c"}, {.input = input}).out, "200000\n");
  EXPECT_EQ(run({"wc", "-c"}).out, "0\n");
}

TEST(Process, KillsTheWholeGroupAtTheDeadline) {
  const auto start = std::chrono::steady_clock::now();
  const ProcessResult result =
      run({"sh", "-c", "echo begun; sleep 60 & sleep 60"}, {.timeout = std::chrono::milliseconds(300)});
  EXPECT_TRUE(result.timed_out);
  EXPECT_FALSE(result.ok());
  EXPECT_EQ(result.exit_status, -1);
  EXPECT_EQ(result.out, "begun\n");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(Process, DoesNotWaitForWhatOutlivesIt) {
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(run({"sh", "-c", "sleep 5 & echo done"}).out, "done\n");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(4));
}

TEST(Process, SaysWhichSignalEndedIt) {
  const ProcessResult result = run({"sh", "-c", "kill -SEGV $$"});
  EXPECT_EQ(result.signal, SIGSEGV);
  EXPECT_EQ(result.exit_status, -1);
  EXPECT_NE(result.describe().find("signal 11"), std::string::npos);
}

TEST(Process, SetsEnvironmentAndFolder) {
  const TempDir folder;
  EXPECT_EQ(run({"pwd"}, {.working_directory = folder.path()}).out, folder.path().string() + "\n");
  EXPECT_EQ(run({"sh", "-c", "echo $LC_ALL $XDAX_X"}, {.environment = {{"XDAX_X", "y"}}}).out, "C y\n");
}

TEST(Process, RefusesWhatDoesNotExist) {
  EXPECT_THROW((void)run({"xdax-no-such-program"}), std::runtime_error);
  EXPECT_THROW((void)run({"/xdax/no/such/program"}), std::runtime_error);
  EXPECT_THROW((void)run({}), std::runtime_error);
  EXPECT_THROW((void)run_or_throw({"false"}), std::runtime_error);
}

TEST(TempDir, GoesAwayWithEverythingInIt) {
  std::filesystem::path path;
  {
    const TempDir folder(memory_temp_parent());
    path = folder.path();
    std::filesystem::create_directories(folder.path("a") / "b");
    const auto file = folder.sparse_file("image", std::uint64_t{1} << 40);
    EXPECT_EQ(std::filesystem::file_size(file), std::uint64_t{1} << 40);
    overwrite(file, 4096, "here");
    EXPECT_EQ(read_bytes(file, 4095, 6), std::string("\0here\0", 6));
    EXPECT_THROW((void)read_bytes(file, (std::uint64_t{1} << 40) - 1, 2), std::runtime_error);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(XfsDbOutput, ReadsEveryFormOfNumber) {
  const XfsDbOutput output = parse_xfs_db(
      "magicnum = 0x58465342\nblocks = 76800\nnext = null\ncrc = 0xd901d397 (correct)\n"
      "uuid = 01234567-89ab-cdef-0123-456789abcdef\nfname = \"a = b\"\nno field\n");
  EXPECT_EQ(output.number("magicnum"), 0x58465342u);
  EXPECT_EQ(output.number("blocks"), 76800u);
  EXPECT_EQ(output.number("next"), ~std::uint64_t{0});
  EXPECT_EQ(output.number("crc"), 0xd901d397u);
  EXPECT_EQ(output.at("fname"), "\"a = b\"");
  EXPECT_THROW((void)output.number("uuid"), std::runtime_error);
  EXPECT_THROW((void)output.at("nothing"), std::runtime_error);
}

}  // namespace
}  // namespace xdax::test

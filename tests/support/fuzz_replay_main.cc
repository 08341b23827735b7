// Runs a fuzz target over the files of its corpus, without a fuzzer: what once broke stays mended, in every build.
// Arguments are files and folders. A folder without a file is an error, because a check that runs nothing cannot fail.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

std::vector<std::filesystem::path> files_of(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) return {path};
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

int replay(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) {
    std::fprintf(stderr, "cannot read %s\n", path.c_str());
    return 1;
  }
  const std::vector<char> bytes((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  // Printed before the run, so that a crash names its input.
  std::printf("%s: %zu bytes\n", path.c_str(), bytes.size());
  std::fflush(stdout);
  // A heap block of exactly this size lets the sanitizers see one byte past the end.
  const std::vector<std::uint8_t> input(bytes.begin(), bytes.end());
  LLVMFuzzerTestOneInput(input.data(), input.size());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  int failures = argc < 2 ? 1 : 0;
  std::size_t replayed = 0;
  for (int i = 1; i < argc; ++i) {
    const std::filesystem::path path = argv[i];
    const std::vector<std::filesystem::path> files =
        std::filesystem::exists(path) ? files_of(path) : std::vector<std::filesystem::path>{};
    if (files.empty()) {
      std::fprintf(stderr, "%s: no corpus files\n", argv[i]);
      ++failures;
    }
    for (const auto& file : files) failures += replay(file);
    replayed += files.size();
  }
  std::printf("%zu inputs replayed\n", replayed);
  return failures == 0 ? 0 : 1;
}

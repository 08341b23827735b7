// make_tree FOLDER FILES [BYTES]: fills a folder with FILES small files, a thousand to a directory and a hundred
// directories to a directory above, each file of BYTES bytes (100 unless given). For benchmarks: the tree is the same
// each time. Exits 1 with one line when something fails.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace {

constexpr std::uint64_t kFilesPerDirectory = 1000;
constexpr std::uint64_t kDirectoriesPerBranch = 100;

int fail(const std::string& what) {
  std::fprintf(stderr, "make_tree: %s: %s\n", what.c_str(), std::strerror(errno));
  return 1;
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

int main(int argc, char** argv) {
  const auto files = argc > 2 ? number(argv[2]) : std::nullopt;
  const auto bytes = argc > 3 ? number(argv[3]) : std::optional<std::uint64_t>(100);
  if (!files || !bytes || argc > 4) {
    std::fprintf(stderr, "usage: make_tree FOLDER FILES [BYTES]\n");
    return 1;
  }
  const std::string content(static_cast<std::size_t>(*bytes), 'x');
  std::string directory;
  int descriptor = -1;
  for (std::uint64_t i = 0; i < *files; ++i) {
    if (i % kFilesPerDirectory == 0) {
      const std::uint64_t number_of_directory = i / kFilesPerDirectory;
      const std::string branch =
          std::string(argv[1]) + "/b" + std::to_string(number_of_directory / kDirectoriesPerBranch);
      if (number_of_directory % kDirectoriesPerBranch == 0 && ::mkdir(branch.c_str(), 0755) != 0) return fail(branch);
      directory = branch + "/d" + std::to_string(number_of_directory);
      if (::mkdir(directory.c_str(), 0755) != 0) return fail(directory);
      if (descriptor >= 0) ::close(descriptor);
      descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      if (descriptor < 0) return fail(directory);
    }
    const std::string name = "file-" + std::to_string(i) + ".txt";
    const int file = ::openat(descriptor, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (file < 0) return fail(directory + "/" + name);
    const ssize_t written = ::write(file, content.data(), content.size());
    if (::close(file) != 0 || written != static_cast<ssize_t>(content.size())) return fail(directory + "/" + name);
  }
  if (descriptor >= 0) ::close(descriptor);
  return 0;
}

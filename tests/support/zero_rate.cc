// zero_rate FILE [MEBIBYTES [ROUNDS]]: how fast a mapped device zeroes a large range beside plain non-temporal stores,
// for script/bench.d/zero. FILE is made with that size and all its blocks; it goes with the run. Both sides store into
// mappings of it that were touched before; they take turns, and the one that goes first changes. Prints the median of
// the rounds' ratios, the device's rate over the stores'. Exits 1 with one line when something fails, and 2 when the
// device does not store through its mapping.
#include <fcntl.h>
#include <fmt/format.h>
#include <immintrin.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "libfs/device/device.h"

namespace {

// A file that is there for as long as this is, mapped.
class MappedFile {
 public:
  MappedFile(std::string path, std::size_t bytes) : path_(std::move(path)), bytes_(bytes) {
    const int file = ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0) throw std::system_error(errno, std::generic_category(), path_);
    const bool allocated = ::posix_fallocate(file, 0, static_cast<off_t>(bytes_)) == 0;
    if (allocated) memory_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    ::close(file);
    if (!allocated || memory_ == MAP_FAILED) {
      ::unlink(path_.c_str());
      throw std::runtime_error(path_ + " cannot be made and mapped");
    }
  }
  ~MappedFile() {
    ::munmap(memory_, bytes_);
    ::unlink(path_.c_str());
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  [[nodiscard]] std::span<std::byte> bytes() const { return {static_cast<std::byte*>(memory_), bytes_}; }

 private:
  std::string path_;
  std::size_t bytes_;
  void* memory_ = MAP_FAILED;
};

void store_16(std::span<std::byte> memory) {
  const __m128i zero = _mm_setzero_si128();
  auto* at = reinterpret_cast<__m128i*>(memory.data());
  for (auto* const end = at + memory.size() / sizeof(__m128i); at != end; at += 4) {
    _mm_stream_si128(at, zero);
    _mm_stream_si128(at + 1, zero);
    _mm_stream_si128(at + 2, zero);
    _mm_stream_si128(at + 3, zero);
  }
  _mm_sfence();
}

__attribute__((target("avx"))) void store_32(std::span<std::byte> memory) {
  const __m256i zero = _mm256_setzero_si256();
  auto* at = reinterpret_cast<__m256i*>(memory.data());
  for (auto* const end = at + memory.size() / sizeof(__m256i); at != end; at += 4) {
    _mm256_stream_si256(at, zero);
    _mm256_stream_si256(at + 1, zero);
    _mm256_stream_si256(at + 2, zero);
    _mm256_stream_si256(at + 3, zero);
  }
  _mm_sfence();
}

template <class Work>
double seconds(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int compare(const std::string& path, std::size_t bytes, std::uint64_t rounds) {
  const MappedFile file(path, bytes);
  const auto device = xdax::open_device(path, {.mode = xdax::OpenMode::kReadWrite, .io = xdax::IoChoice::kDax});
  if (!device->traits().persistent_memory) {
    std::fprintf(stderr, "zero_rate: %s is not taken for persistent memory (PMEM_IS_PMEM_FORCE=1 says so)\n",
                 path.c_str());
    return 2;
  }
  const auto zero = [&] { device->zero(0, bytes, xdax::ZeroMode::kAllocated); };
  const bool wide = __builtin_cpu_supports("avx") != 0;
  const auto stores_16 = [&] { store_16(file.bytes()); };
  const auto stores_32 = [&] { wide ? store_32(file.bytes()) : store_16(file.bytes()); };
  zero();  // every page of both mappings is there
  stores_16();
  std::vector<double> ratios_16;
  std::vector<double> ratios_32;
  for (std::uint64_t i = 0; i < rounds; ++i) {
    double own = i % 2 == 0 ? seconds(zero) : 0;
    ratios_16.push_back(seconds(stores_16));
    ratios_32.push_back(seconds(stores_32));
    if (i % 2 != 0) own = seconds(zero);
    ratios_16.back() /= own;
    ratios_32.back() /= own;
  }
  const auto [least, most] = std::minmax_element(ratios_32.begin(), ratios_32.end());
  fmt::print(
      "zero {} MiB, mapped   device/stores of 16 bytes {:.3f}   of 32 bytes {:.3f} ({:.3f} to {:.3f})   "
      "(medians of {})\n",
      bytes >> 20, median(ratios_16), median(ratios_32), *least, *most, rounds);
  return 0;
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value == 0) return std::nullopt;
  return value;
}

}  // namespace

int main(int argc, char** argv) {
  const std::span<char*> arguments(argv, static_cast<std::size_t>(argc));
  const auto mebibytes = argc > 2 ? number(arguments[2]) : std::optional<std::uint64_t>(1024);
  const auto rounds = argc > 3 ? number(arguments[3]) : std::optional<std::uint64_t>(9);
  if (argc < 2 || argc > 4 || !mebibytes || !rounds) {
    std::fprintf(stderr, "usage: zero_rate FILE [MEBIBYTES [ROUNDS]]\n");
    return 1;
  }
  try {
    return compare(arguments[1], *mebibytes << 20, *rounds);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "zero_rate: %s\n", error.what());
    return 1;
  }
}

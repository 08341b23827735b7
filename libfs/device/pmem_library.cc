#include "libfs/device/pmem_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include "libfs/base/error.h"

namespace xdax {
namespace {

constexpr const char* kFileName = "libpmem.so.1";

[[noreturn]] void refuse(const char* reason) {
  throw RefusalError(Errc::kNotSupported,
                     fmt::format("{} cannot be loaded: {}; install libpmem1, or give --io=uring", kFileName, reason));
}

template <class Function>
void find(void* handle, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(handle, name));
  if (function == nullptr) refuse(::dlerror());
}

PmemLibrary load() {
  // Never closed: mappings and the table live as long as the process.
  void* handle = ::dlopen(kFileName, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) refuse(::dlerror());
  PmemLibrary library;
  find(handle, "pmem_map_file", library.map_file);
  find(handle, "pmem_unmap", library.unmap);
  find(handle, "pmem_memcpy", library.memcpy);
  find(handle, "pmem_memset", library.memset);
  find(handle, "pmem_drain", library.drain);
  find(handle, "pmem_msync", library.msync);
  find(handle, "pmem_errormsg", library.errormsg);
  return library;
}

}  // namespace

const PmemLibrary& pmem_library() {
  static const PmemLibrary library = load();
  return library;
}

}  // namespace xdax

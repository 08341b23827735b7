// libpmem, loaded when the first device is mapped.
//
// libpmem brings libndctl, libudev and libcrypto with it; loading them takes longer than formatting an image (measured:
// 3 of 5 ms of a whole run), and a rescue system that reaches its disks by io_uring need not have them. Everything
// calls libpmem through this table. Thread-safe.
#pragma once

#include <libpmem.h>

namespace xdax {

struct PmemLibrary {
  decltype(&::pmem_map_file) map_file = nullptr;
  decltype(&::pmem_unmap) unmap = nullptr;
  decltype(&::pmem_memcpy) memcpy = nullptr;
  decltype(&::pmem_memset) memset = nullptr;
  decltype(&::pmem_drain) drain = nullptr;
  decltype(&::pmem_msync) msync = nullptr;
  decltype(&::pmem_errormsg) errormsg = nullptr;
};

/// The library, loaded by the first call and kept. Throws RefusalError (kNotSupported) when it is not installed.
[[nodiscard]] const PmemLibrary& pmem_library();

}  // namespace xdax

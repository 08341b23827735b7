# What every target of xdax is built with, and the functions that make a layer, a program and a header check.

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

find_program(XDAX_CCACHE ccache)
if(XDAX_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${XDAX_CCACHE})
endif()

# Kept in step with cmake/xdaxConfig.cmake.in, which finds the same for an installed library.
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(isal REQUIRED IMPORTED_TARGET libisal)
pkg_check_modules(pmem REQUIRED libpmem)  # its header only; loaded at run time (libfs/device/pmem_library.h)
pkg_check_modules(uring REQUIRED IMPORTED_TARGET liburing)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(blkid REQUIRED IMPORTED_TARGET blkid)
pkg_check_modules(uuid REQUIRED IMPORTED_TARGET uuid)
pkg_check_modules(inih REQUIRED IMPORTED_TARGET inih)

# Options structs are filled by designated initializers, which leave the other members at their defaults on purpose.
add_library(xdax_flags INTERFACE)
target_include_directories(xdax_flags INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>)
target_compile_options(xdax_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Wold-style-cast -Woverloaded-virtual -Wvla
  -Wno-missing-field-initializers
  $<$<BOOL:${XDAX_WERROR}>:-Werror>
  # g++ 12 sees overlapping copies in std::string's operator+ at -O3 (GCC bug 105329).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
  # clang takes offence where g++ does not: at changes of sign (of -Wconversion g++ leaves them out), at a member of unnamed
  # type in an unnamed union, and at what libstdc++ 12 itself uses of its deprecated parts (std::stable_sort).
  "$<$<CXX_COMPILER_ID:Clang>:-Wthread-safety;-Wno-sign-conversion;-Wno-nested-anon-types;-Wno-deprecated-declarations>")
if(XDAX_SANITIZE)
  # Under the sanitizers g++ 12 takes members of std::regex for uninitialized (GCC bug 105562).
  target_compile_options(xdax_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_compile_options(xdax_flags INTERFACE -fsanitize=${XDAX_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(xdax_flags INTERFACE -fsanitize=${XDAX_SANITIZE})
endif()
if(XDAX_FUZZ)
  # Coverage instrumentation everywhere; only a fuzz target links the fuzzer's own main.
  target_compile_options(xdax_flags INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(xdax_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# Adds a folder when it has a CMakeLists.txt.
function(xdax_add_part folder)
  if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/CMakeLists.txt)
    add_subdirectory(${folder})
  endif()
endfunction()

# xdax_layer(NAME SOURCES... [DEPENDS targets...]): one folder of libfs (or a tool's library) as target xdax_NAME. Its
# headers are every .h in the folder; each is also compiled alone, which proves that it is self-contained.
function(xdax_layer name)
  cmake_parse_arguments(LAYER "" "" "SOURCES;DEPENDS" ${ARGN})
  set(target xdax_${name})
  if(NOT LAYER_SOURCES)
    # A layer of headers only is still an archive, so that everything above links it the same way.
    set(LAYER_SOURCES ${CMAKE_CURRENT_BINARY_DIR}/headers_only.cc)
    file(CONFIGURE OUTPUT ${LAYER_SOURCES} CONTENT "// The layer ${name} has headers only.\n" @ONLY)
  endif()
  add_library(${target} ${LAYER_SOURCES})
  add_library(xdax::${name} ALIAS ${target})
  target_link_libraries(${target} PUBLIC ${LAYER_DEPENDS} PRIVATE $<BUILD_INTERFACE:xdax_flags>)
  target_include_directories(${target} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/xdax>)
  target_compile_features(${target} PUBLIC cxx_std_23)
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.h)
  xdax_check_headers(${name} ${target} ${headers})
endfunction()

# Compiles each header alone in a generated source file, as part of the target check-headers.
function(xdax_check_headers name target)
  set(sources)
  foreach(header IN LISTS ARGN)
    file(RELATIVE_PATH relative ${PROJECT_SOURCE_DIR} ${header})
    string(REPLACE "/" "_" flat ${relative})
    set(source ${CMAKE_BINARY_DIR}/headers/${flat}.cc)
    file(CONFIGURE OUTPUT ${source} CONTENT "#include \"${relative}\"\n" @ONLY)
    list(APPEND sources ${source})
  endforeach()
  if(sources)
    add_library(headers_${name} OBJECT EXCLUDE_FROM_ALL ${sources})
    target_link_libraries(headers_${name} PRIVATE ${target} xdax_flags)
    target_compile_options(headers_${name} PRIVATE -O0 -g0)
    if(NOT TARGET check-headers)
      add_custom_target(check-headers)
    endif()
    add_dependencies(check-headers headers_${name})
  endif()
endfunction()

# xdax_program(NAME SOURCES... DEPENDS targets...): a program in <build>/bin, installed where its kind belongs.
function(xdax_program name)
  cmake_parse_arguments(PROGRAM "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${PROGRAM_SOURCES})
  target_link_libraries(${name} PRIVATE ${PROGRAM_DEPENDS} xdax_flags)
  # Half of what a short run takes is the dynamic linker's, and most of that is the C++ library's symbols.
  if(NOT XDAX_SANITIZE)
    target_link_options(${name} PRIVATE -static-libstdc++ -static-libgcc)
  endif()
  if(name MATCHES "^(mkfs|fsck|mount)\\." OR name STREQUAL "xdax_repair")
    install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_SBINDIR})
  else()
    install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endfunction()

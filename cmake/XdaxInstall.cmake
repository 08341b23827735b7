# What `cmake --install` puts in place besides the programs (xdax_program) and the manual pages (man/): the library with
# its headers, the CMake package `xdax`, and the shell completions.
#
#   find_package(xdax) gives xdax::fs, and xdax::base, xdax::format, ... for a program that wants less.

include(CMakePackageConfigHelpers)

set(public_layers)
foreach(layer IN ITEMS base format device cache journal btree space inode da dir attr file volume recovery)
  if(TARGET xdax_${layer})
    list(APPEND public_layers ${layer})
  endif()
endforeach()

add_library(xdax_fs INTERFACE)
add_library(xdax::fs ALIAS xdax_fs)
set_target_properties(xdax_fs PROPERTIES EXPORT_NAME fs)
set(public_targets xdax_fs)
foreach(layer IN LISTS public_layers)
  target_link_libraries(xdax_fs INTERFACE xdax_${layer})
  list(APPEND public_targets xdax_${layer})
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/libfs/${layer} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/xdax/libfs
    FILES_MATCHING PATTERN *.h)
endforeach()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/xdax)
install(TARGETS ${public_targets} EXPORT xdaxTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT xdaxTargets NAMESPACE xdax:: DESTINATION ${package_dir})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/xdaxConfig.cmake.in ${CMAKE_BINARY_DIR}/xdaxConfig.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/xdaxConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/xdaxConfig.cmake ${CMAKE_BINARY_DIR}/xdaxConfigVersion.cmake
  DESTINATION ${package_dir})

file(GLOB completions CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/completions/bash/*)
install(FILES ${completions} DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)

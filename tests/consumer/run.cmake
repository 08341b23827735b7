# Installs the build to a folder of its own, looks at what is there, and builds and runs the consumer against it.
# Needs: BUILD_DIR CONSUMER_DIR WORK_DIR COMPILER SANITIZE.

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "failed (${result}): ${ARGN}")
  endif()
endfunction()

set(prefix ${WORK_DIR}/prefix)
file(REMOVE_RECURSE ${WORK_DIR})
run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${prefix})

# Everything a package would want, for each program that was built.
file(GLOB programs RELATIVE ${BUILD_DIR}/bin ${BUILD_DIR}/bin/*)
foreach(program IN LISTS programs)
  foreach(pattern IN ITEMS "*bin/${program}" "share/man/man[18]/${program}.[18]" "share/bash-completion/completions/${program}")
    file(GLOB found ${prefix}/${pattern})
    if(NOT found)
      message(FATAL_ERROR "not installed: ${pattern}")
    endif()
  endforeach()
  file(GLOB installed ${prefix}/*bin/${program})
  run(${installed} -V)
endforeach()
foreach(header IN ITEMS base/units.h format/superblock.h device/device.h)
  if(NOT EXISTS ${prefix}/include/xdax/libfs/${header})
    message(FATAL_ERROR "not installed: libfs/${header}")
  endif()
endforeach()

set(flags)
if(SANITIZE)
  set(flags "-DCMAKE_CXX_FLAGS=-fsanitize=${SANITIZE}")
endif()
run(${CMAKE_COMMAND} -G Ninja -S ${CONSUMER_DIR} -B ${WORK_DIR}/build -DCMAKE_PREFIX_PATH=${prefix}
  -DCMAKE_CXX_COMPILER=${COMPILER} ${flags})
run(${CMAKE_COMMAND} --build ${WORK_DIR}/build)
run(${WORK_DIR}/build/consumer)

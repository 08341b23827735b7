# Checks of the tree itself.

add_test(NAME layering COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/layering_test.py)
add_test(NAME layering.self_test COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/layering_test.py --self-test)
add_test(NAME format COMMAND ${PROJECT_SOURCE_DIR}/script/format --check)
add_test(NAME shellcheck COMMAND ${PROJECT_SOURCE_DIR}/script/shellcheck)
set_tests_properties(layering layering.self_test format shellcheck PROPERTIES LABELS lint TIMEOUT 120)

# The next two build; they take turns so that two cores are not asked for twice.
add_test(NAME headers COMMAND ${CMAKE_COMMAND} --build ${CMAKE_BINARY_DIR} --target check-headers)
set_tests_properties(headers PROPERTIES LABELS lint TIMEOUT 900 RESOURCE_LOCK build)

add_test(NAME install_consumer COMMAND ${CMAKE_COMMAND}
  -DBUILD_DIR=${CMAKE_BINARY_DIR} -DCONSUMER_DIR=${CMAKE_CURRENT_SOURCE_DIR}/consumer
  -DWORK_DIR=${CMAKE_BINARY_DIR}/install_consumer -DCOMPILER=${CMAKE_CXX_COMPILER} -DSANITIZE=${XDAX_SANITIZE}
  -P ${CMAKE_CURRENT_SOURCE_DIR}/consumer/run.cmake)
set_tests_properties(install_consumer PROPERTIES LABELS install TIMEOUT 600 RESOURCE_LOCK build)

add_test(NAME gate COMMAND ${CMAKE_COMMAND} -DSOURCE_DIR=${PROJECT_SOURCE_DIR} -DWORK_DIR=${CMAKE_BINARY_DIR}/gate
  -DPYTHON=${Python3_EXECUTABLE} -DCMAKE_CTEST_COMMAND=${CMAKE_CTEST_COMMAND} -P ${CMAKE_CURRENT_SOURCE_DIR}/gate/run.cmake)
add_test(NAME completions COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/completions_test.sh ${CMAKE_BINARY_DIR}/bin)
set_tests_properties(gate completions PROPERTIES LABELS lint TIMEOUT 120)

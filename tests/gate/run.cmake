# Shows that script/junit_gate.py lets a good run pass and stops each of the others. Needs: SOURCE_DIR WORK_DIR PYTHON.

# gate(CASE EXPECTED ARGUMENTS...): EXPECTED is "passes" or a word of the gate's complaint.
function(gate case expected)
  set(build ${WORK_DIR}/${case})
  file(REMOVE_RECURSE ${build})
  execute_process(COMMAND ${CMAKE_COMMAND} -G Ninja -S ${SOURCE_DIR}/tests/gate -B ${build} -DCASE=${case}
    OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND ${CMAKE_CTEST_COMMAND} --test-dir ${build} --output-junit ${build}/junit.xml
    OUTPUT_QUIET ERROR_QUIET)
  execute_process(COMMAND ${PYTHON} ${SOURCE_DIR}/script/junit_gate.py ${ARGN} ${build}/junit.xml
    RESULT_VARIABLE result OUTPUT_VARIABLE out ERROR_VARIABLE out)
  if(expected STREQUAL "passes")
    if(NOT result EQUAL 0)
      message(SEND_ERROR "${case} ${ARGN}: stopped, but is good:\n${out}")
    endif()
  elseif(result EQUAL 0)
    message(SEND_ERROR "${case} ${ARGN}: let through:\n${out}")
  elseif(NOT out MATCHES "${expected}")
    message(SEND_ERROR "${case} ${ARGN}: stopped, but not for '${expected}':\n${out}")
  endif()
endfunction()

gate(good passes --all-ran --kinds unit)
gate(good "no test of kind oracle" --all-ran --kinds unit,oracle)
gate(skipped passes)
gate(skipped "did not run: unit.skipped" --all-ran)
gate(disabled "did not run: unit.disabled" --all-ran)
gate(not_run "unit.not_run" --all-ran)
gate(failed "FAILED unit.failed")

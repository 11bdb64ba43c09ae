# What the wheel carries of others: their licence texts, and a bill of materials (SBOM, PEP 770)
# from the versions that were found for this build, which show_config() tells too.
#
# Must not know: how anything is compiled.
set(licenses lstm_native/licenses)
install(FILES "${eigen_dir}/COPYING.README" "${eigen_dir}/COPYING.MPL2"
              "${eigen_dir}/COPYING.BSD" "${eigen_dir}/COPYING.APACHE"
        DESTINATION ${licenses}/eigen)

# Where pybind11 came as a wheel of its own its text lies beside it.
file(GLOB pybind11_license
     "${pybind11_DIR}/../../../../pybind11-${pybind11_VERSION}.dist-info/licenses/LICENSE")
if(pybind11_license)
  install(FILES ${pybind11_license} DESTINATION ${licenses}/pybind11)
else()
  message(WARNING "No licence text beside pybind11 in ${pybind11_DIR}: the wheel will not hold it")
endif()

# GCC's runtime libraries: parts of them are in what it compiles, and auditwheel copies libgomp into
# wheels for Linux.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  install(DIRECTORY licenses/gcc DESTINATION ${licenses})
endif()

if(SKBUILD_METADATA_DIR)
  file(READ cmake/sbom.cdx.json.in sbom)
  string(CONFIGURE "${sbom}" sbom @ONLY)
  if(NOT (LSTM_NATIVE_THREADS STREQUAL "openmp" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU"))
    string(JSON sbom REMOVE "${sbom}" components 2)
    string(JSON sbom REMOVE "${sbom}" dependencies 3)
    string(JSON sbom REMOVE "${sbom}" dependencies 0 dependsOn 2)
  endif()
  file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/lstm_native.cdx.json" "${sbom}")
  install(FILES "${CMAKE_CURRENT_BINARY_DIR}/lstm_native.cdx.json"
          DESTINATION "${SKBUILD_METADATA_DIR}/sboms")
endif()

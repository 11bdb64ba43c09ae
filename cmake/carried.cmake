# What the wheel carries of others: their licence texts, and a bill of materials (SBOM, PEP 770)
# from the versions that were found for this build, which show_config() tells too. Both lie in its
# .dist-info.
#
# Must not know: how anything is compiled.
if(NOT SKBUILD_METADATA_DIR)
  return()  # not a wheel
endif()
set(licenses "${SKBUILD_METADATA_DIR}/licenses")

# Adds a component to the bill, of which lstm-native then depends.
function(carry name json)
  string(JSON count LENGTH "${sbom}" components)
  string(JSON sbom SET "${sbom}" components ${count} "${json}")
  string(JSON sbom SET "${sbom}" components ${count} type "\"library\"")
  string(JSON sbom SET "${sbom}" components ${count} bom-ref "\"${name}\"")
  string(JSON sbom SET "${sbom}" components ${count} name "\"${name}\"")
  string(JSON sbom SET "${sbom}" dependencies 0 dependsOn ${count} "\"${name}\"")
  math(EXPR count "${count} + 1")
  string(JSON sbom SET "${sbom}" dependencies ${count} "{\"ref\": \"${name}\"}")
  set(sbom "${sbom}" PARENT_SCOPE)
endfunction()

file(READ cmake/sbom.cdx.json.in sbom)
string(CONFIGURE "${sbom}" sbom @ONLY)

# MPL 2.0 asks that the reader be told where the source is (3.2a).
set(eigen_source "https://gitlab.com/libeigen/eigen/-/archive/${eigen_version}/eigen-${eigen_version}.tar.gz")
carry(eigen "{
  \"version\": \"${eigen_version}\",
  \"purl\": \"pkg:generic/eigen@${eigen_version}\",
  \"licenses\": [{\"expression\": \"MPL-2.0 AND BSD-3-Clause AND Apache-2.0\"}],
  \"externalReferences\": [{\"type\": \"source-distribution\", \"url\": \"${eigen_source}\"}]
}")
foreach(name README MPL2 BSD APACHE)
  set(text "${eigen_dir}/COPYING.${name}")
  if(NOT EXISTS "${text}")
    message(FATAL_ERROR "No COPYING.${name} in '${eigen_dir}': the wheel must hold Eigen's licence "
                        "texts; set LSTM_NATIVE_EIGEN_DIR to Eigen's source tree, which has them")
  endif()
  install(FILES "${text}" DESTINATION "${licenses}/eigen")
endforeach()

carry(pybind11 "{
  \"version\": \"${pybind11_VERSION}\",
  \"purl\": \"pkg:pypi/pybind11@${pybind11_VERSION}\",
  \"licenses\": [{\"license\": {\"id\": \"BSD-3-Clause\"}}]
}")
set(LSTM_NATIVE_PYBIND11_LICENSE "" CACHE FILEPATH "pybind11's licence; empty: its Python package's")
set(pybind11_license "${LSTM_NATIVE_PYBIND11_LICENSE}")
if(NOT pybind11_license)
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -c
            "import importlib.metadata as m; d = m.distribution('pybind11'); \
print(*[f.locate() for f in d.files or [] if f.name == 'LICENSE' and d.version == '${pybind11_VERSION}'])"
    OUTPUT_VARIABLE pybind11_license OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
file(TO_CMAKE_PATH "${pybind11_license}" pybind11_license)
if(NOT EXISTS "${pybind11_license}")
  message(FATAL_ERROR "No licence text of pybind11 ${pybind11_VERSION}, which the wheel must hold: "
                      "install that version with pip, or set LSTM_NATIVE_PYBIND11_LICENSE to the file")
endif()
install(FILES "${pybind11_license}" DESTINATION "${licenses}/pybind11" RENAME LICENSE)

# Parts of its runtime are in whatever a compiler compiles.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(gcc_license "\"licenses\": [{\"expression\": \"GPL-3.0-or-later WITH GCC-exception-3.1\"}]")
  foreach(name libstdc++ libgcc)
    carry(${name} "{
      \"version\": \"${CMAKE_CXX_COMPILER_VERSION}\",
      \"description\": \"Of GCC, the parts that are compiled in or linked statically.\",
      ${gcc_license}
    }")
  endforeach()
  if(LSTM_NATIVE_THREADS STREQUAL "openmp")
    carry(libgomp "{
      \"description\": \"GCC's OpenMP runtime, linked dynamically. Where the wheel carries a copy, auditwheel.cdx.json says of which package and version.\",
      ${gcc_license}
    }")
  endif()
  install(DIRECTORY licenses/gcc DESTINATION "${licenses}")
elseif(MSVC)
  carry(msvc-runtime "{
    \"description\": \"Microsoft's C and C++ runtime, linked statically.\",
    \"licenses\": [{\"license\": {\"name\": \"Visual Studio licence terms, Distributable Code; the C++ library Apache-2.0 WITH LLVM-exception\"}}]
  }")
endif()

file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/lstm_native.cdx.json" "${sbom}")
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/lstm_native.cdx.json"
        DESTINATION "${SKBUILD_METADATA_DIR}/sboms")

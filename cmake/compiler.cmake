# Flags of the compilers and linkers the project knows: GCC and Clang, Microsoft's cl and clang-cl,
# which is Clang behind the options of cl.
#
# Sets: x86, amx, and the lists warnings, kernel_flags, avx2_flags, avx512_flags, vnni_flags,
# bf16_flags, amx_flags, module_flags, module_link_flags. Must not know: targets, or what they are
# made of.

# Whether for x86-64. On macOS one compiler builds for either CPU; which one is asked of it.
if(APPLE AND CMAKE_OSX_ARCHITECTURES)
  set(processor "${CMAKE_OSX_ARCHITECTURES}")
else()
  set(processor "${CMAKE_SYSTEM_PROCESSOR}")
endif()
if(processor MATCHES ";")
  message(FATAL_ERROR "A build is for one CPU, not for ${processor}: kernels are compiled once per ISA")
endif()
string(REGEX MATCH "^(x86_64|AMD64|amd64)$" x86 "${processor}")

# The kernels have their -O3, and no contraction: whether a product and a sum are fused is written
# in them and must not depend on how a compiler inlined. Packet types carry attributes that
# templates ignore, and GCC takes the undefined lanes of AVX-512 intrinsics for uninitialised
# variables. Other sources may throw; kernels may not.
set(avx2_flags -mavx2 -mfma)
set(avx512_flags -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512cd -mfma)
set(vnni_flags -mavx512vnni)  # beside those of avx512
set(bf16_flags -mavx512bf16)
# Linux alone: macOS has no CPU with tiles, and on Windows nobody has tried.
set(amx_flags -mamx-tile -mamx-bf16)
set(amx)
if(x86 AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
  include(CheckCXXCompilerFlag)
  check_cxx_compiler_flag("${amx_flags}" amx)
endif()
set(exports)
if(MSVC)
  set(warnings /W3)
  set(kernel_flags /fp:precise /GR- /GS- /Gy /bigobj)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    list(APPEND kernel_flags $<$<NOT:$<CONFIG:Debug>>:/clang:-O3> /clang:-ffp-contract=off
         /clang:-fno-math-errno -Wno-ignored-attributes)
  else()
    # Without /fp:contract, cl 19.30 and later fuse nothing; earlier ones do with /arch:AVX2.
    if(CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19.30)
      message(FATAL_ERROR "Visual Studio 2022 or later is needed, or clang-cl")
    endif()
    set(avx2_flags /arch:AVX2)
    set(avx512_flags /arch:AVX512)
    set(vnni_flags /D__AVX512VNNI__)  # the intrinsics are there, but not the macros
    set(bf16_flags /D__AVX512BF16__)
  endif()
  # Nothing of the compiler beside the module: Python brings one half of its runtime, not the other.
  set(CMAKE_MSVC_RUNTIME_LIBRARY "MultiThreaded$<$<CONFIG:Debug>:Debug>")
  add_compile_options(/utf-8 /Zc:__cplusplus)
  add_compile_definitions(_CRT_SECURE_NO_WARNINGS)
  set(module_flags /GS)
  set(module_link_flags /Brepro)
else()
  set(warnings -Wall -Wextra -Wpedantic -Wshadow)
  set(kernel_flags
      $<$<NOT:$<CONFIG:Debug>>:-O3> -fno-fast-math -ffp-contract=off -fno-math-errno -fno-lto
      -fno-exceptions -fno-rtti
      $<$<CXX_COMPILER_ID:GNU>:-Wno-ignored-attributes -Wno-maybe-uninitialized -Wno-uninitialized>)
  if(MINGW AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # This GCC keeps the stack aligned to 16 bytes only, and its wide registers there to 32 (PR 54412).
    list(APPEND avx2_flags -Wa,-muse-unaligned-vector-move)
    list(APPEND avx512_flags -Wa,-muse-unaligned-vector-move)
  endif()
  # Not for the kernels: they hold no arrays and call no C function that could be checked.
  set(module_flags -fstack-protector-strong
                   $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2>)
  if(APPLE)
    set(module_link_flags -Wl,-exported_symbol,_PyInit__core)
  elseif(NOT WIN32)
    set(exports "${CMAKE_CURRENT_SOURCE_DIR}/cpp/exports.map")
    set(module_link_flags -Wl,-z,relro,-z,now,-z,noexecstack "-Wl,--version-script,${exports}")
  endif()
endif()
if(WIN32)
  add_compile_definitions(NOMINMAX WIN32_LEAN_AND_MEAN)
endif()
if(LSTM_NATIVE_WERROR)
  list(APPEND warnings $<IF:$<BOOL:${MSVC}>,/WX,-Werror>)
endif()

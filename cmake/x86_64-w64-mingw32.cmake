# To build for Windows on Linux, with Debian's cross compiler g++-mingw-w64-x86-64-posix and wine64:
#
#   cmake --toolchain cmake/x86_64-w64-mingw32.cmake -DLSTM_NATIVE_EXTENSION=OFF ...
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR AMD64)
set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++-posix)
set(CMAKE_FIND_ROOT_PATH /usr/x86_64-w64-mingw32)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
# One file that needs no library of the compiler beside it.
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)

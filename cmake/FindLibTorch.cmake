# LibTorch 2.x, from a LibTorch folder or a PyTorch wheel, as the target LibTorch::torch: its shared libraries and headers as they lie there.
# Its own TorchConfig.cmake is not used: that of a CUDA build refuses to configure where no CUDA toolkit is installed, and Tessera compiles no
# CUDA source. Looks at Torch_DIR (share/cmake/Torch of a LibTorch), then along CMAKE_PREFIX_PATH.
# Sets LibTorch_VERSION, LibTorch_CUDA (whether it is a CUDA build) and LibTorch_ROOT.
set(_libtorch_roots "")
if(Torch_DIR)
  list(APPEND _libtorch_roots ${Torch_DIR}/../../..)
endif()
foreach(prefix IN LISTS CMAKE_PREFIX_PATH)
  list(APPEND _libtorch_roots ${prefix} ${prefix}/../.. ${prefix}/torch)  # LibTorch, a wheel's torch/share/cmake, a site-packages folder
endforeach()
string(REPLACE ":" ";" _libtorch_environment "$ENV{CMAKE_PREFIX_PATH}")
foreach(prefix IN LISTS _libtorch_environment)
  list(APPEND _libtorch_roots ${prefix} ${prefix}/../.. ${prefix}/torch)
endforeach()
find_path(LibTorch_API_INCLUDE torch/torch.h HINTS ${_libtorch_roots} PATH_SUFFIXES include/torch/csrc/api/include)
if(LibTorch_API_INCLUDE)
  get_filename_component(LibTorch_INCLUDE ${LibTorch_API_INCLUDE}/../../../.. ABSOLUTE)
  get_filename_component(LibTorch_ROOT ${LibTorch_INCLUDE}/.. ABSOLUTE)
  find_library(LibTorch_LIBRARY torch HINTS ${LibTorch_ROOT}/lib NO_DEFAULT_PATH)
  find_library(LibTorch_CPU torch_cpu HINTS ${LibTorch_ROOT}/lib NO_DEFAULT_PATH)
  find_library(LibTorch_C10 c10 HINTS ${LibTorch_ROOT}/lib NO_DEFAULT_PATH)
  find_library(LibTorch_CUDA_LIBRARY torch_cuda HINTS ${LibTorch_ROOT}/lib NO_DEFAULT_PATH)
  find_library(LibTorch_C10_CUDA c10_cuda HINTS ${LibTorch_ROOT}/lib NO_DEFAULT_PATH)
  find_library(LibTorch_GOMP NAMES libgomp.so.1 gomp HINTS ${LibTorch_ROOT}/lib NO_DEFAULT_PATH)  # some wheels bring the OpenMP runtime
  foreach(header torch/version.h torch/headeronly/version.h torch/csrc/api/include/torch/version.h)
    if(EXISTS ${LibTorch_INCLUDE}/${header})
      file(STRINGS ${LibTorch_INCLUDE}/${header} _libtorch_parts REGEX "#define TORCH_VERSION_(MAJOR|MINOR|PATCH) [0-9]+")
      if(_libtorch_parts)
        string(REGEX REPLACE "[^;0-9]+" "" _libtorch_parts "${_libtorch_parts}")
        string(REPLACE ";" "." LibTorch_VERSION "${_libtorch_parts}")
      endif()
    endif()
  endforeach()
  # LibTorch of old wheels has the strings of before C++11, which no Debian library has.
  set(_libtorch_config ${LibTorch_ROOT}/share/cmake/Torch/TorchConfig.cmake)
  if(EXISTS ${_libtorch_config})
    file(STRINGS ${_libtorch_config} _libtorch_abi REGEX "_GLIBCXX_USE_CXX11_ABI=0")
    if(_libtorch_abi)
      message(FATAL_ERROR "${LibTorch_ROOT} was built with the strings of before C++11; take the cxx11-abi LibTorch, or PyTorch 2.7 or later")
    endif()
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch REQUIRED_VARS LibTorch_LIBRARY LibTorch_CPU LibTorch_C10 LibTorch_API_INCLUDE VERSION_VAR LibTorch_VERSION)
mark_as_advanced(LibTorch_LIBRARY LibTorch_CPU LibTorch_C10 LibTorch_CUDA_LIBRARY LibTorch_C10_CUDA LibTorch_GOMP LibTorch_API_INCLUDE)

if(LibTorch_FOUND AND NOT TARGET LibTorch::torch)
  set(_libtorch_libraries ${LibTorch_LIBRARY} ${LibTorch_CPU} ${LibTorch_C10})
  set(LibTorch_CUDA OFF)
  if(LibTorch_CUDA_LIBRARY AND LibTorch_C10_CUDA)
    set(LibTorch_CUDA ON)
    list(APPEND _libtorch_libraries ${LibTorch_CUDA_LIBRARY} ${LibTorch_C10_CUDA})
  endif()
  add_library(LibTorch::torch INTERFACE IMPORTED)
  # The linker must keep libtorch.so and libtorch_cuda.so though nothing refers to them: they register their operators when loaded.
  set_target_properties(LibTorch::torch PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${LibTorch_INCLUDE};${LibTorch_API_INCLUDE}"
    INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${LibTorch_INCLUDE};${LibTorch_API_INCLUDE}"
    INTERFACE_LINK_OPTIONS "-Wl,--no-as-needed"
    INTERFACE_LINK_LIBRARIES "${_libtorch_libraries}")
endif()

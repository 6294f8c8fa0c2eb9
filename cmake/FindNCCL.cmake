# NCCL with the CUDA runtime that a CUDA LibTorch loads, for tensors on GPUs of several ranks: the target NCCL::nccl. Looks beside a LibTorch
# from wheels (nvidia/nccl, nvidia/cu13), in a CUDA toolkit (CUDAToolkit_ROOT, CUDA_HOME, CUDA_PATH, /usr/local/cuda) and along
# CMAKE_PREFIX_PATH. To be called after FindLibTorch. Sets NCCL_VERSION and, where something is missing, NCCL_MISSING: what.
file(GLOB _nccl_wheels ${LibTorch_ROOT}/../nvidia/*)
set(_nccl_roots ${_nccl_wheels} ${CUDAToolkit_ROOT} $ENV{CUDAToolkit_ROOT} $ENV{CUDA_HOME} $ENV{CUDA_PATH} $ENV{NCCL_HOME})
file(GLOB _nccl_toolkits /usr/local/cuda /usr/local/cuda-[0-9]*)
list(APPEND _nccl_roots ${_nccl_toolkits})

# The runtime is part of LibTorch's process: only the very library that LibTorch needs will do.
file(STRINGS ${LibTorch_C10_CUDA} _nccl_runtimes REGEX "libcudart[-0-9a-f]*\\.so[.0-9]*")
string(REGEX MATCH "libcudart[-0-9a-f]*\\.so[.0-9]*" _nccl_runtime "${_nccl_runtimes}")
if(NOT _nccl_runtime)  # linked in statically: there is no library that both could share
  set(_nccl_runtime "libcudart.so as a library that LibTorch loads")
endif()
string(REGEX REPLACE ".*\\.so\\.([0-9]+).*" "\\1" _nccl_cuda "${_nccl_runtime}")
find_library(NCCL_CUDA_LIBRARY NAMES ${_nccl_runtime} HINTS ${LibTorch_ROOT}/lib ${_nccl_roots} PATH_SUFFIXES lib lib64)
find_library(NCCL_LIBRARY NAMES nccl libnccl.so.2 HINTS ${LibTorch_ROOT}/lib ${_nccl_roots} PATH_SUFFIXES lib lib64)
find_path(NCCL_INCLUDE nccl.h HINTS ${_nccl_roots} PATH_SUFFIXES include)

# cuda_runtime.h stands on crt/host_config.h, which NVIDIA packs apart from the runtime's wheel.
set(NCCL_CUDA_INCLUDE "" CACHE PATH "folder of cuda_runtime.h and crt/host_config.h, of the CUDA that LibTorch was built with")
if(NOT NCCL_CUDA_INCLUDE)
  foreach(root IN LISTS _nccl_roots CMAKE_PREFIX_PATH ITEMS /usr)
    if(EXISTS ${root}/include/crt/host_config.h AND EXISTS ${root}/include/cuda_runtime_api.h)
      file(STRINGS ${root}/include/cuda_runtime_api.h _nccl_line REGEX "#define CUDART_VERSION +${_nccl_cuda}[0-9][0-9][0-9]")
      if(_nccl_line)
        set_property(CACHE NCCL_CUDA_INCLUDE PROPERTY VALUE ${root}/include)
        break()
      endif()
    endif()
  endforeach()
endif()

set(NCCL_VERSION "")
if(NCCL_INCLUDE)
  foreach(part MAJOR MINOR PATCH)
    file(STRINGS ${NCCL_INCLUDE}/nccl.h _nccl_line REGEX "#define NCCL_${part} [0-9]+")
    string(REGEX MATCH "[0-9]+" _nccl_part "${_nccl_line}")
    list(APPEND NCCL_VERSION ${_nccl_part})
  endforeach()
  string(REPLACE ";" "." NCCL_VERSION "${NCCL_VERSION}")
endif()
set(NCCL_MISSING "")
if(NOT NCCL_CUDA_LIBRARY)
  list(APPEND NCCL_MISSING "${_nccl_runtime}")
endif()
if(NOT NCCL_CUDA_INCLUDE)
  list(APPEND NCCL_MISSING "the headers of CUDA ${_nccl_cuda} (cuda_runtime.h, crt/host_config.h)")
endif()
if(NOT NCCL_LIBRARY OR NOT NCCL_INCLUDE OR NCCL_VERSION VERSION_LESS 2.14)
  list(APPEND NCCL_MISSING "NCCL 2.14 or later (nccl.h, libnccl.so.2)")
endif()
string(REPLACE ";" ", " NCCL_MISSING "${NCCL_MISSING}")

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(NCCL REQUIRED_VARS NCCL_LIBRARY NCCL_INCLUDE NCCL_CUDA_LIBRARY NCCL_CUDA_INCLUDE VERSION_VAR NCCL_VERSION)
mark_as_advanced(NCCL_LIBRARY NCCL_INCLUDE NCCL_CUDA_LIBRARY NCCL_CUDA_INCLUDE)

if(NCCL_FOUND AND NOT TARGET NCCL::nccl)
  add_library(NCCL::nccl INTERFACE IMPORTED)
  set_target_properties(NCCL::nccl PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${NCCL_INCLUDE};${NCCL_CUDA_INCLUDE}"
    INTERFACE_LINK_LIBRARIES "${NCCL_LIBRARY};${NCCL_CUDA_LIBRARY}")
endif()

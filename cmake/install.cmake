# cmake --install gives bin/tessera, lib/libtessera.so, the headers and a CMake package: find_package(Tessera), then Tessera::tessera.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
# Named, since CMake leaves out of an installed RPATH what lies inside the source tree, as .venv does.
set(library_folders ${LibTorch_ROOT}/lib)
if(TARGET tessera_parquet)
  list(APPEND library_folders ${TESSERA_PYARROW})
endif()
set_target_properties(tessera PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR};${library_folders}")
set_target_properties(tessera_lib PROPERTIES INSTALL_RPATH "${library_folders}")
install(TARGETS tessera tessera_lib RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET tessera_mpi)
  install(TARGETS tessera_mpi LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
install(DIRECTORY tessera DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
configure_package_config_file(cmake/TesseraConfig.cmake.in ${CMAKE_BINARY_DIR}/generated/TesseraConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Tessera PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/generated/TesseraConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_SOURCE_DIR}/cmake/FindLibTorch.cmake ${CMAKE_BINARY_DIR}/generated/TesseraConfig.cmake ${CMAKE_BINARY_DIR}/generated/TesseraConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Tessera)

#pragma once
// The JSON inside safetensors files and their index, parsed with the limits an untrusted text needs.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/tensor/dtype.h"

namespace tessera::tensor {

struct HeaderTensor {
  TensorInfo info;              // bytes: what shape and type need
  uint64_t begin = 0, end = 0;  // data_offsets, not yet checked
};

// Tensors in header order; "__metadata__" goes to `metadata`. `file` names the file in messages. InputError for anything but
// {"name": {"dtype": known, "shape": [...], "data_offsets": [begin, end]}, ...}, duplicate keys included.
std::vector<HeaderTensor> parse_safetensors_header(std::string_view json, const std::string& file,
                                                   std::map<std::string, std::string>& metadata);

// The "weight_map" of an index: tensor name -> file name.
std::map<std::string, std::string> parse_shard_index(std::string_view json, const std::string& file);

// The header of a file that holds `tensors` in this order without gaps, padded to a multiple of 8 bytes, without its length.
std::string safetensors_header(const std::vector<TensorInfo>& tensors, const std::map<std::string, std::string>& metadata);

}  // namespace tessera::tensor

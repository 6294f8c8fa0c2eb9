#include "tessera/tensor/safetensors_header.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "tessera/base/error.h"

namespace tessera::tensor {
namespace {

using nlohmann::json;

// What both readers share: the refusals. A reader overrides the events that its document may hold.
class StrictJson : public nlohmann::json_sax<json> {
 public:
  explicit StrictJson(const std::string& file) : file_(file) {}
  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_integer(number_integer_t) override { return unexpected("a negative number"); }
  bool number_unsigned(number_unsigned_t) override { return unexpected("a number"); }
  bool number_float(number_float_t, const string_t&) override { return unexpected("a number that is no 64-bit integer"); }
  bool string(string_t&) override { return unexpected("a text"); }
  bool binary(binary_t&) override { return unexpected("binary data"); }
  bool start_array(std::size_t) override { return unexpected("an array"); }
  bool end_array() override { return true; }
  bool parse_error(std::size_t position, const std::string&, const json::exception&) override {
    throw InputError("{}: its JSON is broken at byte {}; copy it again", file_, position);
  }

 protected:
  virtual std::string place() const = 0;
  bool unexpected(std::string_view what) const {
    throw InputError("{}: unexpected {} {} of its JSON; the file is damaged or of another kind", file_, what, place());
  }
  const std::string& file_;
};

class HeaderReader final : public StrictJson {
 public:
  HeaderReader(const std::string& file, std::map<std::string, std::string>& metadata) : StrictJson(file), metadata_(metadata) {}

  bool start_object(std::size_t) override {
    if (depth_ >= 2 || array_ != nullptr) return unexpected("an object");
    ++depth_;
    return true;
  }
  bool end_object() override {
    if (depth_ == 2 && !in_metadata_) finish_tensor();
    --depth_;
    in_metadata_ = false;
    return true;
  }
  bool key(string_t& key) override {
    if (depth_ == 2) {
      if (in_metadata_ ? metadata_.contains(key) : !fields_.insert(key).second) return repeated(key);
      field_ = std::move(key);
      return true;
    }
    if (!names_.insert(key).second) return repeated(key);
    in_metadata_ = key == "__metadata__";
    fields_.clear();
    offsets_.clear();
    tensors_.resize(tensors_.size() + (in_metadata_ ? 0 : 1));
    if (!in_metadata_) tensors_.back().info.name = std::move(key);
    return true;
  }
  bool string(string_t& text) override {
    if (depth_ == 2 && array_ == nullptr && in_metadata_) {
      metadata_.emplace(field_, std::move(text));
      return true;
    }
    if (depth_ != 2 || array_ != nullptr || field_ != "dtype") return unexpected("a text");
    const auto dtype = dtype_named(text);
    if (!dtype || !traits(*dtype).safetensors) {
      throw InputError("{}: tensor {} has the type {}, which is not supported; convert it to F32, F16 or BF16", file_,
                       tessera::quoted(name()), tessera::quoted(text));
    }
    tensors_.back().info.dtype = *dtype;
    return true;
  }
  bool start_array(std::size_t) override {
    if (depth_ != 2 || in_metadata_ || array_ != nullptr || (field_ != "shape" && field_ != "data_offsets")) return unexpected("an array");
    array_ = field_ == "shape" ? &shape_ : &offsets_;
    array_->clear();
    return true;
  }
  bool end_array() override {
    array_ = nullptr;
    return true;
  }
  bool number_unsigned(number_unsigned_t number) override {
    if (array_ == nullptr) return unexpected("a number");
    array_->push_back(number);
    return true;
  }

  std::vector<HeaderTensor> take() { return std::move(tensors_); }

 private:
  const std::string& name() const { return tensors_.back().info.name; }
  std::string place() const override {
    if (depth_ == 0) return "at the top";
    if (in_metadata_) return "in __metadata__";
    return tensors_.empty() ? "at the start" : "in the entry of tensor " + tessera::quoted(name());
  }
  bool repeated(const std::string& key) const {
    throw InputError("{}: its header holds {} twice; the file is damaged", file_, tessera::quoted(key));
  }
  void finish_tensor() {
    if (fields_ != std::set<std::string>{"dtype", "shape", "data_offsets"} || offsets_.size() != 2) {
      throw InputError("{}: the entry of tensor {} needs dtype, shape and two data_offsets, no more; the file is damaged", file_,
                       tessera::quoted(name()));
    }
    HeaderTensor& tensor = tensors_.back();
    for (const uint64_t size : shape_) {
      // A size beyond int64 stays beyond every file: bytes_of refuses the negative number it turns into.
      tensor.info.shape.push_back(size > std::numeric_limits<int64_t>::max() ? -1 : static_cast<int64_t>(size));
    }
    tensor.info.bytes = bytes_of(name(), tensor.info.dtype, tensor.info.shape);
    tensor.begin = offsets_[0];
    tensor.end = offsets_[1];
  }

  std::map<std::string, std::string>& metadata_;
  std::vector<HeaderTensor> tensors_;
  std::set<std::string> names_, fields_;
  std::string field_;
  std::vector<uint64_t> shape_, offsets_;
  std::vector<uint64_t>* array_ = nullptr;  // the one being filled
  int depth_ = 0;
  bool in_metadata_ = false;
};

// {"metadata": anything, "weight_map": {"tensor": "file"}}
class IndexReader final : public StrictJson {
 public:
  explicit IndexReader(const std::string& file) : StrictJson(file) {}
  bool null() override { return ignored("null"); }
  bool boolean(bool) override { return ignored("a boolean"); }
  bool number_integer(number_integer_t) override { return ignored("a negative number"); }
  bool number_unsigned(number_unsigned_t) override { return ignored("a number"); }
  bool number_float(number_float_t, const string_t&) override { return ignored("a number"); }
  bool start_array(std::size_t) override { return ignored("an array"); }
  bool start_object(std::size_t) override {
    if (depth_ == 1 && section_ == "weight_map") {
      in_map_ = found_ = true;
    } else if (in_map_ || (depth_ > 0 && section_ == "weight_map")) {
      return unexpected("an object");
    }
    ++depth_;
    return true;
  }
  bool end_object() override {
    if (--depth_ == 1) in_map_ = false;
    return true;
  }
  bool key(string_t& key) override {
    if (depth_ == 1 && !sections_.insert(key).second) return unexpected("second " + tessera::quoted(key));
    if (depth_ == 1) section_ = key;
    tensor_ = std::move(key);
    return true;
  }
  bool string(string_t& text) override {
    if (!in_map_) return ignored("a text");
    if (!map_.emplace(tensor_, std::move(text)).second) return unexpected("second tensor " + tessera::quoted(tensor_));
    return true;
  }
  std::map<std::string, std::string> take() {
    if (!found_) throw InputError("{} has no weight_map; give a model.safetensors.index.json", file_);
    return std::move(map_);
  }

 private:
  std::string place() const override { return in_map_ ? "in the weight_map" : "at the top"; }
  bool ignored(std::string_view what) { return depth_ == 0 || section_ == "weight_map" ? unexpected(what) : true; }

  std::map<std::string, std::string> map_;
  std::set<std::string> sections_;
  std::string section_, tensor_;
  int depth_ = 0;
  bool in_map_ = false, found_ = false;
};

std::string json_text(const std::string& text) {
  try {
    return json(text).dump();
  } catch (const json::type_error&) {
    throw InputError("{} is not valid UTF-8 and cannot stand in a safetensors header; rename it", tessera::quoted(text));
  }
}

}  // namespace

std::vector<HeaderTensor> parse_safetensors_header(std::string_view text, const std::string& file,
                                                   std::map<std::string, std::string>& metadata) {
  HeaderReader reader(file, metadata);
  json::sax_parse(text, &reader);
  return reader.take();
}

std::map<std::string, std::string> parse_shard_index(std::string_view text, const std::string& file) {
  IndexReader reader(file);
  json::sax_parse(text, &reader);
  return reader.take();
}

std::string safetensors_header(const std::vector<TensorInfo>& tensors, const std::map<std::string, std::string>& metadata) {
  std::string out = "{";
  if (!metadata.empty()) {
    out += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) out += (out.back() == '{' ? "" : ",") + json_text(key) + ":" + json_text(value);
    out += "}";
  }
  uint64_t position = 0;
  for (const TensorInfo& t : tensors) {
    out += fmt::format("{}{}:{{\"dtype\":\"{}\",\"shape\":[", out.size() == 1 ? "" : ",", json_text(t.name), name(t.dtype));
    for (size_t i = 0; i < t.shape.size(); ++i) out += (i == 0 ? "" : ",") + std::to_string(t.shape[i]);
    out += fmt::format("],\"data_offsets\":[{},{}]}}", position, position + t.bytes);
    position += t.bytes;
  }
  out += "}";
  out.append((8 - out.size() % 8) % 8, ' ');
  return out;
}

}  // namespace tessera::tensor

#include <limits>
#include <utility>

#include "tessera/base/error.h"
#include "tessera/tensor/gguf.h"

namespace tessera::tensor {
namespace {

bool holds_integers(GgufType type) {
  return type != GgufType::f32 && type != GgufType::f64 && type != GgufType::string && type != GgufType::array && type != GgufType::boolean;
}
bool holds_reals(GgufType type) { return type == GgufType::f32 || type == GgufType::f64; }

// A number of any type at `at`, as T; `exact` tells whether T holds it. Floating types never fit an integer T.
template <class T>
T converted(GgufType type, const std::byte* at, bool& exact) {
  const auto as = [&]<class Stored>(Stored stored) {
    if constexpr (std::is_integral_v<T>) exact = std::in_range<T>(stored);
    return static_cast<T>(stored);
  };
  exact = true;
  switch (type) {
    case GgufType::u8:
    case GgufType::boolean:
      return as(read_number<uint8_t>(at));
    case GgufType::i8:
      return as(read_number<int8_t>(at));
    case GgufType::u16:
      return as(read_number<uint16_t>(at));
    case GgufType::i16:
      return as(read_number<int16_t>(at));
    case GgufType::u32:
      return as(read_number<uint32_t>(at));
    case GgufType::i32:
      return as(read_number<int32_t>(at));
    case GgufType::u64:
      return as(read_number<uint64_t>(at));
    case GgufType::i64:
      return as(read_number<int64_t>(at));
    case GgufType::f32:
    case GgufType::f64:
      if constexpr (std::is_floating_point_v<T>)
        return type == GgufType::f32 ? static_cast<T>(read_number<float>(at)) : static_cast<T>(read_number<double>(at));
      break;
    default:
      break;
  }
  exact = false;
  return T{};
}

[[noreturn]] void wrong_kind(const Bytes& bytes, std::string_view key, const GgufValue& value, std::string_view expected) {
  const std::string given =
      value.type == GgufType::array ? fmt::format("an array of {}", name(value.element)) : std::string(name(value.type));
  throw InputError("{}: metadata {} is {}, {} is expected; convert the model again", bytes.name, tessera::quoted(key), given, expected);
}

template <class T>
T number_of(const Bytes& bytes, std::string_view key, const GgufValue& value, std::string_view expected) {
  const bool fits = holds_integers(value.type) || (std::is_floating_point_v<T> && holds_reals(value.type));
  if (!fits) wrong_kind(bytes, key, value, expected);
  bool exact = false;
  const T number = converted<T>(value.type, value.raw.data(), exact);
  if (!exact)
    throw InputError("{}: metadata {} is out of range, {} is expected; convert the model again", bytes.name, tessera::quoted(key),
                     expected);
  return number;
}

template <class T>
std::vector<T> numbers_of(const Bytes& bytes, std::string_view key, const GgufValue& value, std::string_view expected) {
  const bool fits =
      holds_integers(value.element) || value.element == GgufType::boolean || (std::is_floating_point_v<T> && holds_reals(value.element));
  if (value.type != GgufType::array || !fits) wrong_kind(bytes, key, value, expected);
  std::vector<T> numbers(value.count);
  const uint64_t size = value.count == 0 ? 0 : value.raw.size() / value.count;
  for (uint64_t i = 0; i < value.count; ++i) {
    bool exact = false;
    numbers[i] = converted<T>(value.element, value.raw.data() + i * size, exact);
    if (!exact)
      throw InputError("{}: element {} of metadata {} is out of range; convert the model again", bytes.name, i, tessera::quoted(key));
  }
  return numbers;
}

std::string_view text_at(const std::byte* at) { return {reinterpret_cast<const char*>(at) + 8, read_number<uint64_t>(at)}; }

std::string shown_scalar(GgufType type, const std::byte* at) {
  bool exact = false;
  if (type == GgufType::string) return std::string(text_at(at));
  if (type == GgufType::boolean) return read_number<uint8_t>(at) != 0 ? "true" : "false";
  if (type == GgufType::f32) return fmt::format("{}", read_number<float>(at));
  if (type == GgufType::u64) return std::to_string(read_number<uint64_t>(at));
  return holds_reals(type) ? fmt::format("{}", read_number<double>(at)) : std::to_string(converted<int64_t>(type, at, exact));
}

}  // namespace

const GgufValue* GgufFile::find_value(std::string_view key) const {
  const auto found = key_index_.find(std::string(key));
  return found == key_index_.end() ? nullptr : &values_[found->second];
}

const GgufValue& GgufFile::value(std::string_view key) const {
  const GgufValue* found = find_value(key);
  if (found == nullptr) throw InputError("{} has no metadata {}; convert the model again", bytes_.name, tessera::quoted(key));
  return *found;
}

bool GgufFile::boolean(std::string_view key) const {
  const GgufValue& found = value(key);
  if (found.type != GgufType::boolean) wrong_kind(bytes_, key, found, "a boolean");
  return read_number<uint8_t>(found.raw.data()) != 0;
}

uint64_t GgufFile::u64(std::string_view key) const { return number_of<uint64_t>(bytes_, key, value(key), "an integer >= 0"); }

int64_t GgufFile::i64(std::string_view key) const { return number_of<int64_t>(bytes_, key, value(key), "an integer"); }

double GgufFile::f64(std::string_view key) const { return number_of<double>(bytes_, key, value(key), "a number"); }

std::string GgufFile::string(std::string_view key) const {
  const GgufValue& found = value(key);
  if (found.type != GgufType::string) wrong_kind(bytes_, key, found, "a text");
  return std::string(text_at(found.raw.data()));
}

std::vector<std::string_view> GgufFile::strings(std::string_view key) const {
  const GgufValue& found = value(key);
  if (found.type != GgufType::array || found.element != GgufType::string) wrong_kind(bytes_, key, found, "an array of texts");
  std::vector<std::string_view> texts;
  texts.reserve(found.count);
  const std::byte* at = found.raw.data();
  for (uint64_t i = 0; i < found.count; ++i) {
    texts.push_back(text_at(at));
    at += 8 + texts.back().size();
  }
  return texts;
}

std::vector<int64_t> GgufFile::i64s(std::string_view key) const {
  return numbers_of<int64_t>(bytes_, key, value(key), "an array of integers");
}

std::vector<double> GgufFile::f64s(std::string_view key) const {
  return numbers_of<double>(bytes_, key, value(key), "an array of numbers");
}

std::string GgufFile::shown(std::string_view key, size_t limit) const {
  const GgufValue& found = value(key);
  if (found.type != GgufType::array) return tessera::quoted(shown_scalar(found.type, found.raw.data()), limit);
  std::string text = fmt::format("{} x {}: [", found.count, name(found.element));
  const std::byte* at = found.raw.data();
  for (uint64_t i = 0; i < found.count && text.size() < limit && found.element != GgufType::array; ++i) {
    if (i > 0) text += ", ";
    text += shown_scalar(found.element, at);
    at += found.element == GgufType::string ? 8 + text_at(at).size() : found.raw.size() / found.count;
  }
  return tessera::quoted(text + "]", limit);
}

}  // namespace tessera::tensor

// Encodes texts with a tokenizer, for bench/tokenize_.py and tests/parity/tokenizer.py.
//
//   bench_tokenize TOKENIZER FILE --rounds N   seconds of each round over the texts, ids only: {"seconds": [...], "tokens": n, "bytes": n}
//   bench_tokenize TOKENIZER FILE --encodings  one document a text: {"ids", "pieces", "offsets", "types", "decoded", "fast"}; --pair: the
//                                              texts are taken two by two; --no-special: nothing is added by the post-processor
// FILE holds texts, each ended by a zero byte. "fast" tells whether encode_ids() gave the same ids.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/text/tokenizer.h"

namespace {

using tessera::text::EncodeOptions;
using tessera::text::TokenId;
using tessera::text::Tokenizer;

std::vector<std::string_view> texts_of(const std::string& bytes) {
  std::vector<std::string_view> texts;
  for (size_t at = 0; at < bytes.size();) {
    const size_t end = std::min(bytes.find('\0', at), bytes.size());
    texts.push_back(std::string_view(bytes).substr(at, end - at));
    at = end + 1;
  }
  return texts;
}

void time_rounds(const Tokenizer& tokenizer, const std::vector<std::string_view>& texts, int rounds) {
  nlohmann::json seconds = nlohmann::json::array();
  size_t tokens = 0, bytes = 0;
  std::vector<TokenId> ids;
  for (int round = 0; round < rounds; ++round) {
    tokens = bytes = 0;
    const auto start = std::chrono::steady_clock::now();
    for (const std::string_view text : texts) {
      ids.clear();
      tokenizer.encode_ids(text, {}, ids);
      tokens += ids.size();
      bytes += text.size();
    }
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  fmt::print("{}\n", nlohmann::json{{"seconds", seconds}, {"tokens", tokens}, {"bytes", bytes}}.dump());
}

void print_encodings(const Tokenizer& tokenizer, const std::vector<std::string_view>& texts, bool pair, EncodeOptions options) {
  for (size_t i = 0; i + (pair ? 1 : 0) < texts.size(); i += pair ? 2 : 1) {
    const auto encoding = pair ? tokenizer.encode_pair(texts[i], texts[i + 1], options) : tokenizer.encode(texts[i], options);
    nlohmann::json offsets = nlohmann::json::array();
    for (const auto& span : encoding.offsets) offsets.push_back({span.begin, span.end});
    const nlohmann::json document = {{"ids", encoding.ids},
                                     {"pieces", encoding.pieces},
                                     {"offsets", offsets},
                                     {"types", encoding.type_ids},
                                     {"decoded", tokenizer.decode(encoding.ids, true)},
                                     {"decoded_all", tokenizer.decode(encoding.ids, false)},
                                     {"fast", pair || tokenizer.encode_ids(texts[i], options) == encoding.ids}};
    fmt::print("{}\n", document.dump());
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const auto has = [&](const char* name) { return std::find(arguments.begin(), arguments.end(), name) != arguments.end(); };
  if (arguments.size() < 3) {
    fmt::print(stderr, "bench_tokenize: give TOKENIZER FILE and --rounds N or --encodings\n");
    return 2;
  }
  try {
    const Tokenizer tokenizer = Tokenizer::load(arguments[0]);
    std::ifstream in(arguments[1], std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    if (has("--encodings")) {
      print_encodings(tokenizer, texts_of(bytes), has("--pair"), {.add_special_tokens = !has("--no-special")});
    } else {
      time_rounds(tokenizer, texts_of(bytes), arguments.size() > 3 ? std::stoi(arguments[3]) : 1);
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_tokenize: {}\n", error.what());
    return 2;
  }
  return 0;
}

#include "tessera/text/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>

#include "tessera/base/error.h"
#include "tessera/text/pattern_syntax.h"
#include "tessera/text/unicode.h"

namespace tessera::text {

struct Matcher::Compiled {
  pcre2_code* code = nullptr;
  bool jit = false;
  ~Compiled() { pcre2_code_free(code); }
};

namespace {

constexpr uint32_t match_limit = 10'000'000;  // steps of one match: a linear pattern stays far below on a megabyte
constexpr uint32_t heap_limit = 256 * 1024;   // KiB

std::string pcre2_message(int code) {
  std::array<PCRE2_UCHAR, 200> buffer{};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

struct MatchState {  // one a thread: PCRE2 writes into it
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 * 1024, 8 * 1024 * 1024, nullptr);
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  MatchState() {
    pcre2_set_match_limit(context, match_limit);
    pcre2_set_heap_limit(context, heap_limit);
    pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~MatchState() {
    pcre2_match_data_free(data);
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
  }
  MatchState(const MatchState&) = delete;
  MatchState& operator=(const MatchState&) = delete;
};

}  // namespace

Matcher::Matcher(const Pattern& pattern, std::string source) : text_(pattern.text), source_(std::move(source)) {
  if (!pattern.regex) return;
  scanner_ = known_scanner(pattern.text);
  if (scanner_) return;
  const std::string translated = to_pcre2(pattern.text);
  auto compiled = std::make_unique<Compiled>();
  int error = 0;
  size_t where = 0;
  compiled->code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_UTF_CHECK, &error, &where, nullptr);
  if (compiled->code == nullptr) {
    throw InputError("{}: cannot read the pattern \"{}\": {}; give a pattern that PCRE2 reads", source_, tessera::quoted(pattern.text),
                     pcre2_message(error));
  }
  compiled->jit = pcre2_jit_compile(compiled->code, PCRE2_JIT_COMPLETE) == 0;
  compiled_ = std::move(compiled);
}

Matcher::~Matcher() = default;
Matcher::Matcher(Matcher&&) noexcept = default;

void Matcher::find_all(std::string_view text, std::vector<ByteRange>& out) const {
  find_all(text, {0, static_cast<uint32_t>(text.size())}, out);
}

void Matcher::find_all(std::string_view text, ByteRange part, std::vector<ByteRange>& out) const {
  if (scanner_) return scan(*scanner_, text, part, out);
  const std::string_view inside = text.substr(part.begin, part.end - part.begin);
  if (compiled_) return find_compiled(inside, part.begin, out);
  if (text_.empty()) return;
  for (size_t at = inside.find(text_); at != std::string_view::npos; at = inside.find(text_, at + text_.size())) {
    out.push_back({static_cast<uint32_t>(part.begin + at), static_cast<uint32_t>(part.begin + at + text_.size())});
  }
}

void Matcher::find_compiled(std::string_view text, uint32_t shift, std::vector<ByteRange>& out) const {
  thread_local MatchState state;
  size_t at = 0;
  size_t last_end = text.size() + 1;  // of the last match; an empty match there does not count
  while (at <= text.size()) {
    const int rc = pcre2_match(compiled_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at, PCRE2_NO_UTF_CHECK, state.data,
                               state.context);
    if (rc == PCRE2_ERROR_NOMATCH) return;
    if (rc < 0) {
      throw InputError("{}: the pattern \"{}\" gave up on a text of {} bytes: {}; split the text into shorter parts", source_,
                       tessera::quoted(text_), text.size(), pcre2_message(rc));
    }
    const size_t* bounds = pcre2_get_ovector_pointer(state.data);
    const size_t begin = bounds[0], end = bounds[1];
    if (begin > end) return;  // \K inside a look-ahead
    if (begin == end && end == last_end) {
      at = end < text.size() ? end + char_length(text[end]) : end + 1;
      last_end = text.size() + 1;
      continue;
    }
    out.push_back({static_cast<uint32_t>(shift + begin), static_cast<uint32_t>(shift + end)});
    last_end = end;
    at = end;
  }
}

}  // namespace tessera::text

#include "tessera/text/jinja.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tessera/base/error.h"

namespace tessera::text::jinja {
namespace {

using Json = nlohmann::ordered_json;

std::tm saturday() {  // what tests/parity/jinja.py calls now
  std::tm now{};
  now.tm_year = 126, now.tm_mon = 6, now.tm_mday = 4, now.tm_hour = 15, now.tm_min = 5, now.tm_sec = 9, now.tm_wday = 6, now.tm_yday = 184;
  return now;
}

std::string error_of(const std::string& source, const Json& variables = Json::object()) {
  try {
    return "rendered: " + Template(source).render(variables, saturday()).text;
  } catch (const InputError& error) {
    return error.what();
  }
}

// Every case renders as jinja2 rendered it, or fails where jinja2 fails.
void compare_with_golden(const std::string& path, size_t at_least) {
  std::ifstream in(path);
  ASSERT_TRUE(in) << path;
  const Json golden = Json::parse(in);
  ASSERT_GE(golden["cases"].size(), at_least);
  size_t rendered = 0, refused = 0, wrong = 0;
  for (const Json& one : golden["cases"]) {
    SCOPED_TRACE(one["name"].get<std::string>());
    if (wrong > 10) return;
    try {
      const Rendered ours = Template(one["template"].get<std::string>()).render(one["variables"], saturday());
      if (one.contains("error")) {
        ADD_FAILURE() << "jinja2 fails: " << one["error"] << "; ours gives " << ours.text;
        ++wrong;
        continue;
      }
      wrong += ours.text != one["expected"].get<std::string>() ? 1 : 0;
      EXPECT_EQ(ours.text, one["expected"].get<std::string>());
      Json spans = Json::array();
      for (const auto& [begin, end] : ours.generated) spans.push_back({begin, end});
      EXPECT_EQ(spans, one.value("spans", Json::array()));
      ++rendered;
    } catch (const InputError& error) {
      EXPECT_TRUE(one.contains("error")) << error.what();
      wrong += one.contains("error") ? 0 : 1;
      ++refused;
    }
  }
  std::printf("%zu rendered alike, %zu refused by both\n", rendered, refused);
}

TEST(Jinja, RendersEveryConstructAsJinja2) { compare_with_golden(TESSERA_SOURCE_DIR "/tests/parity/golden/jinja.json", 190); }

TEST(Jinja, RendersRealTemplatesAsJinja2) {
  const char* path = std::getenv("TESSERA_JINJA_CASES");
  if (!path) GTEST_SKIP() << "make cases with tests/parity/jinja.py --templates DIR and name them in TESSERA_JINJA_CASES";
  compare_with_golden(path, 1);
}

TEST(Jinja, ErrorsNameLineAndColumn) {
  EXPECT_EQ(error_of("a\n{% if x %}\n  {{ y.z }}\n{% endif %}", {{"x", 1}}),
            "chat template, line 3, column 7: 'y' is undefined; test it with 'is defined' or give it a |default");
  EXPECT_EQ(error_of("{{ 'é' }}{{ 'a' + 1 }}"),
            "chat template, line 1, column 17: '+' joins a str and a int; convert one with |string, |int or |list");
  EXPECT_EQ(error_of("{% for x in [1] %}\n"), "chat template, line 1, column 19: this block has no end; close it with {% endfor %}");
  EXPECT_EQ(error_of("{{ raise_exception('roles\nmust alternate') }}"),
            "chat template, line 1, column 19: the template refuses this conversation: roles\\nmust alternate");
  EXPECT_EQ(
      error_of("{{ [1].append(2) }}"),
      "chat template, line 1, column 14: append() would change a list, which chat templates may not; make a new one, as in x = x + [y]");
  EXPECT_EQ(error_of("\xff"), "chat template, the chat template: byte 0 is not UTF-8; save it as UTF-8 text");
}

TEST(Jinja, HostileTemplatesEndInOneLine) {
  const std::string deep_brackets(100'000, '('), deep_lists = "{{ " + std::string(50'000, '[');
  std::string sum = "{{ 1", elifs = "{% if 0 %}", nested;
  for (int i = 0; i < 50'000; ++i) sum += "+1";
  for (int i = 0; i < 50'000; ++i) elifs += "{% elif 0 %}";
  for (int i = 0; i < 50'000; ++i) nested += "{% if 1 %}";
  for (const std::string& source :
       {"{{ " + deep_brackets,
        deep_lists,
        sum + " }}",
        elifs + "{% endif %}",
        nested,
        std::string("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
        std::string("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}"),
        std::string("{% set ns = namespace(x='a') %}{% for a in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}"),
        std::string("{% set ns = namespace(x=[]) %}{% for a in range(99999) %}{% set ns.x = [ns.x] %}{% endfor %}"),
        std::string("{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}"),
        std::string("{{ 'a' * 1000000000000 }}"),
        std::string("{{ [1] * 99999999999 }}"),
        std::string("{{ 2 ** 64 }}"),
        std::string("{{ -9223372036854775807 - 2 }}"),
        std::string("{{ 'x'.zfill(99999999999) }}"),
        std::string("{{ '%999999999d' % 1 }}"),
        std::string("{{ '{:999999999}'.format(1) }}"),

        std::string("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}"),
        std::string("{{ [1]|batch(99999999999, 0)|list }}"),
        std::string("{% set x = 'ab' %}{% for i in range(100000) %}{{ x * 1000 }}{% endfor %}")}) {
    SCOPED_TRACE(source.substr(0, 80));
    const auto begin = std::chrono::steady_clock::now();
    const std::string error = error_of(source);
    EXPECT_EQ(error.substr(0, 13), "chat template") << error.substr(0, 100);
    EXPECT_EQ(error.find('\n'), std::string::npos);
    EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(), 60.0);
  }
}

TEST(Jinja, LimitsAreTheCallers) {
  const Template loop("{% for i in range(1000) %}{{ i }}{% endfor %}");
  EXPECT_EQ(loop.render(Json::object()).text.size(), 2890u);
  EXPECT_THROW(loop.render(Json::object(), {}, {.steps = 500}), InputError);
  EXPECT_THROW(loop.render(Json::object(), {}, {.output_bytes = 2000}), InputError);
}

TEST(Jinja, NothingOfTheHostIsReachable) {
  for (const char* source :
       {"{{ ''.__class__ }}", "{{ {}.__init__ }}", "{{ namespace.__globals__ }}", "{{ self }}", "{{ cycler }}", "{{ os }}"})
    EXPECT_EQ(Template(source).render(Json::object()).text, "") << source;
}

}  // namespace
}  // namespace tessera::text::jinja

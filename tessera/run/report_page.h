#pragma once
// The page around a report or scoreboard: one style sheet, one script, tables that fit phones.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/run/report.h"

namespace tessera::run {

// A whole HTML document. `body` is HTML; `title` is text. No outside request: styles and script are inline, images are data.
std::string page_html(const std::string& title, std::string_view body);
extern const char* const kPageStyle;   // CSS
extern const char* const kPageScript;  // an ES module: hover values, keyboard, opening details before printing

// "✓ held" and its kin as a badge: word, sign and colour.
std::string verdict_badge(Verdict verdict);
// The claim table with a row of details under each claim.
std::string claims_html(const std::vector<Judgement>& judgements);
// The baselines with one column per quantity.
std::string baselines_html(const std::vector<Baseline>& rows);
// Rows of name and value.
std::string settings_html(const std::vector<std::pair<std::string, std::string>>& rows);
// "0.412 [0.301, 0.523] nats"-like pieces: the value with the decimals its interval justifies, and the interval, each in its own element.
std::string value_html(double value, const std::optional<Interval>& interval, const std::string& unit);
// Any table; columns of numbers are aligned right. `limit` rows at most.
std::string table_html(const Table& table, size_t limit);

// Base64 of RFC 4648.
std::string base64(std::string_view bytes);

}  // namespace tessera::run

#pragma once
// The scoreboard of all methods: the four columns of docs/done.md, and under each method the paper's numbers beside ours.

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tessera/run/report.h"

namespace tessera::run {

// One claim as the scoreboard shows it.
struct ScoreboardClaim {
  std::string id, says, theirs;
  std::string ours;  // "0.71 [0.52, 0.84] nats"; empty when not measured
  Verdict verdict = Verdict::not_measured;
  std::string why_not_measured = {};
};

struct ScoreboardRow {
  std::string slug, title;
  std::string paper = {};                  // "arXiv:2403.03853v3"
  std::string use = {};                    // one sentence
  std::string useful = {}, faithful = {};  // what shows that the column of docs/done.md holds; empty: not shown yet
  std::string proven = {};                 // beside the count of claims, which comes from `claims`
  std::string fast = {};
  std::string mode = {};  // of the reproduction: "default"; empty: it was not run
  std::optional<double> seconds = {};
  std::string report = {};  // path of report.html relative to the HTML scoreboard; empty: no link
  std::vector<ScoreboardClaim> claims = {};
};

// Takes mode, seconds and claims from a document of Report::document(). Throws std::logic_error when it is none.
void fill_from_document(ScoreboardRow& row, const nlohmann::ordered_json& document);

std::string scoreboard_markdown(const std::vector<ScoreboardRow>& rows);
std::string scoreboard_html(const std::vector<ScoreboardRow>& rows);
// Both, atomically. Throws WorkError when a file cannot be written.
void write_scoreboard(const std::vector<ScoreboardRow>& rows, const std::filesystem::path& markdown, const std::filesystem::path& html);

}  // namespace tessera::run

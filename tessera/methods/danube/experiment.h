#pragma once
// The experiment's sizes, its data and the parts it consists of.

#include <array>
#include <memory>

#include "tessera/lm/model.h"
#include "tessera/run/method.h"
#include "tessera/run/report.h"
#include "tessera/text/tokenizer.h"
#include "tessera/train/language.h"

namespace tessera::danube {

// Sizes. d = 128 and W = 512 are chosen so that attention's share of the work at 1024 tokens is like that of d = 2560 and W = 4096 at
// 16384.
struct Plan {
  int64_t width = 128, layers = 4, heads = 4, kv_heads = 2, ffn = 352, window = 512, vocab = 512;
  std::vector<int64_t> lengths = {128, 256, 512, 1024};  // of the stages
  int64_t batch = 2048;                                  // tokens of a step, in every stage
  std::vector<uint64_t> seeds = {1, 2, 3};
  double seconds = 200.0;                                 // E1 shall take about so long: fixes its tokens once the speed is known
  int64_t least_tokens = 250'000, most_tokens = 600'000;  // of an arm and seed
  int64_t windows = 96;                                   // held-out windows of the longest length
  int64_t sft_pairs = 2000, dpo_pairs = 1000, test_pairs = 500, answers = 60;
  double sft_rate = 2e-3, extra_rate = 1e-3, dpo_rate = 1e-3;  // chosen on glosses of verbs, see README.md
  int64_t more_tokens = 0;                                     // of each arm of E3; 0: E3 is left out
  uint64_t text_bytes = 12'000'000;
};
Plan plan_of(run::Mode mode);

// Real prose, split by document: of twenty documents one is held out for evaluation and one for choosing settings; the vocabulary is
// trained on the rest. Without the packages a quick run makes words up.
struct Prose {
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::vector<std::string> training, validation, test;  // documents
  std::string what;
  bool real = true;
};
Prose read_prose(const Plan& plan, bool quick);
// A byte-level BPE vocabulary of `size` pieces with <|endoftext|>.
std::shared_ptr<const text::Tokenizer> train_vocabulary(const std::vector<std::string>& documents, int64_t size);
// Documents as tokens, each closed by <|endoftext|>, in a cache file that is removed once it is open.
train::TokenCache tokenised(const std::vector<std::string>& documents, const text::Tokenizer& tokenizer, const std::filesystem::path& file);
// Rows of length + 1 tokens, spread evenly over the documents' tokens; at most `count`.
std::vector<std::vector<int64_t>> held_out_windows(const std::vector<std::string>& documents, const text::Tokenizer& tokenizer,
                                                   int64_t length, int64_t count);

// Model R: Mistral's architecture, fresh.
lm::Transformer fresh_model(const Plan& plan, int64_t vocab, uint64_t seed);
lm::Transformer copy_of(const lm::Transformer& model);  // with its own memory
// Nats of every target of every window: [windows][length].
std::vector<std::vector<double>> window_nats(lm::Transformer model, const std::vector<std::vector<int64_t>>& windows);
double mean_of_all(const std::vector<std::vector<double>>& nats);

// What a training needs that all arms share: AdamW as the paper's, a cosine from 3e-3 to 5 % over 3 % of warm-up.
struct ArmRun {
  lm::Transformer model{nullptr};
  std::vector<double> tokens = {}, loss = {}, seconds = {};  // after every 20th of the run: tokens, smoothed loss, wall clock so far
  std::vector<double> stage_seconds = {};                    // steps times the median step, stage by stage
  std::vector<std::pair<int64_t, double>> checkpoints = {};  // tokens and what `measure` gave
  double wall() const;
};
struct ArmOptions {
  std::vector<train::Stage> stages = {};
  uint64_t seed = 1;
  double rate = 3e-3;
  std::filesystem::path save_to = {};   // the state after the first stage is written there
  std::filesystem::path start_at = {};  // ... and an arm may start from it
  int64_t measure_every = 0;            // steps
  std::function<double(lm::Transformer)> measure = {};
};
ArmRun train_arm(const Plan& plan, lm::Transformer model, std::vector<train::MixedTokens::Corpus> corpora, const ArmOptions& options);

// What runs through the parts of the experiment.
struct Laboratory {
  run::Report& report;
  run::Context& context;
  Plan plan;
  Prose prose;
  std::filesystem::path scratch;
  lm::Transformer base{nullptr};  // arm S of the first seed, once E1 has run
};
void run_staged_context(Laboratory& lab);  // E1
void run_chat_tuning(Laboratory& lab);     // E2
void run_data_mixes(Laboratory& lab);      // E3
void run_vocabulary(Laboratory& lab);      // E3
void run_retrieval(Laboratory& lab);       // E3, reported without a claim

namespace claims {
extern const run::Claim layout;      // C1
extern const run::Claim time;        // C2
extern const run::Claim length;      // C3
extern const run::Claim short_only;  // C4
extern const run::Claim preference;  // C5
extern const run::Claim order;       // C6
extern const run::Claim vocabulary;  // C7
}  // namespace claims

}  // namespace tessera::danube

// The experiment: the layout of the public checkpoints, the context grown in stages, a chat model, and with --full the data's order, a new
// vocabulary and retrieval.

#include "tessera/methods/danube/reproduce.h"

#include <unistd.h>

#include "tessera/data/sources.h"
#include "tessera/eval/perplexity.h"
#include "tessera/lm/generate.h"
#include "tessera/methods/danube/experiment.h"
#include "tessera/methods/danube/layout.h"
#include "tessera/methods/danube/opened.h"
#include "tessera/run/installed.h"

namespace tessera::danube {

Plan plan_of(run::Mode mode) {
  if (mode == run::Mode::quick)
    return {.width = 32,
            .layers = 1,
            .heads = 2,
            .kv_heads = 1,
            .ffn = 48,
            .window = 32,
            .vocab = 320,
            .lengths = {16, 32, 64, 128},
            .batch = 256,
            .seeds = {1, 2},
            .seconds = 0.5,
            .least_tokens = 5120,
            .most_tokens = 5120,
            .windows = 6,
            .sft_pairs = 16,
            .dpo_pairs = 8,
            .test_pairs = 12,
            .answers = 2,
            .more_tokens = 5120,
            .text_bytes = 400'000};
  Plan plan;
  if (mode == run::Mode::full) {
    plan.least_tokens = plan.most_tokens = 3'000'000;
    plan.more_tokens = 1'000'000;
  }
  return plan;
}

namespace {

void judge_layout(run::Report& report) {
  const auto config = lm::parse_config(public_config("danube-1.8b-base"));
  double parameters = 0.0;
  for (const auto& tensor : layout_of(config)) {
    double size = 1.0;
    for (const int64_t side : tensor.shape) size *= static_cast<double>(side);
    parameters += size;
  }
  auto open = config;
  lm::set_window(open, 0);
  const auto mebibytes = [](const lm::ModelConfig& of) { return static_cast<double>(cache_bytes(of, 16384)) / 1048576.0; };
  const double with_window = mebibytes(config), without = mebibytes(open);
  report.heading("The public checkpoints");
  report.text(
      fmt::format("Danube 1.8B has {:.0f} parameters by its layout. Keys and values of 16384 tokens in bf16 take {:.0f} MiB with its "
                  "window of {} tokens, {:.0f} MiB without.",
                  parameters, with_window, config.window, without));
  report.judge(claims::layout, run::Samples{{"parameters", std::vector<double>{parameters}},
                                            {"MiB with the window", std::vector<double>{with_window}},
                                            {"MiB without", std::vector<double>{without}}});
}

// Real weights of the layout's family through the same code: perplexity and one answer.
void show_real_weights(Laboratory& lab) {
  const auto& packaged = run::packaged_models();
  const auto found = std::find_if(packaged.begin(), packaged.end(), [](const auto& model) { return model.name == "smollm2"; });
  if (found == packaged.end() || !run::is_installed(*found) || !data::installed(data::find_source("debian-handbook"))) {
    lab.report.text("Real weights: SmolLM2-135M-Instruct or the handbook is not installed; nothing was measured on them.");
    return;
  }
  auto loaded = open_model("smollm2", lab.context);
  const auto text = data::read_source("debian-handbook", {}, 20'000).substr(0, 20'000);
  const auto ids = loaded.tokenizer->encode_ids(text, {.add_special_tokens = false});
  eval::PerplexityOptions rows;
  rows.window = 512;
  const auto perplexity = eval::perplexity(loaded.model, ids, rows);
  const auto prompt =
      chat_template_of(loaded)
          .render(nlohmann::ordered_json::array({{{"role", "user"}, {"content", "What is Debian? Answer in one sentence."}}}))
          .text;
  lm::GenerateOptions how{.max_tokens = 60, .sampling = {.temperature = 0.0}};
  how.end_ids = end_ids_of(loaded);
  const auto answer = lm::generate(loaded.model, {encode(*loaded.tokenizer, prompt, false)}, how, loaded.tokenizer.get());
  lab.report.heading("Real weights");
  lab.report.text(fmt::format("{} ({}): perplexity {:.2f} on 20 kB of debian-handbook in rows of 512 tokens. Asked what Debian is: *{}*",
                              found->title, loaded.dtype_note, perplexity.perplexity, answer.sequences.front().text));
  lab.context.note("{}: perplexity {:.2f}", found->title, perplexity.perplexity);
}

// A folder for tokens and checkpoints that goes away.
struct Scratch {
  std::filesystem::path path;
  explicit Scratch(const run::Context& context)
      : path(std::filesystem::temp_directory_path() / fmt::format("tessera-danube-{}-{}", getpid(), context.settings().seed)) {
    std::filesystem::create_directories(path);
  }
  ~Scratch() {
    std::error_code error;
    std::filesystem::remove_all(path, error);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
};

void describe(const Laboratory& lab) {
  const auto& plan = lab.plan;
  lab.report.setting("model",
                     fmt::format("Mistral's architecture, width {}, {} layers, {} heads over {} key heads, ffn {}, window {}, vocabulary "
                                 "{}: {} parameters",
                                 plan.width, plan.layers, plan.heads, plan.kv_heads, plan.ffn, plan.window, lab.prose.tokenizer->size(),
                                 lm::parameter_count(fresh_model(plan, lab.prose.tokenizer->size(), 1)->config())));
  lab.report.setting("text",
                     fmt::format("{}: {} documents, {} held out", lab.prose.what, lab.prose.training.size(), lab.prose.test.size()));
  lab.report.setting("training", "AdamW .9 .95, decay 0.1, clip 1, cosine from 3e-3 to 5 % after 3 % of warm-up, float32");
}

}  // namespace

void reproduce(run::Report& report, run::Context& context, run::Mode mode) {
  report.declare({claims::layout, claims::time, claims::length, claims::short_only, claims::preference, claims::order, claims::vocabulary});
  const Scratch scratch(context);
  Laboratory lab{.report = report, .context = context, .plan = plan_of(mode), .prose = {}, .scratch = scratch.path};
  lab.prose = read_prose(lab.plan, mode == run::Mode::quick);
  describe(lab);
  judge_layout(report);
  run_staged_context(lab);
  run_chat_tuning(lab);
  if (lab.plan.more_tokens > 0) {
    run_data_mixes(lab);
    run_vocabulary(lab);
    run_retrieval(lab);
  } else {
    report.not_measured(claims::order, "needs --full");
    report.not_measured(claims::vocabulary, "needs --full");
  }
  if (mode != run::Mode::quick) show_real_weights(lab);
  report.cannot_show(
      "Benchmark scores of a 1.8B model after a trillion tokens, MT-Bench, and 292.7k tokens a second on eight H100: 0.9M parameters and "
      "half "
      "a million tokens say nothing about them.");
}

}  // namespace tessera::danube

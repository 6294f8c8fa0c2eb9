#include <cstdlib>

#include "tessera/kernels/products.h"
#include "tessera/lm/generate.h"
#include "tests/lm/golden.h"

namespace tessera::lm {

TEST(Live, LogitsAndGreedyTokens) {
  const char *model = std::getenv("TESSERA_LIVE_MODEL"), *expected = std::getenv("TESSERA_LIVE_EXPECTED");
  if (model == nullptr || expected == nullptr) GTEST_SKIP() << "real weights are compared by ./run test --parity (tests/parity/lm.py)";
  kernels::take_float_products();  // as the program does
  auto loaded = load_model(model, {.dtype = DtypeChoice::fp32, .device = torch::kCPU, .allow_missing = {}, .tokenizer = false});
  const auto values = tensor::Weights::open(expected);
  const auto ids = values.load("ids").clone(), logits = values.load("logits").clone(), greedy = values.load("greedy").clone();
  {
    torch::InferenceMode inference;
    const auto hidden = loaded.model->hidden(ids).narrow(1, ids.size(1) - logits.size(1), logits.size(1));
    const double error = error_of_scale(loaded.model->logits(hidden), logits);
    std::printf("loaded in %.2f s; worst logit error %.2e of the scale\n", loaded.load_seconds, error);
    EXPECT_LT(error, 1e-4);
  }
  GenerateOptions options;
  options.max_tokens = greedy.size(1);
  options.sampling.temperature = 0.0;
  const std::vector<int64_t> prompt(ids.const_data_ptr<int64_t>(), ids.const_data_ptr<int64_t>() + 32);
  const auto result = generate(loaded.model, {prompt}, options);
  EXPECT_EQ(result.sequences[0].ids,
            std::vector<int64_t>(greedy.const_data_ptr<int64_t>(), greedy.const_data_ptr<int64_t>() + greedy.numel()));
}

}  // namespace tessera::lm

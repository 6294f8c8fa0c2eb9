#pragma once
// Language models in the training loop: stages of context length and data mix at a constant token batch (Danube, arXiv 2401.16818, section
// 3), rows packed from corpora, the loss of next tokens.

#include "tessera/lm/model.h"
#include "tessera/train/mixed_tokens.h"
#include "tessera/train/task.h"

namespace tessera::train {

struct Stage {
  int64_t tokens = 0;           // its budget; rounded up to whole steps
  int64_t length = 512;         // tokens of a row
  std::vector<double> weights;  // share of each corpus; empty: by their number of tokens
};

struct LanguageOptions {
  std::vector<Stage> stages;
  int64_t batch = 16384;        // tokens of an optimizer step, the same in every stage: a multiple of every stage's length
  int64_t micro = 0;            // rows of one forward pass; 0: all rows of the step
  bool mask_documents = false;  // attention and positions stay within a document, and its last token has no target
  bool recompute = false;       // activation checkpointing of every block
  double z_loss = 0.0;          // see HeadLossOptions; of the training loss alone
  double weight_decay = 0.0;    // of matrices; embeddings, head, gains and biases never decay
  int64_t rank = 0, ranks = 1;  // this process takes the rows r with r % ranks == rank of every step
  int64_t eval_rows = 64;       // rows of held-out text, of the present stage's length
};

// Throws InputError for a batch that is no multiple of a stage's length, and for lengths beyond what learned positions allow.
void check_stages(const LanguageOptions& options, const lm::ModelConfig& config);
int64_t steps_of(const LanguageOptions& options);               // of all stages
size_t stage_of(const LanguageOptions& options, int64_t step);  // the stage that step (from 1) belongs to

// The loss of one batch of rows: sum over targets >= 0 of their nats, with its graph. tokens, targets: [B, T] int64; documents: [B, T] or
// undefined; on any device.
struct LanguageRows {
  torch::Tensor tokens, targets, documents;
};
torch::Tensor language_loss(const lm::Transformer& model, const LanguageRows& rows, bool recompute, double z_loss = 0.0);

// The head's weight [V, D]: the embedding's where it is tied.
torch::Tensor head_weight(const lm::Transformer& model);

// Reads a folder's weights into the memory that the parameters have: masters and fused neighbours share it.
void read_in_place(lm::Transformer model, const std::filesystem::path& folder);

// The parameters of a model as the optimizer sees them: names of the checkpoint, decay and the mark of matrices inside layers.
std::vector<Parameter> language_parameters(const lm::Transformer& model, double weight_decay);

// The task. `held_out` may be empty: no evaluation, else {"eval/loss", nats a token} and {"eval/perplexity", ...}. `write` writes the model
// with its tokenizer into an existing empty folder.
Task language_task(lm::Transformer model, std::shared_ptr<MixedTokens> corpora, std::vector<TokenCache> held_out,
                   const LanguageOptions& options, std::function<void(const std::filesystem::path&)> write);

}  // namespace tessera::train

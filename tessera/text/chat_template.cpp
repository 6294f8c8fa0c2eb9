#include "tessera/text/chat_template.h"

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/base/json.h"
#include "tessera/tensor/gguf.h"

namespace tessera::text {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr uint64_t kLargestConfig = 64u << 20;
constexpr std::string_view kTokenNames[] = {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

// A model's template and the special tokens it reads by name.
struct ChatSource {
  std::optional<std::string> source;
  std::string name;
  Json special_tokens = Json::object();
};

// chat_template is a string, or a list of {"name", "template"}.
std::optional<std::string> template_field(const Json& config, std::string_view which) {
  const auto found = config.find("chat_template");
  if (found == config.end()) return std::nullopt;
  if (found->is_string()) return found->get<std::string>();
  if (!found->is_array()) return std::nullopt;
  for (const Json& entry : *found) {
    if (entry.is_object() && entry.value("name", Json()) == which && entry.value("template", Json()).is_string())
      return entry["template"].get<std::string>();
  }
  return std::nullopt;
}

ChatSource from_folder(const fs::path& folder, std::string_view which) {
  ChatSource chat;
  if (const fs::path config_path = folder / "tokenizer_config.json"; fs::is_regular_file(config_path)) {
    const Json config = parse_json(read_file(config_path, kLargestConfig), config_path.string());
    if (!config.is_object()) throw InputError("{}: a JSON object is expected; copy the file again", config_path.string());
    for (const std::string_view name : kTokenNames) {
      const auto found = config.find(name);
      if (found == config.end()) continue;
      if (found->is_string()) chat.special_tokens[std::string(name)] = *found;
      if (found->is_object() && found->value("content", Json()).is_string()) chat.special_tokens[std::string(name)] = (*found)["content"];
    }
    chat.source = template_field(config, which);
    chat.name = config_path.string() + ", chat_template";
  }
  const fs::path own =
      which == "default" ? folder / "chat_template.jinja" : folder / "additional_chat_templates" / (std::string(which) + ".jinja");
  if (fs::is_regular_file(own)) {  // as in Transformers, the file counts before the field
    chat.source = read_file(own, kLargestConfig);
    chat.name = own.string();
  }
  return chat;
}

ChatSource from_gguf(const fs::path& path, std::string_view which) {
  const auto file = tensor::GgufFile::open(path);
  ChatSource chat;
  const std::string key = which == "default" ? "tokenizer.chat_template" : "tokenizer.chat_template." + std::string(which);
  if (!file.has(key)) return chat;
  chat.source = file.string(key);
  chat.name = path.string() + ", " + key;
  if (!file.has("tokenizer.ggml.tokens")) return chat;
  const auto pieces = file.strings("tokenizer.ggml.tokens");
  constexpr std::pair<const char*, const char*> roles[] = {{"bos_token", "tokenizer.ggml.bos_token_id"},
                                                           {"eos_token", "tokenizer.ggml.eos_token_id"},
                                                           {"unk_token", "tokenizer.ggml.unknown_token_id"},
                                                           {"pad_token", "tokenizer.ggml.padding_token_id"}};
  for (const auto& [name, id_key] : roles) {
    if (file.has(id_key) && file.u64(id_key) < pieces.size()) chat.special_tokens[name] = std::string(pieces[file.u64(id_key)]);
  }
  return chat;
}

}  // namespace

ChatTemplate::ChatTemplate(std::string source, std::string bos_token, std::string eos_token, std::string name)
    : source_(std::move(source)), special_tokens_(Json::object()), template_(source_, std::move(name)) {
  special_tokens_["bos_token"] = std::move(bos_token);
  special_tokens_["eos_token"] = std::move(eos_token);
}

std::optional<ChatTemplate> ChatTemplate::load(const fs::path& model, std::string_view which) {
  if (!fs::exists(model)) throw InputError("{} does not exist; give a model folder or a .gguf file", model.string());
  ChatSource chat = fs::is_directory(model) ? from_folder(model, which) : from_gguf(model, which);
  if (!chat.source) return std::nullopt;
  ChatTemplate loaded(std::move(*chat.source), "", "", chat.name);
  for (const auto& [name, token] : chat.special_tokens.items()) loaded.special_tokens_[name] = token;
  return loaded;
}

ChatText ChatTemplate::render(const Json& messages, const ChatOptions& options) const {
  if (!messages.is_array()) throw InputError("messages are {}; give a list of {{\"role\": ..., \"content\": ...}}", messages.type_name());
  for (const Json& message : messages) {
    if (!message.is_object() || !message.contains("role"))
      throw InputError("a message is {} without a role; give {{\"role\": ..., \"content\": ...}}", message.type_name());
  }
  Json variables = special_tokens_;
  variables["messages"] = messages;
  variables["tools"] = options.tools;
  variables["documents"] = options.documents;
  variables["add_generation_prompt"] = options.add_generation_prompt;
  if (options.variables.is_object()) variables.update(options.variables);
  jinja::Rendered rendered = template_.render(variables, options.now);
  return {std::move(rendered.text), std::move(rendered.generated)};
}

}  // namespace tessera::text

#include "tessera/text/chat_template.h"

#include <gtest/gtest.h>

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/tensor/gguf.h"

namespace tessera::text {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

const std::string kChatMl =
    "{{ bos_token }}{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% generation %}{{ m.content }}{% endgeneration %}"
    "{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
const Json kMessages = {{{"role", "user"}, {"content", "Żółw?"}}, {{"role", "assistant"}, {"content", "Yes."}}};

class ChatTemplateFiles : public testing::Test {
 protected:
  ChatTemplateFiles() : folder(fs::temp_directory_path() / ("tessera_chat_" + std::to_string(::getpid()))) {
    fs::create_directories(folder);
  }
  ~ChatTemplateFiles() override { fs::remove_all(folder); }
  fs::path folder;
};

TEST(ChatTemplate, RendersAndMarksWhatTheAssistantSaid) {
  const ChatTemplate chat(kChatMl, "<s>");
  const ChatText text = chat.render(kMessages);
  EXPECT_EQ(text.text, "<s><|im_start|>user\nŻółw?<|im_end|>\n<|im_start|>assistant\nYes.<|im_end|>\n<|im_start|>assistant\n");
  ASSERT_EQ(text.assistant.size(), 2u);
  EXPECT_EQ(text.text.substr(text.assistant[0].first, text.assistant[0].second - text.assistant[0].first), "Żółw?");
  EXPECT_EQ(text.text.substr(text.assistant[1].first, text.assistant[1].second - text.assistant[1].first), "Yes.");
}

TEST(ChatTemplate, GivesToolsDocumentsAndExtraVariables) {
  const ChatTemplate chat("{{ tools|tojson }}{{ documents is none }}{{ mode }}{{ strftime_now('%Y') }}{{ eos_token }}", "", "</s>");
  std::tm now{};
  now.tm_year = 99;
  EXPECT_EQ(chat.render(kMessages, {.tools = {{{"name", "f"}}}, .variables = {{"mode", "fast"}}, .now = now}).text,
            "[{\"name\": \"f\"}]Truefast1999</s>");
  EXPECT_TRUE(chat.takes_tools());
}

TEST(ChatTemplate, RefusesWhatIsNoConversation) {
  const ChatTemplate chat(kChatMl);
  EXPECT_THROW(chat.render(Json("hi")), InputError);
  EXPECT_THROW(chat.render(Json::array({"hi"})), InputError);
  EXPECT_THROW(ChatTemplate("{% for %}"), InputError);
}

TEST_F(ChatTemplateFiles, ReadsFieldFileAndNamedTemplates) {
  EXPECT_FALSE(ChatTemplate::load(folder));
  write_file(folder / "tokenizer_config.json", R"({"bos_token": {"content": "<b>"}, "chat_template": "field {{ bos_token }}"})");
  EXPECT_EQ(ChatTemplate::load(folder)->render(kMessages).text, "field <b>");
  write_file(folder / "tokenizer_config.json",
             R"({"chat_template": [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "tooled"}]})");
  EXPECT_EQ(ChatTemplate::load(folder)->render(kMessages).text, "plain");
  EXPECT_EQ(ChatTemplate::load(folder, "tool_use")->render(kMessages).text, "tooled");
  EXPECT_FALSE(ChatTemplate::load(folder, "rag"));
  write_file(folder / "chat_template.jinja", "file");
  EXPECT_EQ(ChatTemplate::load(folder)->render(kMessages).text, "file");
  write_file(folder / "tokenizer_config.json", "{");
  EXPECT_THROW(ChatTemplate::load(folder), InputError);
}

TEST_F(ChatTemplateFiles, ReadsGguf) {
  tensor::GgufWriter writer;
  writer.set("general.architecture", "llama");
  writer.set("tokenizer.chat_template", "{{ bos_token }}|{{ eos_token }}");
  writer.set("tokenizer.ggml.tokens", std::vector<std::string>{"<s>", "</s>"});
  writer.set_u32("tokenizer.ggml.bos_token_id", 0);
  writer.set_u32("tokenizer.ggml.eos_token_id", 1);
  writer.write(folder / "model.gguf");
  EXPECT_EQ(ChatTemplate::load(folder / "model.gguf")->render(kMessages).text, "<s>|</s>");
}

}  // namespace
}  // namespace tessera::text

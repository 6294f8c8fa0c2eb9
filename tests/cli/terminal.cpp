// The program on a terminal of its own, as a person meets it: line editing, history, messages of several lines, Ctrl-C.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <chrono>
#include <fstream>

#include "tests/cli/program_run.h"

namespace tessera::cli_tests {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// tessera on a pseudo-terminal; everything that it shows is kept in shown().
class Terminal {
 public:
  Terminal(const std::vector<std::string>& words, const std::string& state_folder) {
    winsize size{.ws_row = 40, .ws_col = 100, .ws_xpixel = 0, .ws_ypixel = 0};
    child_ = forkpty(&terminal_, nullptr, nullptr, &size);
    if (child_ != 0) return;
    setenv("XDG_STATE_HOME", state_folder.c_str(), 1);
    setenv("TERM", "xterm", 1);
    std::vector<char*> arguments = {const_cast<char*>(TESSERA_PROGRAM)};
    for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    execv(TESSERA_PROGRAM, arguments.data());
    _exit(127);
  }
  ~Terminal() {
    if (!left_) kill(child_, SIGKILL), waitpid(child_, nullptr, 0);
    close(terminal_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void type(const std::string& keys) { ASSERT_EQ(write(terminal_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size())); }
  // Reads on until `text` has been shown since the last call; false after a minute or at the end.
  bool shows(const std::string& text) {
    for (;;) {
      const auto at = shown_.find(text, seen_);
      if (at != std::string::npos) return seen_ = at + text.size(), true;
      if (!read_more()) return false;
    }
  }
  bool shows_bytes(size_t more) {
    for (seen_ += more; shown_.size() < seen_;)
      if (!read_more()) return false;
    return true;
  }
  // What the program leaves with.
  int exit_code() {
    while (read_more()) {
    }
    int status = 0;
    if (waitpid(child_, &status, WNOHANG) == 0) {
      usleep(200'000);  // it closed the terminal and is ending, or it waits for something that never comes
      if (waitpid(child_, &status, WNOHANG) == 0) kill(child_, SIGKILL), waitpid(child_, &status, 0);
    }
    left_ = true;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  // The prompt is shown and the line editor has the terminal: keys typed before that would be the terminal's own.
  bool prompts() {
    if (!shows("> ")) return false;
    for (int wait = 0; wait < 1000; ++wait) {
      termios settings{};
      if (tcgetattr(terminal_, &settings) == 0 && (settings.c_lflag & ICANON) == 0) return true;
      usleep(10'000);
    }
    return false;
  }
  const std::string& shown() const { return shown_; }

 private:
  bool read_more() {
    pollfd ready{terminal_, POLLIN, 0};
    char block[4096];
    if (poll(&ready, 1, 60'000) != 1) return false;
    const auto n = read(terminal_, block, sizeof block);
    if (n <= 0) return false;
    shown_.append(block, static_cast<size_t>(n));
    return true;
  }

  int terminal_ = -1;
  pid_t child_ = -1;
  bool left_ = false;
  std::string shown_;
  size_t seen_ = 0;
};

const char* const ctrl_c = "\x03";
const char* const ctrl_d = "\x04";
const char* const up = "\x1b[A";
const char* const left = "\x1b[D";

class OnATerminal : public testing::Test {
 protected:
  void SetUp() override {
    const auto model = small_model();
    if (model.empty()) GTEST_SKIP() << "no tests/parity/golden/eval_tiny_llama";
    // A context long enough to be interrupted in
    fs::copy(model, folder_.path("model"), fs::copy_options::recursive);
    std::ifstream in(model / "config.json");
    auto config = nlohmann::ordered_json::parse(in);
    config["max_position_embeddings"] = 1'000'000;
    folder_.write("model/config.json", config.dump());
    folder_.write("t.jinja", "{% for m in messages %}{{ m.role }}: {{ m.content }} {% endfor %}");
  }
  std::vector<std::string> chat(const std::string& tokens) const {
    return {"chat", folder_.path("model"), "--template", folder_.path("t.jinja"), "-n", tokens, "--logit-bias", "2=-100"};
  }
  nlohmann::ordered_json saved(const std::string& name) const {
    std::ifstream in(folder_.path(name));
    return nlohmann::ordered_json::parse(in, nullptr, false)["messages"];
  }

  TemporaryFolder folder_;
};

TEST_F(OnATerminal, ChatEditsLinesRemembersThemAndShowsItsSpeed) {
  Terminal terminal(chat("3"), folder_.path());
  ASSERT_TRUE(terminal.prompts()) << terminal.shown();
  terminal.type(std::string("helo") + left + "l\r");
  ASSERT_TRUE(terminal.shows("tokens/s")) << terminal.shown();
  ASSERT_TRUE(terminal.prompts());
  terminal.type(std::string(up) + "!\r");
  ASSERT_TRUE(terminal.shows("tokens/s")) << terminal.shown();
  ASSERT_TRUE(terminal.prompts());
  terminal.type("/save " + folder_.path("chat.json") + "\r");
  ASSERT_TRUE(terminal.shows("4 messages in")) << terminal.shown();
  ASSERT_TRUE(terminal.prompts());
  terminal.type(ctrl_d);
  EXPECT_EQ(terminal.exit_code(), 0);
  const auto messages = saved("chat.json");
  ASSERT_EQ(messages.size(), 4U);
  EXPECT_EQ(messages[0]["content"], "hello");
  EXPECT_EQ(messages[2]["content"], "hello!");

  Terminal again(chat("3"), folder_.path());  // the history outlives the program
  ASSERT_TRUE(again.shows("> "));
  again.type(std::string(up) + up + "\r");  // above the /save
  ASSERT_TRUE(again.shows("hello!")) << again.shown();
  ASSERT_TRUE(again.shows("tokens/s"));
  again.type("/quit\r");
  EXPECT_EQ(again.exit_code(), 0);
}

TEST_F(OnATerminal, ChatTakesMessagesOfSeveralLines) {
  Terminal terminal(chat("2"), folder_.path());
  for (const std::string& keys : {std::string("one\\\rtwo\r"), std::string("\"\"\"\ra\rb\"\"\"\r"), std::string("x\x1b\ry\r"),
                                  std::string("\x1b[200~p\rq\x1b[201~\r")}) {
    ASSERT_TRUE(terminal.prompts()) << terminal.shown();
    terminal.type(keys);
    ASSERT_TRUE(terminal.shows("tokens/s")) << terminal.shown();
  }
  terminal.type("/save " + folder_.path("lines.json") + "\r");
  ASSERT_TRUE(terminal.shows("8 messages in")) << terminal.shown();
  terminal.type("/quit\r");
  EXPECT_EQ(terminal.exit_code(), 0);
  const auto messages = saved("lines.json");
  EXPECT_EQ(messages[0]["content"], "one\ntwo");
  EXPECT_EQ(messages[2]["content"], "a\nb");
  EXPECT_EQ(messages[4]["content"], "x\ny");
  EXPECT_EQ(messages[6]["content"], "p\nq");
}

TEST_F(OnATerminal, ChatCommandsChangeTheConversation) {
  Terminal terminal(chat("2"), folder_.path());
  const auto say = [&](const std::string& line, const std::string& answer) {
    ASSERT_TRUE(terminal.prompts()) << terminal.shown();
    terminal.type(line + "\r");
    EXPECT_TRUE(terminal.shows(answer)) << line << "\n" << terminal.shown();
  };
  say("/system Be brief.", "system message set");
  say("hi", "tokens/s");
  say("/save " + folder_.path("a.json"), "3 messages in");
  say("/reset", "the conversation is forgotten");
  say("/save " + folder_.path("b.json"), "1 messages in");
  say("/load " + folder_.path("a.json"), "3 messages from");
  say("/load " + folder_.path("none.json"), "none.json");
  say("/set", "temp 0.7, top-k");
  say("/set temp ", "temp 0.7, top-k");
  say("/set temp 0.3", "temp = 0.3");
  say("/set temp hot", "/set temp hot: not a number");
  say("/set tmp 1", "did you mean temp?");
  say("/retri", "unknown command /retri; did you mean /retry?");
  say("/retry", "tokens/s");
  terminal.type("/quit\r");
  EXPECT_EQ(terminal.exit_code(), 0);
  EXPECT_EQ(saved("b.json")[0]["content"], "Be brief.");
}

TEST_F(OnATerminal, CtrlCStopsAnAnswerNotTheChat) {
  Terminal terminal(chat("900000"), folder_.path());
  ASSERT_TRUE(terminal.prompts());
  terminal.type(std::string("given up") + ctrl_c);
  ASSERT_TRUE(terminal.prompts()) << terminal.shown();
  terminal.type("hi\r\n");
  ASSERT_TRUE(terminal.shows("hi"));
  ASSERT_TRUE(terminal.shows_bytes(500)) << terminal.shown();
  terminal.type(ctrl_c);
  ASSERT_TRUE(terminal.shows("; stopped]")) << terminal.shown();
  ASSERT_TRUE(terminal.prompts());
  terminal.type("/set\r");
  ASSERT_TRUE(terminal.shows("temp 0.7")) << "the chat goes on";
  ASSERT_TRUE(terminal.prompts());
  terminal.type(ctrl_d);
  EXPECT_EQ(terminal.exit_code(), 0);
}

TEST_F(OnATerminal, CtrlCEndsOtherCommandsWith130AndNothingHalfWritten) {
  std::string book;
  for (int i = 0; i < 200'000; ++i) book += "the sea is wide ";
  const std::string text = folder_.write("book.txt", book), model = folder_.path("model");
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"generate", model, "-p", "the sea", "-n", "900000", "--logit-bias", "2=-100", "--out", folder_.path("out")},
           {"eval", "perplexity", model, text, "--window", "64", "--out", folder_.path("out")}}) {
    Terminal terminal(words, folder_.path());
    usleep(2'000'000);  // into the work
    terminal.type(ctrl_c);
    EXPECT_EQ(terminal.exit_code(), 130) << terminal.shown();
    EXPECT_THAT(terminal.shown(), HasSubstr("interrupted"));
    for (const auto& entry : fs::recursive_directory_iterator(folder_.path()))
      EXPECT_EQ(entry.path().string().find(".tmp"), std::string::npos) << entry.path();
  }
}

}  // namespace
}  // namespace tessera::cli_tests

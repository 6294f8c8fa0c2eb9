#pragma once
// What a person types into `tessera chat`: lines with editing and a history that lasts on a terminal, plain lines from a pipe.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace tessera::app {

class ChatInput {
 public:
  // On a terminal, lines are edited by libedit and remembered in `history` (made with its folder; unwritable: no history).
  explicit ChatInput(const std::filesystem::path& history);
  ~ChatInput();
  ChatInput(const ChatInput&) = delete;
  ChatInput& operator=(const ChatInput&) = delete;

  bool on_terminal() const;
  // The next message; nothing at the end of input (Ctrl-D). A trailing backslash continues on the next line, a line that begins with """
  // lasts until one that ends with """, a paste keeps its line ends. Ctrl-C gives up the message: "". From a pipe: one line.
  std::optional<std::string> read();

 private:
  struct Editor;
  std::optional<std::string> read_line(bool continued);
  std::unique_ptr<Editor> editor_;  // null when standard input is no terminal
  bool cancelled_ = false;
};

// $XDG_STATE_HOME/tessera/history, else ~/.local/state/tessera/history.
std::filesystem::path chat_history_file();

}  // namespace tessera::app

#include "tessera/app/chat_input.h"

#include <histedit.h>
#include <langinfo.h>
#include <unistd.h>

#include <clocale>
#include <cstdlib>
#include <iostream>

namespace tessera::app {

// What the key functions tell the reader, and whether the prompt is that of a further line.
struct EditorState {
  bool cancelled = false, continued = false;
};

namespace {

namespace fs = std::filesystem;

EditorState* state_of(EditLine* line) {
  void* state = nullptr;
  el_get(line, EL_CLIENTDATA, &state);
  return static_cast<EditorState*>(state);
}

char* chat_prompt(EditLine* line) {
  static char first[] = "\1\x1b[1m\1> \1\x1b[0m\1", more[] = ". ";
  return state_of(line)->continued ? more : first;
}

// Ctrl-C: the line is given up, the program goes on.
unsigned char cancel_line(EditLine* line, int) {
  state_of(line)->cancelled = true;
  return CC_NEWLINE;
}

// Alt-Enter: a line end inside the message.
unsigned char insert_line_end(EditLine* line, int) { return el_winsertstr(line, L"\n") == 0 ? CC_REFRESH : CC_ERROR; }

// What a terminal sends between ESC[200~ and ESC[201~ is a paste: it goes into the line as it is.
unsigned char insert_paste(EditLine* line, int) {
  static const std::wstring end = L"\x1b[201~";
  std::wstring pasted;
  wchar_t c = 0;
  while (pasted.size() < (1u << 20) && el_wgetc(line, &c) == 1) {
    pasted += c == L'\r' ? L'\n' : c;
    if (pasted.ends_with(end)) {
      pasted.resize(pasted.size() - end.size());
      break;
    }
  }
  while (pasted.ends_with(L'\n')) pasted.pop_back();
  return pasted.empty() || el_winsertstr(line, pasted.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
}

void use_utf8() {
  std::setlocale(LC_CTYPE, "");
  if (std::string_view(nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
}

}  // namespace

struct ChatInput::Editor {
  EditLine* line = nullptr;
  History* history = nullptr;
  HistEvent event{};
  EditorState state;
  fs::path file;

  explicit Editor(const fs::path& history_file) : file(history_file) {
    use_utf8();
    line = el_init("tessera", stdin, stdout, stderr);
    history = history_init();
    ::history(history, &event, H_SETSIZE, 1000);
    ::history(history, &event, H_SETUNIQUE, 1);
    std::error_code error;
    fs::create_directories(file.parent_path(), error);
    ::history(history, &event, H_LOAD, file.c_str());
    el_set(line, EL_CLIENTDATA, &state);
    el_set(line, EL_HIST, ::history, history);
    el_set(line, EL_EDITOR, "emacs");
    el_set(line, EL_PROMPT_ESC, chat_prompt, '\1');
    el_set(line, EL_ADDFN, "chat-cancel", "give up this line", cancel_line);
    el_set(line, EL_ADDFN, "chat-line-end", "insert a line end", insert_line_end);
    el_set(line, EL_ADDFN, "chat-paste", "insert a paste", insert_paste);
    el_set(line, EL_SETTY, "-d", "-isig", nullptr);  // Ctrl-C is a key while a line is edited
    el_set(line, EL_BIND, "^C", "chat-cancel", nullptr);
    el_set(line, EL_BIND, "\\e^M", "chat-line-end", nullptr);
    el_set(line, EL_BIND, "\\e^J", "chat-line-end", nullptr);  // terminals turn the key's CR into LF
    el_set(line, EL_BIND, "\\e[200~", "chat-paste", nullptr);
    el_set(line, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    el_source(line, nullptr);
  }
  ~Editor() {
    history_end(history);
    el_end(line);
  }
  Editor(const Editor&) = delete;
  Editor& operator=(const Editor&) = delete;

  void remember(const std::string& text) {
    ::history(history, &event, H_ENTER, text.c_str());
    if (::history(history, &event, H_SAVE, file.c_str()) >= 0) {
      std::error_code error;
      fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write, error);
    }
  }
};

ChatInput::ChatInput(const fs::path& history) {
  if (isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1) editor_ = std::make_unique<Editor>(history);
}
ChatInput::~ChatInput() = default;

bool ChatInput::on_terminal() const { return editor_ != nullptr; }

std::optional<std::string> ChatInput::read_line(bool continued) {
  if (!editor_) {
    std::string line;
    if (!std::getline(std::cin, line)) return std::nullopt;
    if (line.ends_with('\r')) line.pop_back();
    return line;
  }
  editor_->state = {.cancelled = false, .continued = continued};
  std::fputs("\x1b[?2004h", stdout);  // bracketed paste on
  std::fflush(stdout);
  int count = 0;
  const char* text = el_gets(editor_->line, &count);
  std::fputs("\x1b[?2004l", stdout);
  std::fflush(stdout);
  cancelled_ = editor_->state.cancelled;
  if (cancelled_) {
    std::fputs("\n", stdout);
    return "";
  }
  if (text == nullptr || count <= 0) return std::nullopt;
  std::string line(text, static_cast<size_t>(count));
  if (line.ends_with('\n')) line.pop_back();
  return line;
}

std::optional<std::string> ChatInput::read() {
  auto message = read_line(false);
  if (!message || !editor_) return message;
  const std::string fence = "\"\"\"";
  if (message->starts_with(fence)) {
    std::string block = message->substr(fence.size());
    while (!block.ends_with(fence)) {
      const auto more = read_line(true);
      if (cancelled_ || !more) return "";
      block += (block.empty() ? "" : "\n") + *more;
    }
    block.resize(block.size() - fence.size());
    message = block;
  }
  while (message->ends_with('\\')) {
    message->back() = '\n';
    const auto more = read_line(true);
    if (cancelled_ || !more) return "";
    *message += *more;
  }
  if (message->find_first_not_of(" \t\n") != std::string::npos) editor_->remember(*message);
  return message;
}

fs::path chat_history_file() {
  if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && *state != '\0') return fs::path(state) / "tessera" / "history";
  const char* home = std::getenv("HOME");
  return fs::path(home == nullptr ? "/" : home) / ".local" / "state" / "tessera" / "history";
}

}  // namespace tessera::app

#pragma once
// Errors are an interface: one line that says what was given, what is expected and, after the last "; ", how to mend it.

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace tessera {

// The base of everything Tessera throws on purpose. `what()` is the whole line; `message()` and `hint()` are its two halves, split at the
// last "; " (the hint is empty when there is none). `kind()` is what `--json` prints as error.kind: "input" or "work".
class Error : public std::runtime_error {
 public:
  std::string message() const;
  std::string hint() const;
  const std::string& kind() const { return kind_; }

 protected:
  Error(std::string kind, const std::string& line) : std::runtime_error(line), kind_(std::move(kind)) {}

 private:
  std::string kind_;
};

// What a person can mend: a wrong option, a missing file, a broken model. The program exits 2 and has written nothing.
class InputError : public Error {
 public:
  template <class... Args>
  explicit InputError(fmt::format_string<Args...> format, Args&&... args)
      : Error("input", fmt::format(format, std::forward<Args>(args)...)) {}
};

// The work itself failed: a full disk, a diverged loss, a missing device. The program exits 1.
class WorkError : public Error {
 public:
  template <class... Args>
  explicit WorkError(fmt::format_string<Args...> format, Args&&... args)
      : Error("work", fmt::format(format, std::forward<Args>(args)...)) {}
};

// The person asked to stop (Ctrl-C) and what was done is saved. The program exits 130.
class Interrupted : public Error {
 public:
  template <class... Args>
  explicit Interrupted(fmt::format_string<Args...> format, Args&&... args)
      : Error("interrupted", fmt::format(format, std::forward<Args>(args)...)) {}
};

// `text` with control characters shown as escapes (\n, \x1b), cut after `limit` bytes with "...": how untrusted text enters a message.
std::string quoted(std::string_view text, size_t limit = 60);

}  // namespace tessera

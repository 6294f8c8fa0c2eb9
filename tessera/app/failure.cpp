#include "tessera/app/failure.h"

#include <new>

#include "tessera/app/program.h"
#include "tessera/base/error.h"

namespace tessera::app {

namespace {

const char* const kMemoryHint = "take a smaller model, --dtype bf16, a shorter context or a smaller batch";

Failure make_failure(int exit_code, std::string message, std::string hint, std::string kind) {
  std::string line = hint.empty() ? message : message + "; " + hint;
  return {exit_code, std::move(line), std::move(message), std::move(hint), std::move(kind)};
}

// LibTorch's text up to its backtrace or second line.
std::string first_line(const std::string& text) { return tessera::quoted(std::string_view(text).substr(0, text.find('\n')), 400); }

Failure of_libtorch(const c10::Error& error) {
  const std::string text = first_line(error.what_without_backtrace());
  if (text.find("can't allocate memory") != std::string::npos || text.find("out of memory") != std::string::npos)
    return make_failure(kFailed, "out of memory: " + text, kMemoryHint, "work");
  return make_failure(kFailed, "LibTorch: " + text, "", "work");
}

}  // namespace

Failure current_failure() {
  try {
    throw;
  } catch (const InputError& error) {
    return {kWrongInput, error.what(), error.message(), error.hint(), error.kind()};
  } catch (const Interrupted& error) {
    return {kInterrupted, error.what(), error.message(), error.hint(), error.kind()};
  } catch (const Error& error) {
    return {kFailed, error.what(), error.message(), error.hint(), error.kind()};
  } catch (const c10::Error& error) {
    return of_libtorch(error);
  } catch (const std::bad_alloc&) {
    return make_failure(kFailed, "out of memory", kMemoryHint, "work");
  } catch (const std::exception& error) {
    return make_failure(kFailed, "internal error: " + first_line(error.what()), "report it with the output of tessera env", "internal");
  } catch (...) {
    return make_failure(kFailed, "internal error of an unknown kind", "report it with the output of tessera env", "internal");
  }
}

nlohmann::ordered_json document_of(const Failure& failure) {
  return {{"error", {{"message", failure.message}, {"hint", failure.hint}, {"kind", failure.kind}}}};
}

}  // namespace tessera::app

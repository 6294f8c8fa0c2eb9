#include "tessera/app/completion.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "tessera/methods/methods.h"
#include "tessera/run/installed.h"

namespace tessera::app {

namespace {

using Words = std::vector<std::string>;

struct CompletedCommand {
  std::string name;
  std::string help;
  std::vector<run::OptionRow> rows;
};

std::vector<CompletedCommand> completed(const std::vector<NamedCommand>& commands) {
  std::vector<CompletedCommand> all;
  all.reserve(commands.size());
  for (const auto& each : commands) all.push_back({each.name, each.command.help, run::with_program_options(each.command.spec().rows)});
  return all;
}

void add_once(Words& words, const std::string& word) {
  if (std::find(words.begin(), words.end(), word) == words.end()) words.push_back(word);
}

// The words that may follow "" or a first word such as "eval".
std::map<std::string, Words> verbs_by_family(const std::vector<CompletedCommand>& commands) {
  std::map<std::string, Words> verbs;
  for (const auto& each : commands) {
    const auto blank = each.name.find(' ');
    add_once(verbs[""], each.name.substr(0, blank));
    if (blank != std::string::npos) add_once(verbs[each.name.substr(0, blank)], each.name.substr(blank + 1));
  }
  return verbs;
}

Words model_names() {
  Words names;
  for (const auto& model : run::packaged_models()) names.push_back(model.name);
  return names;
}

// Words that complete a command's positionals besides files; "reproduce" takes methods.
Words free_words(const CompletedCommand& command) {
  Words words;
  for (const auto& row : command.rows) {
    if (!row.positional) continue;
    for (const auto& choice : row.choices) words.push_back(choice.name);
    if (row.kind == run::Kind::model)
      for (const auto& name : model_names()) words.push_back(name);
    if (row.metavar == "METHOD" || row.metavar == "NAME")
      for (const auto& method : methods()) words.push_back(method.slug);
  }
  return words;
}

std::string shell_array(const std::string& name, const std::map<std::string, Words>& entries) {
  std::string out;
  for (const auto& [key, words] : entries) out += fmt::format("  {}['{}']='{}'\n", name, key.empty() ? "-" : key, fmt::join(words, " "));
  return out;
}

// The three tables that the bash and zsh functions look words up in.
std::string shell_tables(const std::vector<CompletedCommand>& commands) {
  std::map<std::string, Words> options, values, words;
  for (const auto& command : commands) {
    for (const auto& row : command.rows) {
      options[command.name].push_back("--" + row.name);
      for (const auto& choice : row.choices) values[command.name + " --" + row.name].push_back(choice.name);
      if (row.kind == run::Kind::flag) values[command.name + " --" + row.name] = {"-"};  // takes no value
    }
    if (auto free = free_words(command); !free.empty()) words[command.name] = std::move(free);
  }
  return shell_array("verbs", verbs_by_family(commands)) + shell_array("options", options) + shell_array("values", values) +
         shell_array("words", words);
}

std::string fish_quote(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

}  // namespace

std::string bash_completion(const std::vector<NamedCommand>& commands) {
  std::string out =
      "# bash completion for tessera; load it with: source <(tessera completion bash)\n_tessera() {\n  local -A verbs options values "
      "words\n";
  out += shell_tables(completed(commands));
  out += R"sh(  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command= word i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    [[ $word == -* ]] && continue
    if [[ -z $command && " ${verbs[-]} " == *" $word "* ]]; then command=$word
    elif [[ -n ${verbs[$command]:-} && " ${verbs[$command]} " == *" $word "* ]]; then command="$command $word"; fi
  done
  if [[ -n $command && $previous == --* && -n ${values["$command $previous"]:-} && ${values["$command $previous"]} != - ]]; then
    COMPREPLY=($(compgen -W "${values["$command $previous"]}" -- "$current"))
  elif [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "${options["$command"]:---help --json --version}" -- "$current"))
  elif [[ -z $command ]]; then
    COMPREPLY=($(compgen -W "${verbs[-]}" -- "$current"))
  elif [[ -n ${verbs[$command]:-} ]]; then
    COMPREPLY=($(compgen -W "${verbs[$command]}" -- "$current"))
  else
    COMPREPLY=($(compgen -W "${words["$command"]:-}" -- "$current") $(compgen -f -- "$current"))
    compopt -o filenames 2>/dev/null
  fi
}
complete -F _tessera tessera
)sh";
  return out;
}

std::string zsh_completion(const std::vector<NamedCommand>& commands) {
  std::string tables = shell_tables(completed(commands));
  for (size_t at = tables.find("['"); at != std::string::npos; at = tables.find("['", at)) tables.replace(at, 2, "[");
  for (size_t at = tables.find("']="); at != std::string::npos; at = tables.find("']=", at)) tables.replace(at, 3, "]=");
  std::string out =
      "#compdef tessera\n# zsh completion for tessera; put it into a folder of $fpath as _tessera\n_tessera() {\n"
      "  local -A verbs options values words_of\n";
  for (size_t at = tables.find("  words["); at != std::string::npos; at = tables.find("  words[", at)) tables.replace(at, 8, "  words_of[");
  out += tables;
  out += R"sh(  local command= word i
  for ((i = 2; i < CURRENT; i++)); do
    word=${words[i]}
    [[ $word == -* ]] && continue
    if [[ -z $command ]]; then [[ " ${verbs[-]} " == *" $word "* ]] && command=$word
    elif [[ -n ${verbs[$command]} && " ${verbs[$command]} " == *" $word "* ]]; then command="$command $word"; fi
  done
  local previous=${words[CURRENT-1]} current=${words[CURRENT]}
  if [[ -n $command && $previous == --* && -n ${values[$command $previous]} && ${values[$command $previous]} != - ]]; then
    compadd -- ${=values[$command $previous]}
  elif [[ $current == -* ]]; then
    compadd -- ${=options[$command]:---help --json --version}
  elif [[ -z $command ]]; then
    compadd -- ${=verbs[-]}
  elif [[ -n ${verbs[$command]} ]]; then
    compadd -- ${=verbs[$command]}
  else
    [[ -n ${words_of[$command]} ]] && compadd -- ${=words_of[$command]}
    _files
  fi
}
compdef _tessera tessera
)sh";
  return out;
}

std::string fish_completion(const std::vector<NamedCommand>& commands) {
  const auto all = completed(commands);
  std::string out = R"sh(# fish completion for tessera; put it into ~/.config/fish/completions/tessera.fish
function __tessera_at
    set -l words (commandline -opc)
    set -e words[1]
    set -l plain
    for word in $words
        string match -q -- '-*' $word; or set -a plain $word
    end
    set -l wanted (string split ' ' -- $argv[1])
    test -z "$argv[1]"; and set wanted
    set -l count (count $wanted)
    test (count $plain) -ge $count; or return 1
    test $count -eq 0; and return (test (count $plain) -eq 0; echo $status)
    test "$plain[1..$count]" = "$wanted"
end
function __tessera_next
    set -l words (commandline -opc)
    set -e words[1]
    test (count $words) -eq 1 -a "$words[1]" = "$argv[1]"
end
)sh";
  for (const auto& [family, verbs] : verbs_by_family(all))
    for (const auto& verb : verbs) {
      const std::string name = family.empty() ? verb : fmt::format("{} {}", family, verb);
      const auto found = std::find_if(all.begin(), all.end(), [&](const auto& each) { return each.name == name; });
      out += fmt::format("complete -c tessera -f -n {} -a {} -d {}\n",
                         family.empty() ? "\"__tessera_at ''\"" : fish_quote("__tessera_next " + family), verb,
                         fish_quote(found == all.end() ? "a group of commands" : found->help));
    }
  for (const auto& command : all) {
    const std::string condition = fish_quote(fmt::format("__tessera_at \"{}\"", command.name));
    for (const auto& row : command.rows) {
      out += fmt::format("complete -c tessera -n {} -l {}", condition, row.name);
      if (row.short_name != 0) out += fmt::format(" -s {}", row.short_name);
      if (row.kind != run::Kind::flag) out += " -r";
      if (!row.choices.empty()) {
        Words names;
        for (const auto& choice : row.choices) names.push_back(choice.name);
        out += fmt::format(" -f -a {}", fish_quote(fmt::format("{}", fmt::join(names, " "))));
      }
      out += fmt::format(" -d {}\n", fish_quote(row.help));
    }
    if (const auto words = free_words(command); !words.empty())
      out += fmt::format("complete -c tessera -n {} -a {}\n", condition, fish_quote(fmt::format("{}", fmt::join(words, " "))));
  }
  return out;
}

}  // namespace tessera::app

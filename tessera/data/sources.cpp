#include "tessera/data/sources.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <system_error>
#include <utility>

#include "tessera/base/error.h"
#include "tessera/data/control.h"
#include "tessera/data/dictionary.h"
#include "tessera/data/input.h"
#include "tessera/data/manpage.h"
#include "tessera/data/prose.h"
#include "tessera/data/wordnet.h"

namespace tessera::data {
namespace {

namespace fs = std::filesystem;

// `name` against a pattern in which "*" stands for any characters.
bool matches(std::string_view pattern, std::string_view name) {
  size_t p = 0, n = 0, star = std::string_view::npos, after = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      after = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++after;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::string with_language(std::string text, std::string_view language) {
  constexpr std::string_view mark = "{language}";
  for (size_t at = text.find(mark); at != std::string::npos; at = text.find(mark)) text.replace(at, mark.size(), language);
  return text;
}

// Paths below `folder` whose parts match those of `pattern`. Links are left out: what they lead to is found under its own name.
void find_files(const fs::path& folder, std::string_view pattern, std::vector<fs::path>& found) {
  const size_t slash = pattern.find('/');
  const std::string_view part = pattern.substr(0, slash), rest = slash == std::string_view::npos ? "" : pattern.substr(slash + 1);
  if (part == "**") find_files(folder, rest, found);
  std::error_code error;
  for (fs::directory_iterator entry(folder, fs::directory_options::skip_permission_denied, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->is_symlink(error)) continue;
    const std::string name = entry->path().filename().string();
    if (part == "**") {
      if (entry->is_directory(error)) find_files(entry->path(), pattern, found);
    } else if (matches(part, name)) {
      if (rest.empty() ? entry->is_regular_file(error) : false) found.push_back(entry->path());
      if (!rest.empty() && entry->is_directory(error)) find_files(entry->path(), rest, found);
    }
  }
}

std::string chosen_language(const Source& source, const SourceOptions& options) {
  if (options.language.empty()) return source.languages.empty() ? "" : source.languages.front();
  if (std::find(source.languages.begin(), source.languages.end(), options.language) != source.languages.end()) return options.language;
  if (source.languages.empty())
    throw InputError("{} has one language only, not {}; leave the language out", source.name, tessera::quoted(options.language));
  throw InputError("{} has no language {}; it has {}", source.name, tessera::quoted(options.language), fmt::join(source.languages, " "));
}

// The files that dpkg lists for a package, as paths below the root; empty when there is no list (a root made by hand).
std::set<std::string> listed_files(const fs::path& root, const std::string& package) {
  std::set<std::string> files;
  const fs::path list = root / "var/lib/dpkg/info" / (package + ".list");
  if (!fs::exists(list)) return files;
  LineReader lines(list);
  for (std::string line; lines.next(line);)
    if (line.size() > 1) files.insert(line.substr(1));
  return files;
}

std::string below(const fs::path& path, const fs::path& root) { return path.lexically_relative(root).generic_string(); }

// Letters to change, add or drop to make one word of the other.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t changed = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, changed});
    }
  }
  return row[b.size()];
}

// Hands the documents of one file on until the sink has had enough; returns false then.
class FileReader {
 public:
  FileReader(const Source& source, const SourceOptions& options, const DocumentSink& sink)
      : source_(source), options_(options), sink_(sink) {}

  bool read(const fs::path& path) {
    const std::string name = below(path, options_.root);
    switch (source_.reader) {
      case SourceReader::html:
        return give(name, html_to_prose(read_text(path), options_.prose));
      case SourceReader::manpages:
        return give(name, manpage_to_prose(read_text(path)));
      case SourceReader::copyright:
        return give(name, copyright_to_prose(read_text(path)));
      case SourceReader::text:
        return give(name, unwrap_lines(read_text(path)));
      case SourceReader::fortunes: {
        size_t number = 0;
        for (std::string& saying : fortunes(read_text(path)))
          if (!give(fmt::format("{}#{}", name, ++number), std::move(saying))) return false;
        return true;
      }
      case SourceReader::dictd:
        for (Document& document : dictd_glosses(read_text(path)))
          if (!give(name + "#" + document.name, std::move(document.text))) return false;
        return true;
      case SourceReader::packages:
        for (const ControlParagraph& paragraph : parse_control(to_utf8(read_text(path))))
          if (!give(fmt::format("{}#{}", name, field(paragraph, "Package")), package_description(paragraph))) return false;
        return true;
      case SourceReader::wordnet:
        break;
    }
    return true;
  }

  void read_synsets(const fs::path& folder) {
    for (const Synset& synset : read_wordnet(folder).synsets) {
      std::string text = fmt::format("{}: {}.", fmt::join(synset.lemmas, ", "), synset.gloss);
      for (const std::string& example : synset.examples) text += " \"" + example + "\"";
      if (!give(fmt::format("{}#{:08}", name(synset.part), synset.offset), clean_prose(text))) return;
    }
  }

 private:
  bool give(std::string name, std::string text) {
    if (text.size() < std::max<size_t>(1, options_.shortest)) return true;
    return sink_({std::move(name), std::move(text)});
  }

  const Source& source_;
  const SourceOptions& options_;
  const DocumentSink& sink_;
};

}  // namespace

const Source& find_source(std::string_view name) {
  const Source* nearest = nullptr;
  for (const Source& source : sources()) {
    if (source.name == name) return source;
    if (!nearest || distance(name, source.name) < distance(name, nearest->name)) nearest = &source;
  }
  throw InputError("no text source is called {}; did you mean {}?", tessera::quoted(name), nearest->name);
}

std::vector<fs::path> source_files(const Source& source, const SourceOptions& options) {
  const std::string language = chosen_language(source, options);
  const fs::path folder = options.root / with_language(source.folder, language);
  std::vector<fs::path> files;
  find_files(folder, with_language(source.pattern, language), files);
  const std::string package = with_language(source.package, language);
  const std::set<std::string> listed = source.only_listed ? listed_files(options.root, package) : std::set<std::string>();
  std::erase_if(files, [&](const fs::path& path) {
    const std::string name = path.filename().string();
    return std::any_of(source.leave_out.begin(), source.leave_out.end(), [&](const auto& pattern) { return matches(pattern, name); }) ||
           (!listed.empty() && !listed.contains(below(path, options.root)));
  });
  // By the bytes of the path below the root: the same order on every file system.
  std::sort(files.begin(), files.end(), [](const fs::path& a, const fs::path& b) { return a.native() < b.native(); });
  if (files.empty() && package.empty())
    throw InputError("the text source {} is not on this machine: {} holds no {}; run apt-get update on a Debian system", source.name,
                     folder.string(), with_language(source.pattern, language));
  if (files.empty())
    throw InputError("the text source {} is not installed: {} holds no {}; apt-get install {}", source.name, folder.string(),
                     with_language(source.pattern, language), package);
  return files;
}

bool installed(const Source& source, const SourceOptions& options) {
  try {
    return !source_files(source, options).empty();
  } catch (const InputError&) {
    return false;
  }
}

void for_each_document(const Source& source, const SourceOptions& options, const DocumentSink& sink) {
  const std::vector<fs::path> files = source_files(source, options);
  FileReader reader(source, options, sink);
  if (source.reader == SourceReader::wordnet) return reader.read_synsets(files.front().parent_path());
  for (const fs::path& path : files)
    if (!reader.read(path)) return;
}

std::vector<Document> read_documents(std::string_view name, const SourceOptions& options, uint64_t most_bytes) {
  std::vector<Document> documents;
  uint64_t bytes = 0;
  for_each_document(find_source(name), options, [&](Document&& document) {
    bytes += document.text.size();
    documents.push_back(std::move(document));
    return bytes < most_bytes;
  });
  return documents;
}

std::string read_source(std::string_view name, const SourceOptions& options, uint64_t most_bytes) {
  std::string text;
  for_each_document(find_source(name), options, [&](Document&& document) {
    if (!text.empty()) text += '\n';
    text += document.text;
    return text.size() < most_bytes;
  });
  return text;
}

}  // namespace tessera::data

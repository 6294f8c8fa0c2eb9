#pragma once
// The real texts that Debian packages put on a machine, as clean prose: one list, one reader.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/data/document.h"
#include "tessera/data/html.h"

namespace tessera::data {

// How a source's files become documents.
enum class SourceReader { html, manpages, fortunes, dictd, wordnet, copyright, packages, text };

struct Source {
  std::string name;     // what commands and recipes call it: "anarchism", "debian-handbook"
  std::string title;    // one line for people
  std::string package;  // the Debian package that holds it; "" when every Debian machine has it; may contain {language}
  std::string licence;  // of the text, as its copyright file says
  std::string folder;   // below the root; {language} stands for a language, as in the pattern
  std::string pattern;  // of the files' paths below the folder: "*" any part of one name, "**" any folders
  SourceReader reader = SourceReader::text;
  std::vector<std::string> languages;  // what {language} may be, first the default; empty when there is one only
  std::vector<std::string> leave_out;  // patterns of file names that hold no prose: indexes, link pages, second copies
  bool only_listed = false;            // other packages write into the folder: only files that dpkg lists for this package
};

// Every source, in the order in which they are listed to people.
const std::vector<Source>& sources();

// The source called `name`; InputError with the nearest name when there is none.
const Source& find_source(std::string_view name);

struct SourceOptions {
  std::filesystem::path root = "/";  // what the sources' folders are below; tests give a folder of their own
  std::string language;              // "" takes the source's default
  ProseOptions prose;
  size_t shortest = 1;  // documents with fewer bytes of prose are left out
};

// The files of a source, in byte order of their paths below the root: the same on every machine. InputError in one line with the command
// that installs the package when there is none, and when the language is not one of the source's.
std::vector<std::filesystem::path> source_files(const Source& source, const SourceOptions& options = {});

// True when the source's files are there.
bool installed(const Source& source, const SourceOptions& options = {});

// Hands every document of the source to `sink`, in the order of source_files, until it returns false. Same errors.
void for_each_document(const Source& source, const SourceOptions& options, const DocumentSink& sink);

// All documents of a source, or the first ones that reach `most_bytes` of text (the last one whole).
std::vector<Document> read_documents(std::string_view name, const SourceOptions& options = {}, uint64_t most_bytes = UINT64_MAX);

// The documents of read_documents as one text, separated by an empty line.
std::string read_source(std::string_view name, const SourceOptions& options = {}, uint64_t most_bytes = UINT64_MAX);

}  // namespace tessera::data

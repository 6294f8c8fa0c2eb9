#pragma once
// HTML to prose: what a reader of the page would read, without its furniture.

#include <string>
#include <string_view>

namespace tessera::data {

enum class Keep { no, yes };

struct ProseOptions {
  Keep code_blocks = Keep::no;  // <pre> blocks, as they stand
  Keep tables = Keep::no;       // data tables as lines of cells joined with " | "; tables used for layout are always read
};

// The prose of one HTML page in clean_prose's form: headings, list items ("- ", "1. ") and paragraphs as lines. Left out: the head,
// scripts, styles, navigation, page headers and footers, forms, tables of contents and other lists that are nothing but links, hidden
// elements and pictures. Any bytes are accepted, broken HTML is read as browsers do; throws InputError only when elements nest deeper than
// 2,000.
std::string html_to_prose(std::string_view html, const ProseOptions& options = {});

}  // namespace tessera::data

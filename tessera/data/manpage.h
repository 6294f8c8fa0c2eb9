#pragma once
// Manual pages (roff, macros of man and mdoc) to prose.

#include <string>
#include <string_view>

namespace tessera::data {

// The prose of a manual page's source in clean_prose's form: section names as lines, paragraphs joined to one line each, fonts and other
// escapes resolved. Examples (.EX, .nf), tables (.TS), and the synopsis are left out. A page that only names another (.so) gives "".
std::string manpage_to_prose(std::string_view roff);

}  // namespace tessera::data

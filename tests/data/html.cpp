#include "tessera/data/html.h"

#include <gtest/gtest.h>

#include "tests/data/packed_files.h"

namespace tessera::data {
namespace {

TEST(Html, KeepsHeadingsParagraphsAndEmphasisWithCollapsedSpaces) {
  EXPECT_EQ(html_to_prose("<html><head><title>no</title></head><body><h1>A  title</h1>\n<p>Some <b>bold</b>\n   and <i>slanted</i>, "
                          "text&nbsp;here.</p><p>Second&hellip;</p></body></html>"),
            "A title\n\nSome bold and slanted, text here.\n\nSecond\u2026\n");
}

TEST(Html, DropsScriptsNavigationHeadersFootersFormsAndHiddenParts) {
  EXPECT_EQ(html_to_prose("<body><header>top</header><nav><a href=x>home</a></nav><script>var a = '<p>no</p>';</script><style>p{}</style>"
                          "<div class='section docnav'>no</div><div id=banner>no</div><div role=search>no</div><p hidden>no</p>"
                          "<p style='display:none'>no</p><p aria-hidden=true>no</p><form>no<input></form>"
                          "<p>yes<a class=headerlink href=#x>\u00B6</a></p><footer>bottom</footer></body>"),
            "yes\n");
}

TEST(Html, DropsListsAndTablesThatAreNothingButLinks) {
  EXPECT_EQ(html_to_prose("<p>Start.</p><ul><li><a href=a>One</a></li><li><a href=b>Two</a></li></ul>"
                          "<h3><ol><li><a href=a>1 Why?</a><br><a href=b>2 How?</a><br><a href=c>3 When?</a></ol></h3>"
                          "<table><tr><td><a href=p>Previous</a></td><td><a href=n>Next</a></td></tr></table><p>End.</p>"),
            "Start.\n\nEnd.\n");
  EXPECT_EQ(html_to_prose("<ul><li>See <a href=a>this</a> for the reasons.</li><li>plain</li></ul>"),
            "- See this for the reasons.\n- plain\n")
      << "a list with links in its sentences stays";
}

TEST(Html, NumbersOrderedListsAndNestsOthers) {
  EXPECT_EQ(html_to_prose("<ol><li>first<ul><li>inner</li></ul></li><li><p>second</p></li></ol><p>after</p>"),
            "1. first\n- inner\n2. second\n\nafter\n");
}

TEST(Html, LineBreaksAndDefinitionsAreLines) {
  EXPECT_EQ(html_to_prose("<p>one<br>two</p><dl><dt>term</dt><dd>meaning</dd></dl>"), "one\ntwo\n\nterm\nmeaning\n");
}

TEST(Html, CodeAndTablesOnlyWhenAskedFor) {
  const char* page = "<p>Run:</p><pre>$ ls\n  a  b</pre><table><tr><th>n</th><th>square</th></tr><tr><td>2</td><td>4</td></tr></table>";
  EXPECT_EQ(html_to_prose(page), "Run:\n");
  EXPECT_EQ(html_to_prose(page, {.code_blocks = Keep::yes, .tables = Keep::yes}), "Run:\n\n$ ls\na b\n\nn | square\n2 | 4\n");
}

TEST(Html, ReadsTablesThatLayOutAPage) {
  const std::string long_text(200, 'x');
  EXPECT_EQ(html_to_prose("<table><tr><td><p>" + long_text + "</p><p>" + long_text + "</p></td></tr></table>"),
            long_text + "\n\n" + long_text + "\n");
}

TEST(Html, DecodesLatin1PagesAndEntities) {
  EXPECT_EQ(html_to_prose("<p>caf\xE9 &eacute; &#233; &lt;b&gt; &amp;amp;</p>"), "caf\u00E9 \u00E9 \u00E9 <b> &amp;\n");
}

TEST(Html, ReadsBrokenAndEmptyPages) {
  EXPECT_EQ(html_to_prose(""), "");
  EXPECT_EQ(html_to_prose("<p>one<p>two<div>three</p></b></table>"), "one\n\ntwo\n\nthree\n");
  EXPECT_EQ(html_to_prose(std::string_view("\0<p>\0x", 6)).find('\0'), std::string::npos);
}

std::string repeated(std::string_view part, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += part;
  return all;
}

TEST(Html, RefusesPagesNestedTooDeepInTime) {
  // Each nests by another rule of the parser: end tags that end nothing, "/>" that closes nothing, end tags out of turn, cells of a
  // drawing.
  for (const char* part :
       {"<div>", "<div></x>", "<x/>", "<b><div></b>", "<div><table><td></div>", "<rt>", "<optgroup>", "<svg><td>", "<svg><desc><path/>"})
    for (const int times : {3'000, 300'000})
      EXPECT_EQ(input_error([&] { html_to_prose(repeated(part, times)); }),
                "the page nests more than 2000 elements; give a page that a browser can show")
          << part;
  std::string unclosed;  // each paragraph opens all earlier fonts anew
  for (int i = 0; i < 20'000; ++i) unclosed += "<p><b id=" + std::to_string(i) + ">";
  EXPECT_NE(input_error([&] { html_to_prose(unclosed); }), "");
  EXPECT_EQ(html_to_prose(repeated("<a</a", 300'000)), "") << "no search of the whole page for each tag";
  EXPECT_EQ(html_to_prose(repeated("<p><a id=x/>word</p>", 5'000)).substr(0, 6), "word\n\n") << "XHTML's anchors do not nest";
  EXPECT_NO_THROW(html_to_prose("<svg>" + repeated("<path/>", 5'000) + "</svg>"));
  std::string list = "<ul>";
  for (int i = 0; i < 5'000; ++i) list += "<li>item<p>text";
  EXPECT_NO_THROW(html_to_prose(list)) << "end tags that authors may leave out do not nest";
}

}  // namespace
}  // namespace tessera::data

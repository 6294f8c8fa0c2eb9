"""Opens a report and a scoreboard in a real browser: no request, no error, hover and keyboard values, no sideways scrolling, small.

The pages are those that build/bin/tests_run makes; `report.py FILE...` opens other ones.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

from playwright.sync_api import sync_playwright

root = pathlib.Path(os.environ.get("TESSERA_HOME", pathlib.Path(__file__).resolve().parents[2]))
SCREENS = {"wide": (1100, 900), "phone": (390, 844)}
CONTRAST = """() => {
  const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).slice(0, 3).map(v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
    return .2126 * r + .7152 * g + .0722 * b; };
  const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\\)$|transparent/.test(c)) return c; } return 'rgb(255,255,255)'; };
  const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + .05) / (y + .05); };
  const low = [];
  for (const e of document.querySelectorAll('p, h1, h2, h3, th, td, li, summary, .badge, .iv, .unit, .soft, figcaption, a')) {
    if (!e.innerText?.trim()) continue;
    const r = ratio(getComputedStyle(e).color, ground(e));
    if (r < 4.5) low.push(`${e.tagName}.${e.className} ${r.toFixed(2)}`);
  }
  return low;
}"""
OVERLAPS = """() => {
  const bad = [];
  for (const svg of document.querySelectorAll('.plot svg')) {
    const box = svg.getBoundingClientRect();
    if (!box.width) continue;
    const texts = [...svg.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
    texts.forEach(([a, r], i) => {
      if (r.left < box.left - 2 || r.top < box.top - 2 || r.bottom > box.bottom + 2) bad.push('outside: ' + a);
      for (const [b, s] of texts.slice(i + 1))
        if (r.left < s.right - 1 && s.left < r.right - 1 && r.top < s.bottom - 2 && s.top < r.bottom - 2) bad.push(a + ' over ' + b);
    });
  }
  return bad;
}"""


def watch(page):
    seen = []
    page.on("console", lambda message: seen.append("console: " + message.text))
    page.on("pageerror", lambda error: seen.append("error: " + str(error)))
    page.on("dialog", lambda dialog: seen.append("dialog"))
    page.on("request", lambda request: seen.append("request: " + request.url) if not request.url.startswith(("file:", "data:")) else None)
    return seen


def check_hover(page, hostile_title):
    figures = page.query_selector_all("figure:has(.plot)")
    for figure in figures:
        svg = next(s for s in figure.query_selector_all(".plot svg") if s.is_visible())
        svg.scroll_into_view_if_needed()
        box = svg.bounding_box()
        page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.5)
        tip = figure.query_selector(".tip")
        assert tip.is_visible() and any(c.isdigit() for c in tip.inner_text()), "no hover value in " + figure.inner_text()[:60]
        inside = tip.bounding_box()
        assert inside["x"] >= -1 and inside["x"] + inside["width"] <= page.viewport_size["width"] + 1, "the hover value is cut off"
        page.mouse.move(1, 1)
        assert not tip.is_visible(), "the hover value stays"
        svg.focus()
        page.keyboard.press("ArrowRight")
        first = tip.inner_text()
        page.keyboard.press("ArrowRight")
        assert tip.is_visible() and (tip.inner_text() != first), "arrow keys do not move through the values"
        page.keyboard.press("Escape")
        assert not tip.is_visible()
    assert page.title() != hostile_title, "text of the report ran as a script"
    return len(figures)


def check_page(browser, path):
    size = path.stat().st_size
    assert size < 300_000, f"{path.name} has {size} bytes"
    figures = 0
    for screen, (width, height) in SCREENS.items():
        for scheme in ("light", "dark"):
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
            page = context.new_page()
            seen = watch(page)
            page.goto(path.as_uri())
            scroll = page.evaluate("document.documentElement.scrollWidth")
            assert scroll <= width, f"{path.name} is {scroll} pixels wide on a screen of {width}"
            low = page.evaluate(CONTRAST)
            assert not low, f"{path.name}, {scheme}: contrast below 4.5: {low[:5]}"
            overlaps = page.evaluate(OVERLAPS)
            assert not overlaps, f"{path.name}, {screen}: {overlaps[:5]}"
            figures = check_hover(page, "owned")
            unnamed = page.evaluate("[...document.querySelectorAll('.plot svg')].filter(s => !s.getAttribute('aria-label') || !s.querySelector('title')).length")
            unscoped = page.evaluate("document.querySelectorAll('th:not([scope])').length")
            assert unnamed == 0 and unscoped == 0, "plots without a name or headers without a scope"
            assert not seen, seen
            context.close()
    print(f"{path.name}: {size} bytes, {figures} plots with hover and keyboard values, light and dark, wide and phone")


with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
    pages = [pathlib.Path(a).resolve() for a in sys.argv[1:] if not a.startswith("--")]
    if not pages:
        program = os.environ.get("TESSERA_TESTS_RUN", str(root / "build" / "bin" / "tests_run"))
        subprocess.run([program, "--gtest_filter=ReportTest.SampleIs*:Scoreboard.Html*"], check=True, stdout=subprocess.DEVNULL,
                       env={**os.environ, "TESSERA_KEEP_REPORT": folder})
        pages = [pathlib.Path(folder) / "report.html", pathlib.Path(folder) / "scoreboard.html"]
    browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
    for page_path in pages:
        check_page(browser, page_path)
    browser.close()

"""Real text of many scripts that Debian packages install."""
import gettext
import glob
import html
import pathlib
import re


def catalogue_strings():
    """language -> strings, from the gettext catalogues that are installed."""
    strings = {}
    for path in sorted(glob.glob("/usr/share/locale/*/LC_MESSAGES/*.mo")):
        language = path.split("/")[4]
        try:
            with open(path, "rb") as file:
                catalogue = gettext.GNUTranslations(file)._catalog
        except Exception:
            continue
        strings.setdefault(language, set()).update(v for v in catalogue.values() if isinstance(v, str) and 0 < len(v) < 2000 and "\0" not in v)
    return {language: sorted(found) for language, found in strings.items()}


def prose():
    """English prose, and Debian's reference in five languages."""
    texts = []
    for path in sorted(glob.glob("/usr/share/debian-reference/*.html")):
        body = re.sub(r"(?s)<(script|style).*?</\1>|<[^>]+>", " ", open(path, encoding="utf-8", errors="replace").read())
        texts += [line.strip() for line in html.unescape(body).split("\n") if len(line.strip()) > 20]
    for name in ("noun", "verb", "adj", "adv"):
        path = pathlib.Path("/usr/share/wordnet/data." + name)
        if path.exists():
            texts += [line.split("| ", 1)[1].strip() for line in path.read_text(errors="replace").split("\n") if "| " in line][:20000]
    return texts

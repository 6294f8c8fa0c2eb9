"""The conventions that a compiler does not hold: rooms, names, sizes, words. Prints one line a finding and exits 1 when there is any."""
import pathlib
import re
import subprocess
import sys

root = pathlib.Path(sys.argv[1])
ROOMS = "base run tensor kernels media text data nn lm diffusion train eval agent methods app".split()
LINES_AT_MOST = 500
findings = []


def tracked(*patterns):
    out = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard", "--", *patterns], capture_output=True, text=True)
    files = out.stdout.split("\n") if out.returncode == 0 else [p.relative_to(root) for q in patterns for p in root.rglob(q)]
    return [root / f for f in files if f and (root / f).is_file()]


def say(path, line, text):
    findings.append(f"{path.relative_to(root)}:{line}: {text}")


def check_includes(path, number, text):
    """A room includes only itself and the rooms above it; a method includes no other method."""
    match = re.match(r'#include "tessera/([a-z_]+)/([a-z_0-9]+)?', text)
    parts = path.relative_to(root).parts
    if not match or parts[0] != "tessera":
        return
    room, target = parts[1], match.group(1)
    if target not in ROOMS:
        say(path, number, f"no room {target}")
    elif ROOMS.index(target) > ROOMS.index(room):
        say(path, number, f"{room} may not include {target}: it is below")
    elif room == target == "methods" and len(parts) > 3 and match.group(2) not in (parts[2], "methods"):
        say(path, number, f"method {parts[2]} includes method {match.group(2)}: what two share moves up into a room")


BANNED = [
    (re.compile(r"std::regex|#include <regex>"), "std::regex recurses on its input; write a scanner"),
    (re.compile(r"\b(TODO|FIXME|XXX)\b"), "unfinished work is an issue, not a comment"),
]
USING_NAMESPACE = re.compile(r"^\s*using namespace (?!std::literals|std::string_literals)")  # tests may
PRINTS = re.compile(r"\bstd::c(out|err)\b|\bprintf\(|\bfmt::print\((?!\s*(output_\.)?file|output)|\bstd::exit\(|\bexit\(")
FORBIDDEN_NAMES = re.compile(r"(^|[/_])(utils?|common|helpers?|misc|managers?)([/_.]|$)")
REGISTRY_HOSTS = re.compile(r"\b(pypi\.org|files\.pythonhosted\.org|deb\.debian\.org|download\.pytorch\.org|registry\.npmjs)\b")

for path in tracked("tessera/*", "tests/*", "bench/*", "web/*", "cmake/*"):
    relative = str(path.relative_to(root))
    if FORBIDDEN_NAMES.search(relative):
        say(path, 1, "utils, common, helpers, misc and manager name nothing: name the file by its subject")
    if path.suffix not in (".cpp", ".h"):
        continue
    lines = path.read_text(encoding="utf-8").split("\n")
    if len(lines) > LINES_AT_MOST + 1:
        say(path, len(lines), f"{len(lines) - 1} lines, at most {LINES_AT_MOST}")
    if path.suffix == ".h" and not path.name.endswith("-inl.h") and "#pragma once" not in lines[:3]:
        say(path, 1, "a header begins with #pragma once")
    for number, text in enumerate(lines, 1):
        check_includes(path, number, text)
        for pattern, why in BANNED:
            if pattern.search(text):
                say(path, number, why)
        in_room = relative.startswith("tessera/") and not relative.startswith("tessera/app/")
        if relative.startswith("tessera/") and USING_NAMESPACE.search(text):
            say(path, number, "no using namespace")
        if in_room and PRINTS.search(text) and "snprintf" not in text:
            say(path, number, "only app/ prints or exits")

for path in tracked("*"):
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        continue
    if path.suffix == ".jinja" or path.name == "check.py":
        continue
    for number, line in enumerate(text.split("\n"), 1):
        if REGISTRY_HOSTS.search(line):
            say(path, number, "the project names no package-registry host")

REGISTERED = re.findall(r"\bM\((\w+)\)", (root / "tessera" / "methods" / "methods.cpp").read_text(encoding="utf-8"))
for method in sorted((root / "tessera" / "methods").glob("*/")):
    if method.name not in REGISTERED:
        continue  # its parts stand alone until its commands work
    for name in ("method.cpp", "reproduce.cpp", "README.md", "packages.toml"):
        if method.is_dir() and not (method / name).exists():
            say(method, 1, f"a method has a {name}")

print("\n".join(findings) or "no findings")
sys.exit(bool(findings))

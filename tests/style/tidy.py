"""clang-tidy with .clang-tidy's checks over every source of tessera/, two at a time; a source whose text, headers and checks are unchanged
since it was last clean is not looked at again."""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

root, build = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
store = build / "tidy-clean"
store.mkdir(exist_ok=True)
headers = hashlib.sha256()
for header in sorted((root / "tessera").rglob("*.h")):
    headers.update(header.read_bytes())
headers.update((root / ".clang-tidy").read_bytes())

CLANG = ["-xc++", "-Wno-everything", '-DTESSERA_COMMIT="tidy"', "-fPIC", "-O2"]


def flags_of(entry):
    """The compile flags of a unity batch that clang understands: no precompiled header of g++."""
    words, out, skip = shlex.split(entry["command"]), [], False
    for word in words[1:]:
        if skip:
            skip = False
        elif word in ("-include", "-o", "-c", "-x"):
            skip = True
        elif word.startswith(("-I", "-D", "-isystem", "-std")):
            out.append(word)
        elif out and out[-1] == "-isystem":
            out.append(word)
    return out


def batches():
    """(batch name, its sources, its flags): the sources that one unity file includes share their headers' cost in clang-tidy too."""
    for entry in json.loads((build / "compile_commands.json").read_text()):
        source = pathlib.Path(entry["file"])
        if "/room_" not in entry["command"] and "main.cpp" not in source.name:
            continue
        if source.name.startswith("unity_"):
            members = [pathlib.Path(m) for m in re.findall(r'#include "([^"]+)"', source.read_text())]
        else:
            members = [source]
        members = [m for m in members if root / "tessera" in m.parents]
        if members:
            flags = flags_of(entry)
            sees_torch = any("torch" in flag for flag in flags)
            yield members, flags, precompile(flags) if sees_torch else []


def precompile(flags):
    """clang's own precompiled header for the sources that see LibTorch; made anew when its flags or its text changed."""
    text = "#pragma once\n" + (root / "cmake" / "pch.h").read_text()
    name = hashlib.sha256((text + " ".join(flags)).encode()).hexdigest()[:16]
    header, out = build / f"tidy-{name}.h", build / f"tidy-{name}.pch"
    if not out.exists():
        header.write_text(text)
        subprocess.run(["clang++-14", *[f.replace("-xc++", "-xc++-header") for f in CLANG], *flags, str(header), "-o", str(out)], check=True)
    return ["-include-pch", str(out)]


def look(batch):
    members, flags, precompiled = batch
    key = headers.copy()
    for member in members:
        key.update(member.read_bytes())
    mark = store / key.hexdigest()
    if mark.exists():
        return ""
    with tempfile.NamedTemporaryFile("w", suffix=".cpp", dir=build) as unity:
        unity.write("".join(f'#include "{member}"\n' for member in members))
        unity.flush()
        command = ["clang-tidy-14", "--quiet", f"--config-file={root}/.clang-tidy", f"--header-filter={root}/tessera/.*", unity.name, "--",
                   *CLANG, *flags, *precompiled]
        result = subprocess.run(command, capture_output=True, text=True)
    found = [line for line in result.stdout.split("\n") if re.search(r": (warning|error):", line)]
    if not found and result.returncode == 0:
        mark.touch()
        return ""
    return "\n".join(found) or f"{members[0]} ...: clang-tidy failed: {result.stderr[-400:]}"


with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    outputs = [text for text in pool.map(look, batches()) if text]
print("\n".join(sorted(set("\n".join(outputs).split("\n")))) if outputs else "no findings")
sys.exit(bool(outputs))

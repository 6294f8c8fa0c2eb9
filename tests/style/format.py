"""Every C++ file is as clang-format writes it."""
import pathlib
import subprocess
import sys

root = pathlib.Path(sys.argv[1])
files = [f for room in ("tessera", "tests", "bench") for s in ("*.h", "*.cpp") for f in sorted((root / room).rglob(s))]
result = subprocess.run(["clang-format-14", "--dry-run", "-Werror", "--ferror-limit=1", *files], capture_output=True, text=True)
print("\n".join(line for line in result.stderr.split("\n") if "error:" in line))
sys.exit(result.returncode)

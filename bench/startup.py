"""What a command costs before it works: `--help` beside an empty program linked to LibTorch, and a model from its file to the first token."""
import subprocess

from measure import PROGRAM, alternate, built, child, finish, row

ROUNDS = 15


def seconds(command):
    return lambda: child(command)[1]


def models():
    for name in ("smollm2", "gemma3-270m"):
        found = subprocess.run([PROGRAM, "inspect", name, "--json"], capture_output=True)
        if found.returncode == 0:
            yield name


def main():
    rows = []
    times = alternate({"ours": seconds([PROGRAM, "--help"]), "empty program": seconds([built("bench_empty_program")])}, ROUNDS)
    rows.append(row("--help", "s", times["ours"], {"empty program linked to LibTorch": times["empty program"]}, higher_is_better=False))
    for model in models():
        times = alternate({"ours": seconds([PROGRAM, "generate", model, "-p", "Hello", "-n", "1", "--threads", "2", "--json"])}, 7)
        rows.append(row(f"{model} from GGUF to the first token", "s", times["ours"], {}, higher_is_better=False))
    finish("startup", rows)


if __name__ == "__main__":
    main()

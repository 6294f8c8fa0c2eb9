"""Data-parallel training on this machine's cores: K ranks of one thread against one process with K threads, on the 8.5M Llama."""
import os
import shutil
import subprocess
import sys

from measure import PROGRAM, ROOT, alternate, child, finish, row

RANKS = os.path.join(os.path.dirname(PROGRAM), "bench_train_ranks")
STEPS = os.environ.get("TESSERA_BENCH_STEPS", "8")
ROUNDS = int(os.environ.get("TESSERA_BENCH_ROUNDS", "7"))


def tokens_per_second(command):
    env = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return lambda: float(child(command, env)[0])


def main():
    if not shutil.which("mpirun"):
        sys.exit("parallel.py: no mpirun; install openmpi-bin")
    subprocess.run([os.path.join(ROOT, "run"), "build", "bench_train_ranks"], check=True, stdout=sys.stderr)
    cores = str(min(2, len(os.sched_getaffinity(0))))
    ranks = ["mpirun", "-n", cores, RANKS, "1", STEPS]
    times = alternate({"ranks": tokens_per_second(ranks), "threads": tokens_per_second([RANKS, cores, STEPS])}, ROUNDS)
    one = {f"one process, {cores} threads": times["threads"]}
    finish("parallel", [row(f"{cores} ranks of 1 thread", "tokens/s", times["ranks"], one, higher_is_better=True)])


if __name__ == "__main__":
    main()

"""Every kernel of tessera/kernels/ beside the LibTorch operations it replaces: bytes a second that must move (of products and
attention, operations), alternating rounds in one process. The limit is a copy of as many bytes, or a product of as many operations. A
kernel whose ratio is not above 1 does not pay and has no place there."""
import json
import os

from measure import built, child, finish, row

ROUNDS, THREADS = 11, int(os.environ.get("TESSERA_THREADS", 2))


def main():
    rows = []
    for line in child([built("bench_kernels"), str(ROUNDS), str(THREADS)])[0].splitlines():
        measured = json.loads(line)
        rates = {name: [measured["work"] / s for s in seconds] for name, seconds in measured["seconds"].items()}
        mine, limit = rates.pop("ours"), rates.pop("limit")
        rows.append(row(measured["case"], measured["unit"], mine, rates, True, sorted(limit)[len(limit) // 2]))
    finish("kernels", rows)


if __name__ == "__main__":
    main()

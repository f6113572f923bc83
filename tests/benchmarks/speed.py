"""Time the oracle and the suite against frameworks and usual methods, and print ratios.

Run ``python -m tests.benchmarks.speed [oracle] [proof] [growth] [judging] [throughput] [start]`` in the root of the
clone. The results are also written to ``results/speed.json``, and a plot of the growth to ``results/growth.png``.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.benchmarks.timing import Table

THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
RESULTS = Path("results")


def start() -> Table:
    """Return the table: times to import the oracle and to print help, divided by the time to import NumPy."""
    from tests.benchmarks.timing import Table, times

    def python(*words: str) -> None:
        subprocess.run([sys.executable, *words], check=True, capture_output=True)

    found = times(
        {
            "import numpy": lambda: python("-c", "import numpy"),
            "import reference": lambda: python("-c", "import reference"),
            "rnn-oracle --help": lambda: python("-c", "from adapters.conformance.cli import main; main(['--help'])"),
        }
    )
    rows: list[list[str | float]] = [[name, seconds / found["import numpy"]] for name, seconds in found.items()]
    return Table(("a process that does", "over import numpy"), rows)


def keep_memory() -> None:
    """Have malloc keep what is freed. Otherwise new pages take a part of the time that differs from run to run."""
    if hasattr(libc := ctypes.CDLL(None), "mallopt"):  # of glibc; the numbers are M_MMAP_MAX and M_TRIM_THRESHOLD
        libc.mallopt(-4, 0)
        libc.mallopt(-1, 2**31 - 1)


def main() -> None:
    """Print the named tables, by default all."""
    os.environ |= THREADS
    # XLA always starts as many threads as there are cores.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    keep_memory()
    import torch

    from tests.benchmarks import growth, judging, oracle, proof, throughput, timing

    torch.set_num_threads(1)
    RESULTS.mkdir(exist_ok=True)
    tables: dict[str, Callable[[], Table]] = {
        "oracle": oracle.compare,
        "proof": proof.compare,
        "growth": partial(growth.compare, RESULTS / "growth.png"),
        "judging": judging.compare,
        "throughput": throughput.compare,
        "start": start,
    }
    found = {}
    sys.stdout.write(f"{timing.machine()}\n")
    for name in sys.argv[1:] or tables:
        found[name] = tables[name]()
        sys.stdout.write(f"\n{found[name]}")
        sys.stdout.flush()
        write(found, timing.machine())


def write(found: dict[str, Table], machine: str) -> None:
    """Write tables as data, with a description of the machine."""
    tables = {name: {"head": table.head, "rows": table.rows} for name, table in found.items()}
    (RESULTS / "speed.json").write_text(json.dumps({"machine": machine, "tables": tables}, indent=1), "utf-8")


if __name__ == "__main__":
    main()

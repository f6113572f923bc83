"""Time the oracle and the suite side by side with what they judge and with what people use; prints ratios.

Run as ``python -m tests.benchmarks.speed [oracle] [proof] [judging] [start]`` from the root of the clone.
"""

from __future__ import annotations

import os
import subprocess
import sys

THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}


def start() -> str:
    """Return the table: how long it takes to import the oracle, and to print help, over the import of NumPy."""
    from tests.benchmarks.timing import table, times

    def python(*words: str) -> None:
        subprocess.run([sys.executable, *words], check=True, capture_output=True)

    found = times(
        {
            "import numpy": lambda: python("-c", "import numpy"),
            "import reference": lambda: python("-c", "import reference"),
            "rnn-oracle --help": lambda: python(
                "-c", "from adapters.conformance.cli import parser; parser().format_help()"
            ),
        }
    )
    rows = [[name, f"{seconds / found['import numpy']:.2f}"] for name, seconds in found.items()]
    return table(("a process that does", "over import numpy"), rows)


def main() -> None:
    """Print the tables that are asked for, all by default."""
    os.environ |= THREADS
    import torch

    from tests.benchmarks import judging, oracle, proof, timing

    torch.set_num_threads(1)
    tables = {
        "oracle": (oracle.compare,),
        "proof": (proof.compare, proof.slopes),
        "judging": (judging.compare,),
        "start": (start,),
    }
    sys.stdout.write(f"{timing.machine()}\n")
    for name in sys.argv[1:] or tables:
        for compare in tables[name]:
            sys.stdout.write(f"\n{compare()}")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

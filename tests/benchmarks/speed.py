"""Time the oracle side by side with what it judges; run as a script, prints ratios.

Each pair is timed in turn, A B A B, in one process, and the median of the pairwise ratios is printed, so that a machine
that slows down halfway slows both.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import adapters
from reference import PRECISIONS, Case, certify, evaluate

RUNS = 15


def ratio(a: Callable[[], Any], b: Callable[[], Any]) -> float:
    """Return the median over the runs of the time of ``a`` over that of ``b``, after one run of each."""
    a(), b()
    return median(seconds(a) / seconds(b) for _ in range(RUNS))


def seconds(f: Callable[[], Any]) -> float:
    """Return the wall time of one call."""
    began = time.perf_counter()
    f()
    return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    stack = Case.random(T=5, N=4, D=3, H=5, dtype="float32", stack=256).probed()
    long = Case.random(T=1000, N=4, D=3, H=5, dtype="float32").probed()
    model = PRECISIONS["float32"]
    answer, long_answer = evaluate(stack).astype("float32"), evaluate(long).astype("float32")

    def judge() -> str:
        return certify(stack, answer, model).status

    def judge_long() -> str:
        return certify(long, long_answer, model).status

    def one_by_one() -> None:
        for k in range(256):
            _ = certify(stack[k], answer[k], model).status

    lines = [
        ("256 cases certified one by one / as a stack", ratio(one_by_one, judge)),
        ("certify / evaluate, 256 cases", ratio(judge, lambda: evaluate(stack))),
        ("certify / evaluate, T = 1000", ratio(judge_long, lambda: evaluate(long))),
    ]
    for framework in filter(adapters.is_installed, adapters.frameworks()):
        for adapter in adapters.load(framework):
            lines.append((f"{adapter.name} / certify, 256 cases", ratio(partial(adapter, stack), judge)))
    for name, value in lines:
        sys.stdout.write(f"{name:45} {value:8.2f}\n")


if __name__ == "__main__":
    main()

"""The command line, ``rnn-oracle``: its words and options. The commands are imported once they are needed."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import metadata
from typing import Any

from adapters.conformance import NAMES, STACKS, TIMEOUT
from reference.archive import DTYPES
from reference.cells import CELLS

ABOUT = "Judge implementations of the textbook RNN: outputs and all gradients, each held to a bound that is derived."
# Above this, most readers of JSON round an integer.
LARGEST_SEED = 2**53
# A run of more stacks would not end.
MOST = 10**8
FILES = ".npz, .safetensors, .pt, .keras, .h5 or .onnx"
SUBJECTS = "torch, torch.LSTM, or MODULE:NAME for a cell of your own; default: all frameworks that are installed"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: the words after ``rnn-oracle``; those of the process by default.

    Returns:
        The exit status: 0 if everything was judged and passed; 1 for a mismatch, or if nothing was judged; 2 for bad
        usage, or a framework that was named and is not installed; 130 if interrupted, 143 by SIGTERM.
    """
    with ended_by_sigterm():
        try:
            options = parser().parse_args(arguments)
            # Only now: --help and a mistyped word need none of it.
            from adapters.conformance import commands

            return commands.run(options)
        except (ValueError, TypeError, OSError, ModuleNotFoundError) as error:
            sys.stderr.write(f"rnn-oracle: {error}\n")
            return 2
        except KeyboardInterrupt as interrupt:
            sys.stderr.write("rnn-oracle: interrupted\n")
            return status_of(interrupt)


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Have SIGTERM end the command as an interrupt does: what was judged until then is printed and saved."""

    def interrupt(number: int, _: object) -> None:
        raise KeyboardInterrupt(number)

    is_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, interrupt) if is_main else None
    try:
        yield
    finally:
        if is_main:
            signal.signal(signal.SIGTERM, before)


def status_of(interrupt: KeyboardInterrupt) -> int:
    """Return the exit status of an interrupt, which may have the number of a signal."""
    return 128 + (interrupt.args[0] if interrupt.args else signal.SIGINT)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="rnn-oracle", description=ABOUT)
    top.add_argument("--version", action="version", version=f"rnn-oracle {metadata.version('rnn-oracle')}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    dtypes: dict[str, Any] = {"choices": DTYPES, "metavar": "D"}
    several = dtypes | {"nargs": "+", "action": "extend"}
    positive = partial(whole_number, least=1, most=MOST)
    path: dict[str, Any] = {"metavar": "PATH", "help": "one layer of a larger model by its path, as encoder.lstm"}
    names: dict[str, Any] = {"nargs": "+", "choices": NAMES, "metavar": "CHECK", "action": "extend"}

    commands.add_parser("list", help="list the adapters and what each supports")

    check = commands.add_parser("check", help="judge adapters against the oracle")
    check.add_argument("names", nargs="*", metavar="NAME", help=SUBJECTS)
    check.add_argument("--all", action="store_true", help="judge all ways of each framework, not its main ones alone")
    check.add_argument("--dtype", **several, help=f"of {', '.join(DTYPES)}; default: float64 and float32")
    kinds = check.add_mutually_exclusive_group()
    kinds.add_argument("--only", **names, help=f"of {', '.join(NAMES)}; default: all")
    kinds.add_argument("--skip", **names, default=[], help="all checks but these")
    check.add_argument("--stacks", type=positive, default=STACKS, metavar="N", help=f"of cases; default: {STACKS}")
    check.add_argument("--seed", type=whole_number, default=0, metavar="S", help="of the cases; default: 0")
    limit = f"a check in one dtype, or inf; default: {TIMEOUT:g}, and more for more stacks"
    check.add_argument("--timeout", type=seconds, metavar="SECONDS", help=limit)
    check.add_argument("--jobs", type=positive, metavar="N", help="frameworks side by side; default: number of cores")
    check.add_argument("--params", metavar="FILE", help=f"judge on these weights: {FILES}")
    check.add_argument("--layer", **path)
    check.add_argument("--by-quantity", action="store_true", help="show the largest error of each quantity, too")
    in_full = "tell each failure in full, and why something is unsupported"
    check.add_argument("--verbose", action="store_true", help=in_full)
    check.add_argument("--json", metavar="FILE", help="write the report as JSON")
    check.add_argument("--html", metavar="FILE", help="write the report as a page")
    check.add_argument("--markdown", metavar="FILE", help="write the table in Markdown")
    check.add_argument("--reproduce", metavar="DIR", help="write each failure: its smallest case, a script, a report")

    explain = commands.add_parser("explain", help="print what is wrong with an adapter on a saved case")
    explain.add_argument("case", metavar="CASE.npz", help="as --reproduce writes it")
    explain.add_argument("name", metavar="NAME", help="one adapter, as torch.RNN or MODULE:NAME")

    port = commands.add_parser("port", help="move weights from one framework to another, with a proof")
    port.add_argument("model", metavar="MODEL", help=f"the weights: {FILES}")
    port.add_argument("--from", dest="source", required=True, metavar="NAME", help="torch, or torch.RNN")
    port.add_argument("--to", required=True, metavar="NAME", help="flax, or flax.nnx.RNN")
    port.add_argument("-o", "--output", required=True, metavar="FILE", help=".npz, .safetensors or .pt")
    some = port.add_mutually_exclusive_group()
    some.add_argument("--layer", **path)
    some.add_argument("--all", action="store_true", help="move all layers of this kind, each with its path")
    port.add_argument("--dtype", **dtypes, help="round to it; default: that of the file")
    port.add_argument("--nonlinearity", choices=("tanh", "relu"), help="of the model; default: the file's")
    port.add_argument("--no-proof", dest="proof", action="store_false", help="write the file, and run nothing")

    faults = commands.add_parser("faults", help="judge the suite itself: which faults of its catalogue it catches")
    faults.add_argument("--cell", nargs="+", choices=CELLS, metavar="CELL", help=f"of {', '.join(CELLS)}; default: all")
    faults.add_argument("--dtype", **several, help=f"of {', '.join(DTYPES)}; default: all")
    faults.add_argument("--seeds", type=positive, default=5, metavar="N", help="runs of each fault; default: 5")

    report = commands.add_parser("report", help="show the results of check --json, of one run or many, or make a page")
    report.add_argument("results", nargs="+", metavar="RESULTS.json", help="of one run, or of several")
    report.add_argument("-o", "--output", metavar="PAGE.html", help="write a page")
    report.add_argument("--markdown", metavar="FILE", help="write the same in Markdown")
    report.add_argument("--summary", metavar="FILE", help="write one line for each adapter, in Markdown")
    return top


def whole_number(text: str, least: int = 0, most: int = LARGEST_SEED) -> int:
    """Return a whole number that is at least ``least`` and at most ``most``.

    Raises:
        argparse.ArgumentTypeError: the text is none.
    """
    if text.isdecimal() and (len(text) > len(str(most)) or int(text) > most):
        got = text if len(text) < 24 else f"one of {len(text)} digits"
        raise argparse.ArgumentTypeError(f"expected a whole number of at most {most}, got {got}")
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, got {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """Return a number above 0, infinity included.

    Raises:
        argparse.ArgumentTypeError: the text is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not number > 0:
        raise argparse.ArgumentTypeError(f"expected seconds above 0, or inf, got {text!r}")
    return number

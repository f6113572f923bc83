"""The command line, ``rnn-oracle``: what may be asked for, in which words."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from adapters.conformance.choices import ENOUGH, EXAMPLES, LARGER, LIMIT, NAMES
from reference.archive import DTYPES

ABOUT = "Judge implementations of the textbook RNN: outputs and all gradients, each held to a bound that is derived."
OWN = "one of your own: a module of the path or of this folder, and an adapter or a function in it; may be repeated"
JOBS = "processes at once; default: as many as cores for several frameworks, and one for one"
STACKS = f"stacks of cases a check; default: {EXAMPLES}; of {2 * ENOUGH} and more, up to {LARGER} are drawn as one"
PATIENCE = f"that one check may take in one precision, inf for any; default: {LIMIT:g}, and more for more examples"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: the words after ``rnn-oracle``; those of the process by default.

    Returns:
        The exit status: 0 all judged and passed, 1 a mismatch or nothing judged, 2 usage or a backend that was asked
        for and is not there, 130 interrupted.
    """
    options = parser().parse_args(arguments)
    # Only now: help, and a word mistyped, do not wait for what the commands need.
    from adapters.conformance import commands

    try:
        return commands.COMMANDS[options.command](options, commands.wide_console())
    except (ValueError, TypeError, OSError, ModuleNotFoundError) as error:
        sys.stderr.write(f"rnn-oracle: {error}\n")
        return 2


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="rnn-oracle", description=ABOUT)
    top.add_argument("--version", action=Version, nargs=0, help="show the version and exit")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="list the adapters and what each can do")
    check = commands.add_parser("check", help="judge adapters against the oracle")
    check.add_argument("names", nargs="*", metavar="NAME", help="torch, or torch.RNN; default: all that are installed")
    check.add_argument("--adapter", action="append", default=[], metavar="MODULE:NAME", help=OWN)
    check.add_argument("--dtype", nargs="+", choices=DTYPES, metavar="D", help=f"of {', '.join(DTYPES)}; default: all")
    kinds = check.add_mutually_exclusive_group()
    kinds.add_argument("--only", nargs="+", choices=NAMES, metavar="CHECK", help=f"of {', '.join(NAMES)}; default: all")
    kinds.add_argument("--skip", nargs="+", choices=NAMES, default=(), metavar="CHECK", help="all checks but these")
    check.add_argument("--quantities", action="store_true", help="show the largest error of each quantity, too")
    check.add_argument("--examples", type=positive, default=EXAMPLES, metavar="N", help=STACKS)
    check.add_argument("--seed", type=whole_number, default=0, metavar="S", help="of the cases; default: 0")
    check.add_argument("--shard", type=shard, default=(1, 1), metavar="I/N", help="judge the I-th of N parts alone")
    check.add_argument("--limit", type=seconds, metavar="SECONDS", help=PATIENCE)
    check.add_argument("--jobs", type=positive, metavar="N", help=JOBS)
    check.add_argument("--params", metavar="FILE", help="judge on these weights: .npz, .safetensors or .pt")
    check.add_argument("--reproduce", metavar="DIR", help="write every failure down: the case, a script, a bug report")
    check.add_argument("--json", metavar="FILE", help="write the report as JSON")
    check.add_argument("--markdown", metavar="FILE", help="write the table in Markdown")
    check.add_argument("--html", metavar="FILE", help="write the report as a page")
    publishing = commands.add_parser("report", help="show what check --json wrote, once or more often, and make a page")
    publishing.add_argument("results", nargs="+", metavar="RESULTS.json", help="of one run, its shards, or many")
    publishing.add_argument("-o", "--output", metavar="FILE.html", help="the page")
    publishing.add_argument("--markdown", metavar="FILE", help="write the same in Markdown")
    publishing.add_argument("--summary", metavar="FILE", help="write one line for each adapter, in Markdown")
    explain = commands.add_parser("explain", help="say what is wrong with an adapter on a saved case")
    explain.add_argument("case", metavar="CASE.npz", help="as --reproduce writes it")
    explain.add_argument("--adapter", required=True, metavar="NAME", help="one adapter, as torch.RNN or MODULE:NAME")
    smoke = commands.add_parser("smoke", help="judge one small case and say what is wrong with an adapter")
    smoke.add_argument("--adapter", required=True, metavar="NAME", help="as torch.RNN or MODULE:NAME")
    smoke.add_argument("--dtype", choices=DTYPES, metavar="D", help="default: float32, or the first on offer")
    porting = commands.add_parser("port", help="move weights from one framework to another, with a proof")
    porting.add_argument("model", metavar="MODEL", help="the weights: .npz, .safetensors or .pt")
    porting.add_argument("--from", dest="source", required=True, metavar="NAME", help="torch, or torch.RNN")
    porting.add_argument("--to", required=True, metavar="NAME", help="flax, or flax.nnx.RNN")
    porting.add_argument("-o", "--output", required=True, metavar="FILE", help=".npz or .safetensors")
    porting.add_argument("--dtype", choices=DTYPES, metavar="D", help="round to it; default: that of the file")
    porting.add_argument("--nonlinearity", choices=("tanh", "relu"), help="of the model; default: the source's first")
    porting.add_argument("--no-proof", dest="proof", action="store_false", help="write the file, and run nothing")
    faults = commands.add_parser("faults", help="judge the suite itself: which faults of its catalogue it catches")
    faults.add_argument("--dtype", nargs="+", choices=DTYPES, metavar="D", help=f"of {', '.join(DTYPES)}")
    faults.add_argument("--seeds", type=positive, default=5, metavar="N", help="runs of each fault; default: 5")
    faults.add_argument("--json", metavar="FILE", help="write the same as JSON")
    return top


class Version(argparse.Action):
    """Show the version and exit; it is looked up only now, so that help does not wait for it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Write the version to standard output, and end the process with status 0."""
        from importlib.metadata import version

        sys.stdout.write(f"rnn-oracle {version('rnn-oracle')}\n")
        parser.exit()


def positive(text: str) -> int:
    """Return a positive whole number.

    Raises:
        argparse.ArgumentTypeError: the text is none.
    """
    return whole_number(text, 1)


def whole_number(text: str, least: int = 0) -> int:
    """Return a whole number that is not less than another.

    Raises:
        argparse.ArgumentTypeError: the text is none.
    """
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


def shard(text: str) -> tuple[int, int]:
    """Return I and N of "I/N".

    Raises:
        argparse.ArgumentTypeError: the text is none such.
    """
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f"expected I/N with 1 <= I <= N, got {text!r}")
    return int(part), int(parts)

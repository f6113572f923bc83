"""Move weights from a file of one framework to one of another, and prove that both compute the same model."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import adapters
from adapters._layout import Layout
from adapters._port import expect_nonlinearity, layout
from adapters.conformance.contract import guarded
from adapters.conformance.process import SPAWN
from adapters.conformance.weights import read_tensors, write_tensors
from reference import Case, Params
from reference.archive import expect_finite
from reference.strategies import fitting
from reference.trial import trial

# Steps and rows of the cases of a proof, all probed, and how many there are of each length.
LENGTHS, ROWS, STACK = (1, 6), 4, 16
# Seconds that a framework may take for its half of the proof, its import included.
PATIENCE = 300.0


@dataclass(frozen=True)
class Half:
    """What a proof finds of one of the two frameworks."""

    name: str  # of the adapter
    certified: bool
    told: str  # how many cases, and the largest error; or why not

    def __str__(self) -> str:
        return f"{self.name}: {'certified' if self.certified else 'NOT CERTIFIED'}, {self.told}"


def move(options: argparse.Namespace, console: Console) -> int:
    """Write the weights of a file as the target holds them, then have both frameworks run on them.

    Of two biases, both run on the sum, which is what the target has.

    Args:
        options: of the command line.
        console: where what is written, rounded, made up and proved is said.

    Returns:
        0 if both are certified or no proof was asked for, 1 if one is not; the file is there in both cases.

    Raises:
        ValueError, TypeError: the file is not what it should be, or the target cannot hold it.
        FileNotFoundError: there is no such file.
        ModuleNotFoundError: a proof is asked for, and a framework is not installed.
    """
    source, target = layout(options.source), layout(options.to)
    nonlinearity = expect_nonlinearity(source, target, options.nonlinearity)
    for one in (source, target):
        expect_provable(one, proof=options.proof)
    tensors = read_tensors("port", options.model)
    held = source.params(tensors)
    expect_finite(f"port {options.model}", held.fields())
    dtype = options.dtype or str(held.Wx.dtype)
    with np.errstate(over="ignore"):
        params = held.astype(dtype)
    expect_finite(f"port --dtype {dtype}", params.fields())
    write_tensors("port", options.output, target.named(params))
    for line in (*remarks(tensors, source, target, held, params), f"written: {options.output}"):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if not options.proof:
        console.print("nothing was proved: neither framework has run", highlight=False)
        return 0
    # What was written is proved, not what was meant to be.
    moved = target.params(read_tensors("port", options.output))
    halves = []
    for one, weights in ((source, params), (target, moved)):
        halves.append(prove_apart(one.name, weights, nonlinearity))
        console.print(str(halves[-1]), highlight=False, markup=False, soft_wrap=True)
    if all(half.certified for half in halves):
        return 0
    console.print(f"not proved: {options.output} is there, and not to be trusted", highlight=False, soft_wrap=True)
    return 1


def expect_provable(one: Layout, *, proof: bool) -> None:
    """Raise ModuleNotFoundError if a proof is asked for and the framework is not installed."""
    try:
        if proof:
            adapters.expect_installed(one.name.partition(".")[0])
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{error}; or move without a proof: --no-proof", name=error.name) from error


def remarks(tensors: Any, source: Layout, target: Layout, held: Params, params: Params) -> Iterator[str]:
    """Say in which way what is written is not, bit by bit, what was read."""
    if inexact := source.rounded(tensors):
        what = f"the sum of the two biases of {source.name}"
        yield f"rounded to {held.Wx.dtype} in {inexact} of {len(held.Wh)} elements: {what}"
    for name, array in held.fields().items():
        if array is not None and (lost := int(np.sum(array.astype(params.Wx.dtype).astype(array.dtype) != array))):
            yield f"rounded to {params.Wx.dtype} in {lost} of {array.size} elements: {name}"
    if params.b is None and target.always_biased:
        yield f"{target.name} has a bias, always: of a model without one it is zero"


def prove(name: str, params: Params, nonlinearity: str) -> Half:
    """Run an adapter on cases with given weights, and certify all that it returns.

    The adapter loads them under the names and in the places that its layout tells: the same that are written. A place
    that is wrong gives numbers that are.

    Args:
        name: of the adapter.
        params: of one cell, in the dtype in which it is run.
        nonlinearity: "tanh" or "relu".
    """
    worst, count, stack = 0.0, 0, fitting(STACK, max(LENGTHS), ROWS, *params.Wx.shape)
    try:
        (adapter,) = adapters.load(name)
        precision = adapter.precision(str(params.Wx.dtype))
        for seed, T in enumerate(LENGTHS):
            like: dict[str, Any] = {"dtype": precision.name, "nonlinearity": nonlinearity, "params": params}
            case = Case.random(T, ROWS, seed=seed, stack=stack, **like).probed()
            verdict = trial(guarded(adapter), case, precision)
            if verdict.status != "pass":
                single = verdict.of(verdict.statuses.index(verdict.status))
                first = "; ".join(str(single).splitlines()[:2])
                return Half(name, False, f"{nonlinearity}, {first}")
            worst, count = max(worst, *(one.ratio for one in verdict.worst.values())), count + stack
    except Exception as error:
        words = str(error).strip().splitlines() or [""]
        return Half(name, False, f"{type(error).__name__}: {words[0]}")
    return Half(name, True, f"largest |error| / bound {worst:.2g} in {count} cases of {nonlinearity}, {precision.name}")


def prove_apart(name: str, params: Params, nonlinearity: str) -> Half:
    """Do the same in a process of its own: two frameworks may not stand one another, and one may crash."""
    ours, theirs = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=_prove_into, args=(theirs, name, params, nonlinearity), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(PATIENCE):
            return Half(name, False, f"expected an answer within {PATIENCE:g} s, got none")
        found: Half = ours.recv()
        return found
    except EOFError:
        process.join()
        return Half(name, False, f"expected an answer, got the end of its process by exit status {process.exitcode}")
    finally:
        process.kill()


def _prove_into(connection: Connection, name: str, params: Params, nonlinearity: str) -> None:
    # What a framework prints and warns of is no part of the proof.
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    connection.send(prove(name, params, nonlinearity))

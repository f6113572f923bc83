"""Weights of trained models: read from a file, written for another framework, and certified in both frameworks."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from rich.console import Console

import adapters
from adapters import Adapter, Unsupported
from adapters.conformance.contract import guarded
from adapters.conformance.formats import read_model, write_arrays
from adapters.conformance.judge import subject_of
from adapters.conformance.process import Ended, Worker
from adapters.layout import Layout, Recorded, expect_nonlinearity, layout, under
from reference import Case, LayersCase, Params
from reference.archive import expect_finite
from reference.strategies import fitting
from reference.trial import trial

# A proof has a stack of cases, all probed, for each of these numbers of steps.
LENGTHS, ROWS, STACK = (1, 6), 4, 16
# Seconds for one framework's half of the proof, its import included.
PATIENCE = 300.0


def move(options: argparse.Namespace, console: Console) -> int:
    """Write the weights of a file for another framework, then certify both frameworks with them.

    Args:
        options: of the command line.
        console: receives the account.

    Returns:
        0 if both frameworks are certified or no proof was requested, else 1. The file is written in both cases.

    Raises:
        ValueError, TypeError: the file is damaged or has no such layer, or the target has no place for it.
        FileNotFoundError: there is no such file.
        ModuleNotFoundError: a proof was requested, and a framework is not installed.
    """
    source, target = layout(options.source), layout(options.to)
    for one in (source, target) if options.proof else ():
        expect_provable(one)
    model = read_model("port", options.model, [source])
    paths = model.chosen(f"port {options.model}", source, options.layer, every=options.all)
    # A single layer leaves its path behind.
    into = dict(zip(paths, paths if options.all else [""], strict=True))
    moved, written, lines = dict[str, Moved](), dict[str, Any](), list[str]()
    for path, new in into.items():
        moved[new] = layer = move_layer(options, source, target, under(model.arrays, path), model.recorded_of(path))
        written |= {f"{new}.{name}".lstrip("."): array for name, array in layer.written.items()}
        lines += [f"{new}: {line}" if new else line for line in layer.lines]
    write_arrays("port", options.output, written)
    say = partial(console.print, soft_wrap=True)
    for line in (*lines, f"written: {options.output}"):
        say(line)
    if not options.proof:
        say("not proved: neither framework was run")
        return 0
    # The proof reads the file again, so that it covers the writing.
    again, certified = read_model("port", options.output, [target]).arrays, True
    for new, layer in moved.items():
        reread = {end: target.params(own) for end, own in target.each(under(again, new)).items()}
        for held, weights in ((source, layer.given), (target, reread)):
            proof = prove_apart(held.name, weights.get("", weights), layer.nonlinearity)
            certified &= proof.certified
            say(f"{new}: {proof}" if new else str(proof))
    if not certified:
        say(f"not proved: do not use {options.output}")
    return int(not certified)


@dataclass(frozen=True)
class Moved:
    """One layer, or several layers of one module, that are moved."""

    given: Mapping[str, Params]  # by ending, as of ``Layout.each``
    written: Mapping[str, Any]  # arrays under the names of the target
    nonlinearity: str
    lines: Sequence[str]  # what the proof does not cover


def move_layer(
    options: argparse.Namespace, source: Layout, target: Layout, arrays: Mapping[str, Any], recorded: Recorded | None
) -> Moved:
    """Return the layers among the arrays of a module, moved.

    Raises:
        ValueError, TypeError: as of ``move``, or the file records another nonlinearity than the options.
    """
    f = expect_nonlinearity(source, target, recorded.nonlinearity if recorded else options.nonlinearity)
    if options.nonlinearity not in (None, f):
        raise ValueError(f"port --nonlinearity: expected {f}, as {options.model} records, got {options.nonlinearity}")
    given, written, lines = dict[str, Params](), dict[str, Any](), list[str]()
    for end, own in source.each(arrays).items():
        held = source.params(own)
        expect_finite(f"port {options.model}", held.fields())
        dtype = options.dtype or str(held.Wx.dtype)
        with np.errstate(over="ignore"):
            given[end] = params = held.astype(dtype)
        expect_finite(f"port --dtype {dtype}", params.fields())
        written |= target.named_in(end, params)
        lines += [f"{end[1:]}: {line}" if end else line for line in remarks(own, source, target, held, params)]
    if not (recorded or options.nonlinearity) and len(source.nonlinearities) > 1:
        lines.append(f"not in the file: the nonlinearity, which is taken as {f}; --nonlinearity names another")
    if recorded and recorded.backwards:
        lines.append("not moved: the direction; this layer runs from the last step to the first")
    return Moved(given, written, f, lines)


def expect_provable(one: Layout) -> None:
    """Raise ModuleNotFoundError unless the framework of a layout is installed."""
    try:
        adapters.expect_installed(one.name.partition(".")[0])
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{error}; or move without a proof: --no-proof", name=error.name) from error


def remarks(arrays: Any, source: Layout, target: Layout, held: Params, params: Params) -> Iterator[str]:
    """Give each difference between the values that were read and the values that are written."""
    if inexact := source.rounded(arrays):
        yield f"rounded to {held.Wx.dtype} in {inexact} of {held.Wh.shape[-1]} elements: the sum of the two biases"
    for name, array in held.fields().items():
        if array is not None and (lost := int(np.sum(array.astype(params.Wx.dtype).astype(array.dtype) != array))):
            yield f"rounded to {params.Wx.dtype} in {lost} of {array.size} elements: {name}"
    if params.b is not None:
        kept = np.asarray(target.params(target.to_framework(params)).b)
        if lost := int(np.sum(kept != params.b)):
            yield f"rounded to {kept.dtype} in {lost} of {kept.size} elements: {target.name} adds 1 to a gate itself"
    if params.b is None and target.always_biased:
        yield f"added: {target.name} always has a bias, which is zero for a model without one"


@dataclass(frozen=True)
class Proof:
    """The result of running one of the two frameworks."""

    name: str  # of the adapter
    certified: bool
    account: str

    def __str__(self) -> str:
        return f"{self.name}: {'certified' if self.certified else 'NOT CERTIFIED'}, {self.account}"


def prove(adapter: Adapter, params: Params | Mapping[str, Params], nonlinearity: str) -> Proof:
    """Run an adapter on cases with given weights, and certify its results.

    The adapter loads the weights through the layout with which ``move`` writes them. A wrong layout gives wrong
    numbers. If it supports no rows of different lengths, all rows have the same.

    Args:
        adapter: of the framework.
        params: of one cell, in the dtype of the cases; of several layers by their endings, as of ``Layout.each``.
        nonlinearity: "tanh" or "relu".
    """
    name, worst, count, own, alike = adapter.name, 0.0, 0, guarded(adapter), ""
    try:
        for case in probing(adapter, params, nonlinearity):
            precision = adapter.precision(case.dtype)
            try:
                verdict = trial(subject_of(own, case), case, precision)
            except Unsupported:
                if not isinstance(case, LayersCase) or case.lengths is None:
                    raise
                case, alike = case.replacing(lengths=None), ", all rows of T steps"
                verdict = trial(subject_of(own, case), case, precision)
            if verdict.status != "pass":
                single = verdict.of(verdict.statuses.index(verdict.status))
                first = "; ".join(str(single).splitlines()[:2])
                return Proof(name, False, f"{nonlinearity}, {first}")
            worst, count = max(worst, *(one.ratio for one in verdict.worst.values())), count + (case.K or 1)
    except Exception as error:
        words = str(error).strip().splitlines() or [""]
        return Proof(name, False, f"{type(error).__name__}: {words[0]}")
    account = f"largest |error| / bound {worst:.2g} in {count} cases of {nonlinearity}, {case.dtype}{alike}"
    return Proof(name, True, account)


def probing(adapter: Adapter, params: Params | Mapping[str, Params], nonlinearity: str) -> Iterator[Any]:
    """Yield the cases of a proof: stacks of one cell, or cases of several layers with rows of different lengths."""
    like: dict[str, Any] = {"cell": adapter.cell, "nonlinearity": nonlinearity}
    if isinstance(params, Params):
        stack = fitting(STACK, max(LENGTHS), ROWS, *params.Wx.shape)
        for seed, T in enumerate(LENGTHS):
            dtype = adapter.precision(str(params.Wx.dtype)).name
            yield Case.random(T, ROWS, seed=seed, stack=stack, params=params, dtype=dtype, **like).probed()
        return
    ends, first = [*params], next(iter(params.values()))
    directions = 1 + any(end.endswith("_reverse") for end in ends)
    like |= {"layers": len(ends) // directions, "directions": directions, "bias": first.b is not None}
    like |= {"dtype": adapter.precision(str(first.Wx.dtype)).name}
    weights = {name + end: array for end, own in params.items() for name, array in own.fields().items()}
    for seed, T in itertools.product(range(STACK // 4), LENGTHS):
        drawn = LayersCase.random(T, ROWS, *first.sizes.values(), seed=seed, lengths=T > 1, **like)
        case = drawn.replacing(**weights)
        yield case.probed() if case.layers == 1 else case


def prove_apart(name: str, params: Params | Mapping[str, Params], nonlinearity: str) -> Proof:
    """Do the same in a process of its own, since some frameworks cannot share a process and one may crash."""
    try:
        with closing(Worker([name], PATIENCE)) as worker:
            ((adapter, _),) = worker.start()
            proof: Proof = worker.call(prove, adapter.name, params, nonlinearity)
            return proof
    except (Ended, ValueError) as error:
        return Proof(name, False, str(error).splitlines()[0])

"""Weights of trained models: read from a file, written for another framework, and certified in both frameworks."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from rich.console import Console

import adapters
from adapters import Adapter
from adapters.conformance.contract import guarded
from adapters.conformance.judge import subject_of
from adapters.conformance.process import Ended, Worker
from adapters.layout import Layout, expect_nonlinearity, layer_of, layout, layouts
from reference import Case, LayersCase, Params
from reference.archive import expect_finite, read_npz, write_npz
from reference.strategies import fitting
from reference.trial import trial

# A proof has a stack of cases, all probed, for each of these numbers of steps.
LENGTHS, ROWS, STACK = (1, 6), 4, 16
# Seconds for one framework's half of the proof, its import included.
PATIENCE = 300.0
# Layouts of a file for ``--params``.
EXPORT = 'np.savez("model.npz", **{one.path: one.numpy() for one in model.weights})'
OF_TORCH = tuple(one for one in layouts("torch").values() if one.cell == "rnn")
READABLE = (Layout("Params", {"Wx": "Wx", "Wh": "Wh", "b": "b"}), *OF_TORCH)


def read_params(path: str | Path) -> Params:
    """Read the parameters of one recurrent layer.

    Args:
        path: an ``.npz`` with Wx, Wh and b; or a file with the names of ``nn.RNN`` or ``nn.RNNCell``, alone or among
            those of a larger model. PyTorch adds two biases, and b is their sum.

    Returns:
        The parameters in the file's dtype; half precisions become float32.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged or of an unknown format, an array is missing or has the wrong shape, a number
            is not finite, or there is more than one layer or direction.
        TypeError: the dtype of an array is not floating.
        ModuleNotFoundError: the file is a ``.pt`` file and PyTorch is not installed.

    Source: names, shapes and the sum are documented at torch.nn.RNN, section "Variables".
    """
    where = f"--params {path}"
    arrays = read_arrays("--params", path, READABLE)
    ends = set(map(end_of, arrays))
    found = [one for one in READABLE if one.weights[0] in ends]
    if len(found) != 1:
        raise ValueError(f"{where}: expected Wx and Wh, or one nn.RNN or nn.RNNCell, got arrays {sorted(arrays)}")
    half = ("bfloat16", "float16")
    wide = {name: array.astype("float32") if str(array.dtype) in half else array for name, array in arrays.items()}
    try:
        params = found[0].params(wide)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{where}: {str(error).removeprefix('port: ')}") from error
    expect_finite(where, params.fields())
    return params


def read_arrays(where: str, path: str | Path, layouts: Sequence[Layout]) -> dict[str, Any]:
    """Read arrays of a file by name, without running any code in it.

    Args:
        where: the beginning of messages.
        path: the file, ``.npz``, ``.safetensors``, ``.pt`` or ``.pth``.
        layouts: an array is read if its name may be one of theirs; in place of another array comes an empty one.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged or of an unknown format, or a ``.pt`` file is no state dict.
        ModuleNotFoundError: the file is a ``.pt`` file and PyTorch is not installed.
    """

    def is_needed(name: str) -> bool:
        return layer_of(end_of(name))[0] in ends

    ends = {layer_of(end_of(name))[0] for one in layouts for name in one.named}
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{where}: expected a file, got {path}")
    if path.suffix == ".npz":
        return read_npz(where, path, is_needed)
    try:
        if path.suffix == ".safetensors":
            with safetensors.safe_open(path, framework="np") as file:
                names = list(file.keys())
                return {name: file.get_tensor(name) if is_needed(name) else np.zeros(0) for name in names}
        if path.suffix in (".pt", ".pth"):
            return dict(adapters.load_framework("torch").read_state_dict(path, is_needed))
    except ModuleNotFoundError:
        raise
    except Exception as error:
        if path.suffix == ".safetensors":
            words = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"{where}: expected a whole .safetensors file, got {path} ({words})") from error
        raise ValueError(f"{where}: {error}") from error
    export = f"; export it from Keras: {EXPORT}" if path.suffix in (".keras", ".h5") else ""
    raise ValueError(f"{where}: expected a file ending in .npz, .safetensors or .pt, got {path}{export}")


def end_of(name: str) -> str:
    """Return the last part of the name of an array."""
    return name.replace("/", ".").rpartition(".")[2]


def write_arrays(where: str, path: str | Path, arrays: dict[str, Any]) -> None:
    """Write arrays by name, as ``.npz`` or ``.safetensors``.

    Raises:
        ValueError: the path has another ending.
    """
    if Path(path).suffix not in (".npz", ".safetensors"):
        raise ValueError(f"{where}: expected a file ending in .npz or .safetensors to write to, got {path}")
    if Path(path).suffix == ".npz":
        write_npz(path, arrays)
    else:
        safetensors.numpy.save_file(arrays, path)


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
    nonlinearity = expect_nonlinearity(source, target, options.nonlinearity)
    for one in (source, target) if options.proof else ():
        expect_provable(one)
    arrays = read_arrays("port", options.model, [source])
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
    write_arrays("port", options.output, written)
    say = partial(console.print, soft_wrap=True)
    for line in (*lines, f"written: {options.output}"):
        say(line)
    if not options.proof:
        say("not proved: neither framework was run")
        return 0
    # The proof reads the file again, so that it covers the writing.
    again = target.each(read_arrays("port", options.output, [target]))
    moved = {end: target.params(own) for end, own in again.items()}
    proofs = []
    for one, weights in ((source, given), (target, moved)):
        proofs.append(prove_apart(one.name, weights.get("", weights), nonlinearity))
        say(str(proofs[-1]))
    if all(proof.certified for proof in proofs):
        return 0
    say(f"not proved: do not use {options.output}")
    return 1


def expect_provable(one: Layout) -> None:
    """Raise ModuleNotFoundError unless the framework of a layout is installed."""
    try:
        adapters.expect_installed(one.name.partition(".")[0])
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{error}; or move without a proof: --no-proof", name=error.name) from error


def remarks(arrays: Any, source: Layout, target: Layout, held: Params, params: Params) -> Iterator[str]:
    """Give each difference between the values that were read and the values that are written."""
    if inexact := source.rounded(arrays):
        yield f"rounded to {held.Wx.dtype} in {inexact} of {len(held.Wh)} elements: the sum of the two biases"
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
    numbers.

    Args:
        adapter: of the framework.
        params: of one cell, in the dtype of the cases; of several layers by their endings, as of ``Layout.each``.
        nonlinearity: "tanh" or "relu".
    """
    name, worst, count, own = adapter.name, 0.0, 0, guarded(adapter)
    try:
        for case in probing(adapter, params, nonlinearity):
            verdict = trial(subject_of(own, case), case, adapter.precision(case.dtype))
            if verdict.status != "pass":
                single = verdict.of(verdict.statuses.index(verdict.status))
                first = "; ".join(str(single).splitlines()[:2])
                return Proof(name, False, f"{nonlinearity}, {first}")
            worst, count = max(worst, *(one.ratio for one in verdict.worst.values())), count + (case.K or 1)
    except Exception as error:
        words = str(error).strip().splitlines() or [""]
        return Proof(name, False, f"{type(error).__name__}: {words[0]}")
    return Proof(name, True, f"largest |error| / bound {worst:.2g} in {count} cases of {nonlinearity}, {case.dtype}")


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

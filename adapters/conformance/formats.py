"""Weights in files: arrays by name, what a file records of its layers, and the layers that are chosen of them.

No code in a file runs, and sizes are bounded before memory is taken.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.numpy

import adapters
from adapters._places import GATES
from adapters.conformance.cli import FILES
from adapters.layout import Layout, Recorded, is_under, layer_of, layouts, shortened, under
from reference import Params
from reference.archive import EMPTY, expect_finite, read_npz, write_npz
from reference.cells import CELLS, NONLINEARITIES


def readable() -> list[Layout]:
    """Return the layouts of a file for ``--params``, without repetition: the names of the reference, then all others.

    A layout that requires a bias comes last, because the error of the first that suits the names is raised.
    """
    own = [{"cell": f"{name} {GATES[name]}"} | {one: one for one in cell.parameters()} for name, cell in CELLS.items()]
    found = [Layout("Params", places, is_layered=True) for places in own]
    found += [one for name in adapters.frameworks() for one in layouts(name).values()]
    distinct = dict[str, Layout]()
    for one in found:
        distinct.setdefault(str(one.places), one)
    return sorted(distinct.values(), key=lambda one: one.always_biased)


READABLE = readable()


@dataclass(frozen=True)
class Model:
    """The arrays in a file by name, and what the file records of its layers by path."""

    arrays: Mapping[str, Any]
    recorded: Mapping[str, Recorded] = field(default_factory=dict)

    def recorded_of(self, path: str) -> Recorded | None:
        """Return what the file records of the layer of a path; None if nothing."""
        return next((own for name, own in self.recorded.items() if is_under(path, name)), None)

    def paths(self, one: Layout, *, fitting: bool = True) -> list[str]:
        """Return the paths of the layers of a kind, as of ``Layout.paths``, of one cell if the file records it."""
        found = one.paths(self.arrays, fitting=fitting)
        return [path for path in found if (own := self.recorded_of(path)) is None or own.cell == one.cell]

    def chosen(self, where: str, one: Layout, layer: str | None = None, *, every: bool = False) -> list[str]:
        """Return the path of the only layer of a kind, or of every layer of this kind.

        Args:
            where: the beginning of messages.
            one: the kind.
            layer: the path of a layer, or of a part of the model with one such layer; None for the whole model.
            every: whether there may be several.

        Raises:
            ValueError: there is no such layer, or there are several.
        """
        there = self.paths(one)
        found, at = within(there, layer), f" at {layer!r}" if layer else ""
        if not found and (self.recorded or layer or every):
            named = [f"{path} ({own.cell})" for path, own in self.recorded.items()]
            got = shortened(named or there or self.paths(one, fitting=False))
            raise ValueError(f"{where}: expected a {one.name}{at}, got the layers {got}")
        if len(found) > 1 and not every:
            got = f"{shortened(found)}; name one by --layer, or move --all"
            raise ValueError(f"{where}: expected one {one.name}{at}, got {got}")
        return found or [""]  # what is missing is an error of the layout


def within(paths: Iterable[str], layer: str | None) -> list[str]:
    """Return the paths that begin with the path of a layer, in which ``/`` and ``.`` are equivalent; all for None."""
    return [path for path in paths if is_under(path, (layer or "").replace("/", "."))]


def read_model(where: str, path: str | Path, layouts: Sequence[Layout]) -> Model:
    """Read arrays of a file by name, without running any code in it.

    Args:
        where: the beginning of messages.
        path: the file; ``cli.FILES`` has the endings.
        layouts: an array is read if its name may be one of theirs; in place of another array comes an empty one.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged or of an unknown format, or a ``.pt`` file is no state dict.
        ModuleNotFoundError: PyTorch, ONNX or h5py, which reads the file, is not installed.
    """

    def is_needed(name: str) -> bool:
        return layer_of(end_of(name))[0] in ends

    ends, path = {layer_of(end_of(name))[0] for one in layouts for name in one.named}, Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{where}: expected a file, got {path}")
    try:
        match path.suffix:
            case ".npz":
                return Model(read_npz(where, path, is_needed))
            case ".safetensors":
                return Model(read_safetensors(path, is_needed))
            case ".pt" | ".pth":
                return Model(file_of("torch", "_torch").read_state_dict(path, is_needed))
            case ".keras" | ".h5":
                return Model(*file_of("h5py", "_keras_file").read_model(path, is_needed))
            case ".onnx":
                return Model(*file_of("onnx", "_onnx_file").read_model(path))
    except ValueError as error:
        raise ValueError(f"{where}: {str(error).removeprefix(f'{where}: ')}") from error
    raise ValueError(f"{where}: expected a file ending in {FILES}, got {path}")


def file_of(package: str, name: str) -> Any:
    """Import a file of ``adapters`` that needs a package.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    if importlib.util.find_spec(package) is None:
        line = adapters.install_line(package)
        raise ModuleNotFoundError(f"adapters: {package} is not installed; install it with: {line}", name=package)
    return importlib.import_module(f"adapters.{name}")


def read_safetensors(path: Path, is_needed: Any) -> dict[str, Any]:
    """Read arrays of a ``.safetensors`` file by name; raise ValueError if it is damaged."""
    try:
        with safetensors.safe_open(path, framework="np") as file:
            return {name: file.get_tensor(name) if is_needed(name) else EMPTY for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # of many kinds
        words = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"expected a whole .safetensors file, got {path} ({words})") from error


def end_of(name: str) -> str:
    """Return the last part of the name of an array."""
    return name.replace("/", ".").rpartition(".")[2]


def write_arrays(where: str, path: str | Path, arrays: dict[str, Any]) -> None:
    """Write arrays by name, as ``.npz``, ``.safetensors`` or a ``.pt`` of tensors.

    Raises:
        ValueError: the path has another ending.
        ModuleNotFoundError: PyTorch, which writes a ``.pt``, is not installed.
    """
    match Path(path).suffix:
        case ".npz":
            write_npz(path, arrays)
        case ".safetensors":
            safetensors.numpy.save_file(arrays, path)
        case ".pt" | ".pth":
            file_of("torch", "_torch").write_state_dict(path, arrays)
        case _:
            raise ValueError(f"{where}: expected a file ending in .npz, .safetensors or .pt to write to, got {path}")


def read_params(path: str | Path, layer: str | None = None) -> tuple[dict[str, Params], tuple[str, ...]]:
    """Read the parameters of one recurrent layer, in any layout.

    Args:
        path: the file, as of ``read_model``.
        layer: path of the layer in a larger model; None if there is one layer.

    Returns:
        The parameters by cell, in the file's dtype; half precisions become float32. There are several cells if names
        and shapes suit several and the file records none: a GRU without a bias. Then the nonlinearities that the layer
        may have: one if the file records it.

    Raises:
        FileNotFoundError, ModuleNotFoundError: as of ``read_model``.
        ValueError: the file is damaged or of an unknown format, an array is missing or has the wrong shape, a number
            is not finite, there is more than one layer or direction.
        TypeError: the dtype of an array is not floating.
    """
    where, model = f"--params {path}", read_model("--params", path, READABLE)
    found, errors, nonlinearities = dict[str, Params](), list[Exception](), tuple(NONLINEARITIES)
    for one, each in only_layer(where, model, layer):
        if recorded := model.recorded_of(each):
            nonlinearities = (recorded.nonlinearity,)
            if recorded.nonlinearity not in one.nonlinearities:
                only = " or ".join(one.nonlinearities)
                raise ValueError(f"{where}: expected {each} with {only}, got {recorded.nonlinearity!r}")
        try:
            params = one.params({name: widened(array) for name, array in under(model.arrays, each).items()})
            found.setdefault(one.cell, params)
        except (ValueError, TypeError) as error:
            errors.append(error)
    if not found:
        raise type(errors[0])(f"{where}: {str(errors[0]).removeprefix('port: ')}") from errors[0]
    for params in found.values():
        expect_finite(where, params.fields())
    return found, nonlinearities


def only_layer(where: str, model: Model, layer: str | None) -> list[tuple[Layout, str]]:
    """Return every layout that the only layer of a model may have, and the path of the layer in this layout.

    Raises:
        ValueError: there is no such layer, or there are several.
    """
    every = [(one, path) for one in READABLE for path in model.paths(one)]
    # If Wh fits no cell, the first of these layouts has a message with the shape.
    every = every or [(one, path) for one in READABLE for path in model.paths(one, fitting=False)]
    held = [(one, path) for one, path in every if within([path], layer)]
    # A cell and the layer above it have different paths and the same arrays.
    if len({f"{path}.{one.weights[0].replace('/', '.')}".lstrip(".") for one, path in held}) != 1:
        there, at = sorted({path for _, path in every}), f" at {layer!r}" if layer else ""
        got = f"the layers {shortened(there)}; name one by --layer" if there else f"arrays {shortened([*model.arrays])}"
        raise ValueError(f"{where}: expected one recurrent layer{at}, got {got}")
    return held


def widened(array: Any) -> Any:
    """Return an array, in float32 if it has a half precision."""
    return array.astype("float32") if str(array.dtype) in ("bfloat16", "float16") else array

"""Move weights from one framework to another, by the layouts in the frameworks' files; none need be installed."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

import adapters
from adapters._layout import Layout
from reference import Params
from reference.cells import NONLINEARITIES


def port(
    params: Mapping[str, Any] | Params, from_: str, to: str, *, nonlinearity: str | None = None
) -> dict[str, NDArray[Any]]:
    """Return parameters of one recurrent layer as another framework names, shapes and holds them.

    Nothing is computed but the sum of two biases, where the source adds two: rounded to their dtype unless one of the
    two is zero. All else moves bit by bit, and so it does on the way back. Neither framework is imported.

    Args:
        params: named arrays of the source, which may be nested, have a prefix, and have those of other layers among
            them; or Wx (D, H), Wh (H, H) and b (H,) or None as ``Params``. Of one dtype: "float64", "float32",
            "bfloat16" or "float16".
        from_: the source: an adapter with a layout ("torch.RNN", "flax.linen.SimpleCell"), or a framework, which
            stands for the first of its layouts: that of its layer where it has one.
        to: the target, likewise.
        nonlinearity: of the model, "tanh" or "relu"; by default the first that the source has. Arrays do not tell.

    Returns:
        Arrays by name, in the order of the target's parameters, of the dtype that came. Two biases come as b and zero;
        a cell that always has a bias, of a model without one, has zeros.

    Raises:
        ValueError: an unknown name, an array that is missing, of a wrong shape, or too many for one layer; or a
            nonlinearity that the target has not.
        TypeError: arrays of several dtypes, or of one that is not floating.

    Source: each file of a framework names the documentation of its parameters.
    """
    source, target = layout(from_), layout(to)
    expect_nonlinearity(source, target, nonlinearity)
    return target.named(params if isinstance(params, Params) else source.params(params))


def expect_nonlinearity(source: Layout, target: Layout, nonlinearity: str | None = None) -> str:
    """Return the nonlinearity of a model, that of the source if None is given.

    Raises:
        ValueError: the source or the target has not got it.
    """
    wanted, known = nonlinearity or source.nonlinearities[0], list(NONLINEARITIES)
    if wanted not in known:
        raise ValueError(f"port: expected a nonlinearity among {known}, got {wanted!r}")
    for what, held in (("source", source), ("target", target)):
        if wanted not in held.nonlinearities:
            raise ValueError(
                f"port: expected a {what} with {wanted}, got {held.name}, which has {held.nonlinearities[0]} alone"
            )
    return wanted


def layout(name: str) -> Layout:
    """Return the layout of an adapter, or of a framework the first one.

    Raises:
        ValueError: there is none of this name.
    """
    framework, _, variant = name.replace("-", "_").partition(".")
    if framework not in adapters.frameworks():
        raise ValueError(f"port: expected a framework among {adapters.frameworks()}, got {name!r}")
    offered = layouts(framework)
    if not offered:
        raise ValueError(f"port: expected a framework with a layout of its parameters, got {name!r}")
    if variant and f"{framework}.{variant}" not in offered:
        raise ValueError(f"port: expected one of {list(offered)}, got {name!r}")
    return offered[f"{framework}.{variant}"] if variant else next(iter(offered.values()))


def layouts(framework: str) -> dict[str, Layout]:
    """Return the layouts of a framework by name of adapter, in the order of its file, which is not imported."""
    file = importlib.util.find_spec(f"adapters.{framework}")
    constants = literals(Path(file.origin)) if file and file.origin else {}
    nonlinearities = constants.get("NONLINEARITIES", Layout.nonlinearities)
    names = {f"{framework}.{variant}": places for variant, places in constants.get("LAYOUTS", {}).items()}
    return {name: Layout(name, places, nonlinearities) for name, places in names.items()}


@cache
def literals(file: Path) -> dict[str, Any]:
    """Return LAYOUTS and NONLINEARITIES of a file here, or of what it shares with others, as they are written."""
    found: dict[str, Any] = {}
    for statement in ast.parse(file.read_bytes()).body:
        match statement:
            case ast.ImportFrom(module=str(module)) if module.startswith("adapters._"):
                shared = file.with_name(f"{module.removeprefix('adapters.')}.py")
                found |= literals(shared) if shared.exists() else {}
            case ast.Assign(targets=[ast.Name(id="LAYOUTS" | "NONLINEARITIES" as name)]):
                found[name] = ast.literal_eval(statement.value)
    return found

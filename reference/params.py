"""Params and Direction: the parameters of a layer, and the tangents of a case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from reference.archive import Archive, expect_arrays, expect_shapes, freeze, read_npz

if TYPE_CHECKING:
    from pathlib import Path

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Params(Archive):
    """The parameters of a layer of G gates, or of a stack of K layers.

    Raises:
        ValueError: the shape of an array does not fit.
        TypeError: the dtype of an array is not in ``archive.DTYPES``, or is not that of Wx.
    """

    Wx: Floats  # (D, G H) or (K, D, G H)
    Wh: Floats  # (H, G H) or (K, H, G H)
    b: Floats | None = None  # (G H,) or (K, G H); None without a bias
    bn: Floats | None = None  # (H,) or (K, H): the second bias, if the cell has one

    def __post_init__(self) -> None:
        expect_arrays("Params", self, ("Wx", "Wh"))
        freeze(self, "Params", np.asarray(self.Wx).dtype)
        if self.Wx.ndim not in (2, 3):
            raise ValueError(f"Params: expected Wx of shape (D, H) or (K, D, H), got {self.Wx.shape}")
        *stack, D, columns = self.Wx.shape
        H = self.Wh.shape[-2] if self.Wh.ndim >= 2 and columns % max(self.Wh.shape[-2], 1) == 0 else columns
        shapes = {"Wh": (*stack, H, columns), "b": (*stack, columns), "bn": (*stack, H)}
        expect_shapes("Params", self.fields(), shapes, f"D={D}, H={H}")

    @property
    def sizes(self) -> dict[str, int]:
        """D and H by name."""
        return {"D": self.Wx.shape[-2], "H": self.Wh.shape[-2]}

    def absent(self, biases: Sequence[str]) -> list[str]:
        """Return "no bias" if none of the biases of a cell is there, else "no bn" for each that is not."""
        absent = [f"no {name}" for name in biases if getattr(self, name) is None]
        return ["no bias"] if len(absent) == len(biases) else absent

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read Wx, Wh and, if present, b and bn from an ``.npz``; other arrays are ignored.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is not a whole ``.npz``, Wx or Wh is missing, or a shape does not fit.
            TypeError: the dtype of an array is not in ``archive.DTYPES``.
        """
        arrays = read_npz("Params.load", path)
        missing = [name for name in ("Wx", "Wh") if name not in arrays]
        if missing:
            raise ValueError(f"Params.load: expected arrays Wx, Wh and b in {path}, got {sorted(arrays)}")
        return cls(**{name: arrays[name] for name in cls.__dataclass_fields__ if name in arrays})


@dataclass(frozen=True, eq=False)
class Direction(Archive):
    """The tangents of the inputs, the initial states and the parameters of a case.

    Each tangent has the shape of its primal.

    Raises:
        TypeError: the dtype of an array is not in ``archive.DTYPES``, or is not that of xs_dot.
    """

    xs_dot: Floats
    h0_dot: Floats
    Wx_dot: Floats
    Wh_dot: Floats
    b_dot: Floats | None = None  # None without a bias
    bn_dot: Floats | None = None
    c0_dot: Floats | None = None

    def __post_init__(self) -> None:
        freeze(self, "Direction", np.asarray(self.xs_dot).dtype)

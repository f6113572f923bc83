"""Case: the input of an implementation, frozen and validated."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from reference.archive import Archive, expect_arrays, expect_finite, expect_shapes, freeze, read_npz, spell
from reference.cells import CELLS, Cell
from reference.kinds import NONE, expect_kinds
from reference.params import Direction, Floats, Params
from reference.precision import FORMATS
from reference.values import INFINITE, assort, draw_arrays, expect_drawable, thin_out

if TYPE_CHECKING:
    from pathlib import Path


# Kinds of the arguments of ``Case.random``.
DRAWN: dict[str, Any] = dict.fromkeys(("T", "N", "D", "H", "seed"), Integral) | {
    "norm": Real,
    "stack": (Integral, NONE),
}
DRAWN |= dict.fromkeys(("dtype", "cell", "nonlinearity", "upstream"), str) | {"values": (str, Sequence)}
DRAWN |= {"bias": bool, "params": (Params, NONE), "direction": bool}


@dataclass(frozen=True, eq=False, repr=False)
class Case(Archive):
    """One input to an implementation, or a stack of K inputs of one shape.

    All arrays have one dtype, are taken as exact, and are stored read-only.

    Raises:
        ValueError: a shape does not fit, the cell or nonlinearity is unknown, or a number is not finite.
        TypeError: the dtype of an array is not in ``archive.DTYPES``, or is not that of xs.
    """

    xs: Floats  # (T, N, D) or (K, T, N, D)
    h0: Floats  # (N, H) or (K, N, H)
    params: Params
    upstream: Floats  # dLoss/dh, (T, N, H) or (K, T, N, H)
    nonlinearity: str = "tanh"
    probe: tuple[int, ...] | None = None  # the columns of xs that are the probe, one for each column of A
    finite: bool = True  # False admits NaN and infinity
    direction: Direction | None = None  # if given, the derivatives along it are evaluated too
    cell: str = "rnn"  # a key of ``cells.CELLS``
    c0: Floats | None = None  # (N, H) or (K, N, H): the second state of a cell that has one
    upstream_c: Floats | None = None  # dLoss/dc after the last step, likewise

    def __post_init__(self) -> None:
        expect_kinds("Case", {"params": Params}, vars(self))
        expect_arrays("Case", self, ("xs", "h0", "upstream"))
        if self.cell not in CELLS:
            raise ValueError(f"Case: expected cell in {sorted(CELLS)}, got {self.cell!r}")
        if self.nonlinearity not in (offered := self.cell_type.nonlinearities):
            raise ValueError(f"Case: expected nonlinearity in {sorted(offered)}, got {self.nonlinearity!r}")
        freeze(self, "Case", self.params.Wx.dtype)
        if self.xs.ndim != self.params.Wx.ndim + 1:
            raise ValueError(f"Case: expected xs of shape (T, N, D), got {self.xs.shape}; Wx {self.params.Wx.shape}")
        given, sizes = self.arrays(), spell(self.sizes)
        tangents = {} if self.direction is None else self.direction.fields()
        expect_shapes("Case", given | tangents, self.shapes(), sizes)
        absent = [name for name in self.unseen() if name not in given]
        if absent:
            raise ValueError(f"Case: expected {absent[0]} for the cell {self.cell}, got None ({sizes})")
        if self.is_probed:
            self._expect_probe()
        if self.finite:
            expect_finite("Case", self.fields())

    def _expect_probe(self) -> None:
        """Raise ValueError unless the probe's columns of xs are zero and its rows of Wx an identity."""
        places, G, D = list(self.probe or ()), self.params.Wx.shape[-1], self.sizes["D"]
        fit = len({*places}) == len(places) == G and all(type(one) is int and 0 <= one < D for one in places)
        if not fit or self.xs[..., places].any() or (self.params.Wx[..., places, :] != np.eye(G)).any():
            raise ValueError(f"Case: expected a probe, as probed() adds it, got other numbers ({spell(self.sizes)})")

    def __repr__(self) -> str:
        """Return sizes and kind. The numbers would fill a screen, and ``save`` writes every bit of them."""
        stack = "" if self.K is None else f"K={self.K}, "
        cell = "" if self.cell == "rnn" else f"{self.cell}, "
        kind = f"{cell}{self.dtype}, {self.nonlinearity}{', probed' * self.is_probed}"
        return f"Case({stack}{spell(self.sizes)}, {kind}{'' if self.direction is None else ', with a direction'})"

    @property
    def cell_type(self) -> type[Cell]:
        """The cell's class."""
        return CELLS[self.cell]

    def unseen(self) -> list[str]:
        """Return the names of the fields that belong to states of the cell other than h."""
        return [name for state in self.cell_type.states[1:] for name in (f"{state}0", f"upstream_{state}")]

    def arrays(self) -> dict[str, Floats]:
        """Return every array of the case by name: xs, initial states, parameters, upstream gradients."""
        names = ("xs", "h0", "upstream", *self.unseen())
        found = {name: getattr(self, name) for name in names} | self.params.fields()
        return {name: array for name, array in found.items() if array is not None}

    @property
    def sizes(self) -> dict[str, int]:
        """T, N, D and H by name; D counts the probe's columns."""
        T, N, D = *self.xs.shape[-3:-1], self.params.Wx.shape[-2]
        return {"T": T, "N": N, "D": D, "H": self.params.Wx.shape[-1] // len(self.cell_type.gates)}

    @property
    def spelled(self) -> str:
        """Sizes in the form that messages use: "T=5, N=4, D=3, H=6", with "relu" and "no bias" if they apply."""
        kind = [self.cell] * (self.cell != "rnn") + [self.nonlinearity] * (self.nonlinearity != "tanh")
        return ", ".join([spell(self.sizes), *kind, *self.params.absent(self.cell_type.parameters()[2:])])

    def axes(self) -> dict[str, str]:
        """Return the axes, in letters, of every field of the case and of its evaluation.

        G is the axis of the columns of all gates. For a cell with a single gate it is H.
        """
        cell, G = self.cell_type, "G" if len(self.cell_type.gates) > 1 else "H"
        found = {"xs": "TND", "upstream": "TNH", "Wx": f"D{G}", "Wh": f"H{G}", "b": G}
        found |= dict.fromkeys(cell.parameters()[3:], "H") | {f"{state}0": "NH" for state in cell.states}
        found |= {f"upstream_{state}": "NH" for state in cell.states[1:]}
        answer = {"hs": "TNH"} | dict.fromkeys(cell.states[1:], "NH") | {"dxs": "TND"}
        answer |= {f"d{state}0": "NH" for state in cell.states}
        answer |= {f"d{name}": found[name] for name in cell.parameters()}
        if self.direction is not None:
            answer |= {f"{name}_dot": axes for name, axes in answer.items()}
        return found | answer | {f"{state}s": "TNH" for state in cell.states}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every field of the case and of its evaluation, with a leading axis for a stack."""
        sizes = self.sizes | {"G": self.params.Wx.shape[-1]}
        stack = () if self.K is None else (self.K,)
        return {name: (*stack, *(sizes[axis] for axis in axes)) for name, axes in self.axes().items()}

    @property
    def K(self) -> int | None:
        """Number of cases in a stack; None for a single case."""
        return self.xs.shape[0] if self.xs.ndim == 4 else None

    @property
    def dtype(self) -> str:
        """Name of the dtype of every array."""
        return str(self.xs.dtype)

    @property
    def is_probed(self) -> bool:
        """Whether the case carries the probe."""
        return self.probe is not None

    @property
    def inputs(self) -> NDArray[np.intp]:
        """Indices of the columns of xs that are inputs and do not belong to the probe; shape (D,)."""
        every = np.arange(self.sizes["D"])
        return every if self.probe is None else np.delete(every, list(self.probe))

    def __getitem__(self, k: int) -> Self:
        """Return case ``k`` of a stack.

        Raises:
            TypeError: this is a single case.
        """
        if self.K is None:
            raise TypeError("Case: expected a stack to take a case from, got a single case")
        return self.part(k)

    def probed(self, seed: int | None = None) -> Self:
        """Return the case with the probe: G H zero inputs among the columns of x, and an identity block in Wx.

        The products with the probe are exactly zero, so the forward is unchanged. The probe's columns of dx are A[t],
        the gradient at the pre-activations of all gates. Frameworks do not return A[t] otherwise.

        Args:
            seed: seed for the positions of the columns among the inputs; None puts them last.

        Raises:
            ValueError: the case already has a probe.
        """
        expect_kinds("Case.probed", {"seed": (Integral, NONE)}, {"seed": seed})
        if self.is_probed:
            raise ValueError(f"Case.probed: expected a case without a probe, got one with it ({spell(self.sizes)})")
        D, G = self.sizes["D"], self.params.Wx.shape[-1]
        order = np.arange(D + G) if seed is None else np.random.default_rng(seed).permutation(D + G)
        places = np.sort(order[D:])
        wide = self._with_inputs(lambda array, axis: np.insert(array, places - np.arange(G), 0, axis))
        Wx = np.array(wide.params.Wx)
        Wx[..., places, :] = np.eye(G)
        return wide.replacing(Wx=Wx, probe=tuple(places.tolist()))

    def unprobed(self) -> Self:
        """Return the case without its probe, or the case itself if it has none."""
        if self.probe is None:
            return self
        probe = list(self.probe)
        return self._with_inputs(lambda array, axis: np.delete(array, probe, axis))

    def _with_inputs(self, change: Callable[[Any, int], Any]) -> Self:
        """Return the case without the probe, with one change applied to the input axis of each array that has it."""
        places = {"xs": -1, "Wx": -2, "xs_dot": -1, "Wx_dot": -2}
        changed = {name: change(array, places[name]) for name, array in self.fields().items() if name in places}
        return self.replacing(probe=None, **changed)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a case that ``save`` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is not a whole ``.npz`` with the fields of a case, or the fields do not fit together.
        """
        found: dict[str, Any] = read_npz("Case.load", path)
        try:
            params = Params(**{name: found.pop(name) for name in Params.__dataclass_fields__ if name in found})
            tangents = {name: found.pop(name) for name in Direction.__dataclass_fields__ if name in found}
            direction = Direction(**tangents) if tangents else None
            plain: dict[str, Any] = {n: found[n].item() for n in ("nonlinearity", "finite", "cell") if n in found}
            if "probe" in found:
                plain["probe"] = tuple(found["probe"].tolist())
            return cls(**(found | plain), params=params, direction=direction)
        except Exception as error:
            raise ValueError(f"Case.load: expected the fields of a case in {path}, got {error}") from error

    @classmethod
    def random(
        cls,
        T: int = 5,
        N: int = 4,
        D: int = 3,
        H: int = 6,
        *,
        seed: int = 0,
        dtype: str = "float64",
        cell: str = "rnn",
        nonlinearity: str = "tanh",
        bias: bool = True,
        stack: int | None = None,
        norm: float = 1.0,
        upstream: str = "every",
        values: str | Sequence[str] = "plain",
        params: Params | None = None,
        direction: bool = False,
    ) -> Self:
        """Draw a case. Plain values are distinct, non-zero and far from saturation.

        Args:
            T: number of steps; not negative, like all sizes.
            N: size of the batch.
            D: number of inputs.
            H: number of hidden units.
            seed: seed of the generator; the same arguments give the same bits.
            dtype: "float64", "float32", "bfloat16" or "float16".
            cell: a key of ``cells.CELLS``.
            nonlinearity: a nonlinearity of the cell: "tanh" or "relu".
            bias: False for a cell without bias.
            stack: K, to draw a stack of K cases; None for a single case.
            norm: largest singular value of each gate's block of every Wh; above 2 the states are chaotic.
            upstream: steps with an upstream gradient: "every" step, the "last" only, or "one" element of one step.
            values: a kind of ``reference.values``, such as "plain", small "integers", "wide", "nan" or "saturated"; if
                several kinds are given, the cases of a stack take them in turn.
            params: parameters of a single layer to use; D, H, bias and norm are then taken from them.
            direction: whether to draw a direction in which to differentiate.

        Raises:
            ValueError: an argument out of its range.
            TypeError: an argument of another kind.
        """
        expect_kinds("Case.random", DRAWN, locals())
        kinds = (values,) if isinstance(values, str) else tuple(values)
        sizes = {"T": T, "N": N, "D": D, "H": H, "stack": stack, "norm": norm}
        expect_drawable(sizes, params is None or params.Wx.ndim == 2, cell, upstream, dtype, kinds)
        given: dict[str, Any] = {}
        if params is not None:
            given = {name: array.astype(np.float64) for name, array in params.present().items()}
            (D, H), bias = params.sizes.values(), "b" in given
        random, K = np.random.default_rng(seed), 1 if stack is None else stack
        shape = (K, T, N, D, H)
        arrays = draw_arrays(random, CELLS[cell], shape, bias, norm)
        thin_out(arrays["upstream"], upstream)
        assort(random, arrays, kinds, FORMATS[dtype])
        arrays |= {name: np.broadcast_to(array, (K, *array.shape)) for name, array in given.items()}
        if params is not None and params.bn is None:
            arrays.pop("bn", None)
        tangents = draw_arrays(random, CELLS[cell], shape, bias, norm) if direction else {}
        tangents = {f"{name}_dot": array for name, array in tangents.items() if not name.startswith("upstream")}
        drawn = cls(
            params=Params(**{name: arrays.pop(name, None) for name in Params.__dataclass_fields__}),
            nonlinearity=nonlinearity,
            finite=not set(kinds) & set(INFINITE),
            direction=Direction(**tangents) if direction else None,
            cell=cell,
            **arrays,
        ).astype(dtype)
        return drawn if stack is not None else drawn[0]


def without(case: Any, names: Collection[str]) -> Any:
    """Return a case, of one layer or of several, without some parameters, and with zeros for states and gradients.

    Args:
        case: any.
        names: of parameters, such as "bn", and of other arrays, such as "h0" and "upstream_c".
    """
    found: dict[str, Any] = {}
    for name, array in case.arrays().items():
        if (kind := name.partition("_l")[0]) in names:
            found[name] = None if kind in case.cell_type.parameters() else np.zeros_like(array)
    return case.replacing(**found) if found else case

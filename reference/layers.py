"""Several layers in one or two directions, of rows of different lengths, as compositions of ``Layer``.

    inputs of the first layer                  x
    inputs of every other layer                the outputs of all directions before it, side by side, times its mask
    outputs of the reverse direction           those of a run from the last step to the first, in the order of time

A row of length n is a run of n steps, because rows do not interact. Its last states are those after step n, in the
reverse direction those after step 1. Its outputs after n are zero, or copies of the last one of the forward direction,
whose gradients are added to the gradient of that one. Its gradients after n are zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from reference.archive import Archive, expect_arrays, expect_finite, expect_shapes, freeze, read_npz, spell
from reference.case import Case
from reference.cells import CELLS, Array, Cell
from reference.kinds import NONE, expect_kinds
from reference.layer import Layer
from reference.params import Floats, Params

if TYPE_CHECKING:
    from pathlib import Path

PADDINGS = ("zero", "last")
# Kinds of the arguments of ``LayersCase.random``.
DRAWN: dict[str, Any] = dict.fromkeys(("T", "N", "D", "H", "layers", "directions", "seed"), Integral)
DRAWN |= {"lengths": (bool, Sequence, NONE), "dropout": Real}


@dataclass(frozen=True, eq=False, repr=False)
class LayersCase(Archive):
    """One run of several layers. All arrays have one dtype, are taken as exact, and are stored read-only.

    Parameters and states are those of the first layer, then those of the second, and so on; in two directions, each
    forward and then reverse. This is the order of PyTorch. The outputs have O = directions * H columns.

    Raises:
        ValueError: a shape or a length does not fit, a name is unknown, or a number is not finite.
        TypeError: the dtype of an array is not in ``archive.DTYPES``, or is not that of xs.
    """

    xs: Floats  # (T, N, D); T is positive
    h0: Floats  # (L, N, H), L = layers * directions
    params: tuple[Params, ...]  # L of them; Wx (D, G H) in the first layer, (O, G H) in the others
    upstream: Floats  # dLoss/dh of the outputs, (T, N, O)
    upstream_hn: Floats  # dLoss/dh of the last states, (L, N, H)
    c0: Floats | None = None  # (L, N, H): the second state of a cell that has one
    upstream_cn: Floats | None = None  # likewise
    masks: Floats | None = None  # (layers - 1, T, N, O): factors of the inputs of all layers but the first (dropout)
    directions: int = 1  # 2 for forward and reverse
    lengths: tuple[int, ...] | None = None  # number of steps of each row; None if all have T
    padding: str = "zero"  # outputs after the length of a row; "last" for those of its last step, forward alone
    probe: tuple[int, ...] | None = None  # the columns of xs that are the probe: a block for each direction
    nonlinearity: str = "tanh"
    cell: str = "rnn"  # a key of ``cells.CELLS``

    def __post_init__(self) -> None:
        expect_kinds("LayersCase", {"params": tuple}, vars(self))
        expect_arrays("LayersCase", self, ("xs", "h0", "upstream", "upstream_hn"))
        if self.cell not in CELLS or self.nonlinearity not in self.cell_type.nonlinearities:
            expected = f"a cell in {sorted(CELLS)} with a nonlinearity of its own"
            raise ValueError(f"LayersCase: expected {expected}, got {self.cell!r} with {self.nonlinearity!r}")
        count = len(self.params)
        if self.directions not in (1, 2) or not count or count % self.directions:
            expected = "1 or 2 directions and parameters of every layer in each"
            raise ValueError(f"LayersCase: expected {expected}, got {self.directions} and {count} of parameters")
        freeze(self, "LayersCase", self.params[0].Wx.dtype)
        if self.xs.ndim != 3 or not self.xs.shape[0]:
            raise ValueError(f"LayersCase: expected xs of shape (T, N, D) with T > 0, got {self.xs.shape}")
        if self.padding not in PADDINGS:
            raise ValueError(f"LayersCase: expected padding in {PADDINGS}, got {self.padding!r} ({self.spelled})")
        given, T, N = self.arrays(), *self.xs.shape[:2]
        expect_shapes("LayersCase", given, self.shapes(), self.spelled)
        if absent := [
            name for state in self.cell_type.states for name in (f"{state}0", f"upstream_{state}n") if name not in given
        ]:
            raise ValueError(f"LayersCase: expected {absent[0]} for the cell {self.cell}, got None ({self.spelled})")
        if self.lengths is not None and not (
            len(self.lengths) == N and all(0 < length <= T for length in self.lengths)
        ):
            raise ValueError(f"LayersCase: expected {N} lengths from 1 to {T}, got {self.lengths} ({self.spelled})")
        expect_finite("LayersCase", given)

    def __repr__(self) -> str:
        return f"LayersCase({self.spelled}, {self.dtype})"

    # What a verdict asks of a case.
    K, finite, direction = None, True, None

    @property
    def cell_type(self) -> type[Cell]:
        """The cell's class."""
        return CELLS[self.cell]

    @property
    def dtype(self) -> str:
        """Name of the dtype of every array."""
        return str(self.xs.dtype)

    @property
    def layers(self) -> int:
        """Number of layers."""
        return len(self.params) // self.directions

    @property
    def suffixes(self) -> list[str]:
        """Names of the parameters of every layer and direction end with these: "_l0", "_l0_reverse", "_l1", ..."""
        return endings(len(self.params), self.directions)

    @property
    def sizes(self) -> dict[str, int]:
        """T, N, D and H by name."""
        return dict(zip("TND", self.xs.shape, strict=True)) | {"H": self.h0.shape[-1]}

    @property
    def spelled(self) -> str:
        """Sizes in the form that messages use: "T=5, N=4, D=3, H=6, lstm, 2 layers, 2 directions"."""
        kind = [self.cell] * (self.cell != "rnn") + [self.nonlinearity] * (self.nonlinearity != "tanh")
        many = {"layer": self.layers, "direction": self.directions}
        words = [f"{count} {what}{'s' * (count > 1)}" for what, count in many.items()]
        words += [f"lengths {self.lengths}"] * (self.lengths is not None)
        words += ["last output in the padding"] * (self.padding == "last") + ["masks"] * (self.masks is not None)
        return ", ".join([spell(self.sizes), *kind, *words, *self.params[0].absent(self.cell_type.parameters()[2:])])

    def fields(self) -> dict[str, Any]:
        """Return the fields by name; those of the parameters with the ending of their layer: "Wx_l0", ..."""
        found = super().fields()
        del found["params"]
        each = zip(self.suffixes, self.params, strict=True)
        return found | {f"{name}{suffix}": array for suffix, params in each for name, array in params.fields().items()}

    def arrays(self) -> dict[str, Floats]:
        """Return every array of the case by name."""
        return self.ndarrays()

    def replacing(self, **values: Any) -> Self:
        """Return the case with other values by name, of parameters too."""
        each = zip(self.suffixes, self.params, strict=True)
        params = tuple(p.replacing(**{n: values[n + end] for n in p.fields() if n + end in values}) for end, p in each)
        return type(self)(
            **({"params": params} | {n: values.get(n, v) for n, v in vars(self).items() if n != "params"})
        )

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every array of the case and of its evaluation."""
        (T, N, D, H), cell, L = self.sizes.values(), self.cell_type, len(self.params)
        out, G = self.directions * H, len(cell.gates) * H
        found: dict[str, tuple[int, ...]] = {"masks": (self.layers - 1, T, N, out)}
        found |= dict.fromkeys(("xs", "dxs"), (T, N, D)) | dict.fromkeys(("upstream", "hs"), (T, N, out))
        states = [
            f"{before}{s}{after}"
            for s in cell.states
            for before, after in (("", "0"), ("d", "0"), ("", "n"), ("upstream_", "n"))
        ]
        found |= dict.fromkeys(states, (L, N, H))
        for k, suffix in enumerate(self.suffixes):
            of_layer = (D if k < self.directions else out, G), (H, G), (G,), (H,)
            given = zip(cell.parameters(), of_layer, strict=False)
            found |= {f"{d}{name}{suffix}": shape for name, shape in given for d in ("", "d")}
        return found

    def runs(self) -> Iterator[tuple[list[int], LayersCase, Floats]]:
        """Yield the rows of each length, the case of these rows with as many steps, and the upstream of their padding.

        Outputs of the padding that are zero have no such gradient.
        """
        lengths = self.lengths or (self.sizes["T"],) * self.sizes["N"]
        for length in sorted({*lengths}):
            rows = [n for n, other in enumerate(lengths) if other == length]
            part = {name: array for name, array in vars(self).items() if isinstance(array, np.ndarray)}
            of_steps = ("xs", "upstream", "masks")
            part = {n: a[..., :length, rows, :] if n in of_steps else a[:, rows] for n, a in part.items()}
            beyond = self.upstream[length if self.padding == "last" else self.sizes["T"] :, rows]
            yield rows, type(self)(**(vars(self) | part | {"lengths": None})), beyond

    def probed(self, seed: int | None = None) -> Self:
        """Return the case of a single layer with a probe for each direction, as of ``Case.probed``.

        The identity block of a direction stands in its own Wx alone, so that its columns of dx are its own A.

        Args:
            seed: seed for the positions of the columns among the inputs; None puts them last.

        Raises:
            ValueError: there are several layers, or the case has a probe.
        """
        if self.layers > 1 or self.probe is not None:
            expected = "a case of one layer without a probe"
            raise ValueError(f"LayersCase.probed: expected {expected}, got another ({self.spelled})")
        D, G = self.params[0].Wx.shape
        columns = np.arange(D + G * self.directions)
        order = columns if seed is None else np.random.default_rng(seed).permutation(len(columns))
        inputs, places = np.sort(order[:D]), np.sort(order[D:])
        xs = np.zeros((*self.xs.shape[:2], len(columns)), self.xs.dtype)
        xs[..., inputs] = self.xs
        given = {"xs": xs, "probe": tuple(places.tolist())}
        for k, suffix in enumerate(self.suffixes):
            Wx = np.zeros((len(columns), G), self.xs.dtype)
            Wx[inputs], Wx[places[k * G : (k + 1) * G]] = self.params[k].Wx, np.eye(G)
            given[f"Wx{suffix}"] = Wx
        return self.replacing(**given)

    @property
    def inputs(self) -> NDArray[np.intp]:
        """Indices of the columns of xs that are inputs and do not belong to the probe; shape (D,)."""
        return np.delete(np.arange(self.sizes["D"]), list(self.probe or ()))

    def one_way(self, k: int) -> Case:
        """Return one direction of a single layer as a case without the gradient of its last state, without the probe.

        Its steps are in the order in which it runs. All rows have T steps.
        """
        H, order = self.sizes["H"], slice(None, None, -1 if k else 1)
        params = self.params[k].replacing(Wx=self.params[k].Wx[self.inputs])
        given = {f"{state}0": getattr(self, f"{state}0")[k] for state in self.cell_type.states}
        given |= {f"upstream_{state}": getattr(self, f"upstream_{state}n")[k] for state in self.cell_type.states[1:]}
        upstream = self.upstream[order, :, k * H : (k + 1) * H]
        like: dict[str, Any] = {"nonlinearity": self.nonlinearity, "cell": self.cell} | given
        return Case(self.xs[order][..., self.inputs], params=params, upstream=upstream, **like)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a case that ``save`` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is not a whole ``.npz`` with the fields of a case of several layers.
        """
        found: dict[str, Any] = read_npz("LayersCase.load", path)
        try:
            ends = endings(sum(name.startswith("Wx_l") for name in found), found["directions"].item())
            names = Params.__dataclass_fields__
            params = [Params(**{n: found.pop(n + end) for n in names if n + end in found}) for end in ends]
            plain: dict[str, Any] = {
                name: found[name].item() for name in ("directions", "padding", "nonlinearity", "cell")
            }
            plain |= {name: tuple(found[name].tolist()) for name in ("lengths", "probe") if name in found}
            return cls(**(found | plain), params=tuple(params))
        except Exception as error:
            raise ValueError(
                f"LayersCase.load: expected the fields of a case of several layers in {path}, got {error}"
            ) from error

    @classmethod
    def random(
        cls,
        T: int = 5,
        N: int = 4,
        D: int = 3,
        H: int = 6,
        *,
        layers: int = 2,
        directions: int = 1,
        lengths: bool | Sequence[int] | None = False,
        padding: str = "zero",
        dropout: float = 0.0,
        seed: int = 0,
        dtype: str = "float64",
        cell: str = "rnn",
        nonlinearity: str = "tanh",
        bias: bool = True,
        norm: float = 1.0,
    ) -> Self:
        """Draw a case of plain values, as ``Case.random`` draws them.

        Args:
            T: number of steps; positive.
            N: size of the batch.
            D: number of inputs.
            H: number of hidden units of every layer.
            layers: number of layers.
            directions: 1, or 2 for forward and reverse.
            lengths: of the rows; True draws them, False for T steps each.
            padding: outputs after the length of a row: "zero" or "last".
            dropout: share of the inputs of all layers but the first that a mask sets to zero.
            seed: seed of the generator; the same arguments give the same bits.
            dtype: "float64", "float32", "bfloat16" or "float16".
            cell: a key of ``cells.CELLS``.
            nonlinearity: a nonlinearity of the cell.
            bias: False for cells without bias.
            norm: largest singular value of each gate's block of every Wh.

        Raises:
            ValueError: an argument out of its range.
            TypeError: an argument of another kind.
        """
        expect_kinds("LayersCase.random", DRAWN, locals())
        if min(layers, T) < 1 or directions not in (1, 2) or not 0 <= dropout < 1:
            got = f"{layers}, {directions}, T={T}, dropout={dropout}"
            raise ValueError(f"LayersCase.random: expected layers, T >= 1, 1 or 2 directions, dropout < 1, got {got}")
        random, L, out = np.random.default_rng([seed, 1]), layers * directions, directions * H
        like: dict[str, Any] = {"cell": cell, "nonlinearity": nonlinearity, "bias": bias, "norm": norm, "dtype": dtype}
        widths = [D] * directions + [out] * (L - directions)
        each = [Case.random(T, N, width, H, seed=seed * L + k, **like) for k, width in enumerate(widths)]
        if isinstance(lengths, bool):
            lengths = random.integers(1, T, N, endpoint=True).tolist() if lengths else None
        given: dict[str, Any] = {"lengths": None if lengths is None else tuple(lengths), "padding": padding}
        given["upstream_hn"] = random.uniform(-1, 1, (L, N, H)).astype(each[0].xs.dtype)
        for state in each[0].cell_type.states:
            given[f"{state}0"] = np.stack([getattr(one, f"{state}0") for one in each])
        for state in each[0].cell_type.states[1:]:
            given[f"upstream_{state}n"] = np.stack([getattr(one, f"upstream_{state}") for one in each])
        if dropout:
            kept = random.random((layers - 1, T, N, out)) >= dropout
            given["masks"] = (kept / (1 - dropout)).astype(each[0].xs.dtype)
        return cls(
            xs=each[0].xs,
            params=tuple(one.params for one in each),
            upstream=np.concatenate([one.upstream for one in each[-directions:]], axis=-1),
            directions=directions,
            nonlinearity=nonlinearity,
            cell=cell,
            **given,
        )


@dataclass(frozen=True, eq=False)
class LayersEvaluation(Archive):
    """The results of an implementation for a ``LayersCase``; what it does not return is None or absent."""

    hs: Any  # (T, N, O)
    hn: Any = None  # (L, N, H): the last states of every layer and direction
    cn: Any = None  # (L, N, H)
    dxs: Any = None  # (T, N, D)
    dh0: Any = None  # (L, N, H)
    dc0: Any = None  # (L, N, H)
    gradients: Mapping[str, Any] = field(default_factory=dict)  # of parameters by name: "dWx_l0", "dbn_l1_reverse"

    def fields(self) -> dict[str, Any]:
        """Return the fields by name, and the gradients of the parameters by theirs."""
        found = super().fields()
        del found["gradients"]
        return found | {**self.gradients}

    def replacing(self, **values: Any) -> Self:
        """Return the evaluation with other values by name."""
        gradients = {name: values.get(name, array) for name, array in self.gradients.items()}
        return type(self)(**({n: values.get(n, v) for n, v in vars(self).items()} | {"gradients": gradients}))


class Layers:
    """Several layers in any arithmetic, all of T steps.

    Args:
        cell: of every layer.
        parameters: arrays by name of every layer and direction, as of ``Layer``.
        directions: 1 or 2.
        masks: factors of the inputs of all layers but the first; shape (layers - 1, T, N, O).
    """

    def __init__(
        self, cell: Cell, parameters: Sequence[dict[str, Array]], directions: int, masks: Array | None = None
    ) -> None:
        self.each, self.directions, self.masks = [Layer(cell, one) for one in parameters], directions, masks

    def levels(self) -> list[range]:
        """Return the numbers k of the directions of each layer."""
        return [range(k, k + self.directions) for k in range(0, len(self.each), self.directions)]

    def turned(self, steps: Array, k: int) -> Array:
        """Return steps in the order in which direction k runs over them."""
        return steps[..., ::-1, :, :] if k % self.directions else steps

    # The way back to the order of time is the same. A fault may replace one of the two.
    restored = turned

    def beside(self, outputs: list[Array]) -> Array:
        """Return the outputs of all directions as those of one layer."""
        return np.concatenate(outputs, axis=-1) if len(outputs) > 1 else outputs[0]

    def added(self, dxs: list[Array]) -> Array:
        """Return the gradient of the inputs from those of all directions."""
        return sum(dxs[1:], dxs[0])

    def masked(self, array: Array, level: int) -> Array:
        """Return the inputs of a layer, or the gradients at them, times its mask."""
        return array * self.masks[level - 1] if level and self.masks is not None else array

    def forward(self, xs: Array, states: Sequence[tuple[Array, ...]]) -> tuple[Array, list[tuple[Array, ...]]]:
        """Return the outputs of the last layer, and the last states of each layer and direction.

        Args:
            xs: inputs; shape (T, N, D).
            states: initial states of each layer and direction; each (N, H).
        """
        last: list[tuple[Array, ...]] = []
        for level, numbers in enumerate(self.levels()):
            xs = self.masked(xs, level)
            ran = [self.each[k].forward(self.turned(xs, k), states[k]) for k in numbers]
            xs = self.beside([self.restored(hs, k) for k, (hs, _) in zip(numbers, ran, strict=True)])
            last += [after for _, after in ran]
        return xs, last

    def backward(
        self, upstream: Array, d_last: Sequence[tuple[Array, ...]]
    ) -> tuple[Array, list[tuple[Array, ...]], list[dict[str, Array]]]:
        """Propagate gradients back through the last ``forward``.

        Args:
            upstream: gradients with respect to the outputs; shape (T, N, O).
            d_last: gradients with respect to the last states of each layer and direction; each (N, H).

        Returns:
            dx, (T, N, D); of each layer and direction, the gradients of the initial states, and those of the parameters
            by name.
        """
        initial: dict[int, tuple[Array, ...]] = {}
        gradients: dict[int, dict[str, Array]] = {}
        for level, numbers in reversed([*enumerate(self.levels())]):
            H, dxs = self.each[0].H, list[Array]()
            for place, k in enumerate(numbers):
                dhs = self.turned(upstream[..., place * H : (place + 1) * H], k)
                dh, *others = d_last[k]
                dhs = np.concatenate([dhs[:-1], dhs[-1:] + dh[None]], axis=-3)
                dx, initial[k], gradients[k] = self.each[k].backward(dhs, others)
                dxs.append(self.restored(dx, k))
            upstream = self.masked(self.added(dxs), level)
        return upstream, [initial[k] for k in sorted(initial)], [gradients[k] for k in sorted(gradients)]


def evaluate_layers(
    case: LayersCase, into: Callable[[Array], Array] = np.float64, Layers: Callable[..., Layers] = Layers
) -> LayersEvaluation:
    """Compute the outputs, the last states and all gradients of several layers.

    Args:
        case: the case; its numbers are taken as exact in every dtype.
        into: function that converts an array to the arithmetic of the run; float64 by default.
        Layers: class of the layers; the catalogue of faults passes a changed one.

    Returns:
        The evaluation in that arithmetic.

    Source: Schuster and Paliwal, Bidirectional recurrent neural networks, IEEE Trans. Signal Processing 45 (1997), for
        two directions; the equations of ``reference.layer`` and of the cell for each.
    """
    expect_kinds("evaluate_layers", {"case": LayersCase}, {"case": case})
    return joined(case, [(rows, run(part, into(beyond), into, Layers)) for rows, part, beyond in case.runs()])


def run(
    case: LayersCase, beyond: Array, into: Callable[[Array], Array], Layers: Callable[..., Layers] = Layers
) -> dict[str, Array]:
    """Return the results for rows of one length by field; ``beyond`` is the upstream of their padding."""
    cell, names = case.cell_type(case.nonlinearity), case.cell_type.parameters()
    lifted = {name: into(array) for name, array in case.arrays().items()}
    parameters = [{name: lifted.get(name + suffix) for name in names} for suffix in case.suffixes]
    layers = Layers(cell, parameters, case.directions, lifted.get("masks"))

    def each(*fields: str) -> list[tuple[Array, ...]]:
        return [tuple(lifted[name][k] for name in fields) for k in range(len(case.params))]

    outputs, last = layers.forward(lifted["xs"], each(*(f"{state}0" for state in cell.states)))
    d_last = each(*(f"upstream_{state}n" for state in cell.states))
    upstream = gathered(lifted["upstream"], beyond, case.sizes["H"])
    dxs, initial, gradients = layers.backward(upstream, d_last)
    found = {"hs": outputs, "dxs": dxs}
    for at, state in enumerate(cell.states):
        found |= {f"{state}n": np.stack([one[at] for one in last], axis=-3)}
        found |= {f"d{state}0": np.stack([one[at] for one in initial], axis=-3)}
    each_layer = zip(case.suffixes, gradients, strict=True)
    return found | {f"d{name}{suffix}": array for suffix, by_name in each_layer for name, array in by_name.items()}


def joined(case: LayersCase, runs: Sequence[tuple[list[int], dict[str, Array]]]) -> LayersEvaluation:
    """Return the results for rows of all lengths as one evaluation; sums over the rows stay pending."""
    order, T = np.argsort([n for rows, _ in runs for n in rows]), case.sizes["T"]
    found: dict[str, Array] = {}
    for name in runs[0][1]:
        parts = [results[name] for _, results in runs]
        if name in ("hs", "dxs"):
            copied = case.sizes["H"] if (name, case.padding) == ("hs", "last") else 0
            parts = [padded(part, T, copied) for part in parts]
        if "_l" in name:
            found[name] = sum(parts[1:], parts[0])
        else:
            found[name] = (np.concatenate(parts, axis=-2) if len(parts) > 1 else parts[0])[..., order, :]
    return LayersEvaluation(**{name: found.pop(name) for name in [*found] if "_l" not in name}, gradients=found)


def endings(count: int, directions: int) -> list[str]:
    """Return the endings of ``count`` layers and directions: "_l0", "_l0_reverse", "_l1", and so on."""
    return [f"_l{k // directions}{'_reverse' * (k % directions)}" for k in range(count)]


def gathered(upstream: Array, beyond: Array, H: int) -> Array:
    """Return the upstream of a run, with that of copies of its last forward output added at the last step."""
    if not beyond.shape[0]:
        return upstream
    forward = np.concatenate([upstream[-1:, ..., :H], beyond[..., :H]], axis=-3).sum(axis=-3)[None]
    last = np.concatenate([forward, upstream[-1:, ..., H:]], axis=-1)
    return np.concatenate([upstream[:-1], last], axis=-3)


def padded(steps: Array, T: int, copied: int = 0) -> Array:
    """Return steps (n, N, F), T in all: after them zeros, in the first columns copies of the last step."""
    more = T - steps.shape[0]
    if not more:
        return steps
    last, (_, N, F) = steps[[-1] * more], steps.shape
    after = np.concatenate([last[..., :copied], np.zeros((more, N, F - copied))], axis=-1)
    return np.concatenate([steps, after], axis=-3)

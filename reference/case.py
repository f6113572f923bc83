"""Case, Params and Evaluation: what is asked of an implementation and what it answers, frozen and validated."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from reference.archive import DTYPES, Archive, expect_finite, expect_shapes, freeze, read_npz, spell
from reference.cells import NONLINEARITIES

Floats = NDArray[np.floating[Any]]

UPSTREAMS = ("every", "last", "one")
VALUES = ("plain", "integers", "wide", "nan")
# Plain values lie between -SPREAD and SPREAD, so that no tanh of few terms is so saturated that float32 cannot tell.
SPREAD = 1.5
# "wide" values span so many binary orders of magnitude, the inputs up to four times the plain ones: tanh saturates.
ORDERS = 30
SATURATING = 2


@dataclass(frozen=True, eq=False)
class Params(Archive):
    """The parameters of a cell, or of a stack of K cells.

    Raises:
        ValueError: a shape that does not fit.
        TypeError: an array of another dtype than float64 or float32, or of another than Wx.
    """

    Wx: Floats  # (D, H) or (K, D, H)
    Wh: Floats  # (H, H) or (K, H, H)
    b: Floats | None = None  # (H,) or (K, H); None: no bias

    def __post_init__(self) -> None:
        freeze(self, "Params", np.asarray(self.Wx).dtype)
        if self.Wx.ndim not in (2, 3):
            raise ValueError(f"Params: expected Wx of shape (D, H) or (K, D, H), got {self.Wx.shape}")
        *stack, D, H = self.Wx.shape
        expect_shapes("Params", self, f"D={D}, H={H}", Wh=(*stack, H, H), b=(*stack, H))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read Wx, Wh and, if it is there, b from an ``.npz``; other arrays in it are left alone.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is not a whole ``.npz``, a tensor is missing, or a shape does not fit.
            TypeError: a tensor's dtype is not float64 or float32.
        """
        arrays = read_npz("Params.load", path)
        missing = [name for name in ("Wx", "Wh") if name not in arrays]
        if missing:
            raise ValueError(f"Params.load: expected arrays Wx, Wh and b in {path}, got {sorted(arrays)}")
        return cls(arrays["Wx"], arrays["Wh"], arrays.get("b"))

    def for_cell(self) -> tuple[Floats, Floats, Floats | None]:
        """Return Wx, Wh and b as the cell takes them: the bias of a stack as (K, 1, H)."""
        b = self.b if self.b is None or self.b.ndim == 1 else self.b[:, None, :]
        return self.Wx, self.Wh, b


@dataclass(frozen=True, eq=False)
class Case(Archive):
    """One question to an implementation, or a stack of K questions of one shape.

    All arrays are of one dtype and are taken as exact. They are kept read-only.

    Raises:
        ValueError: a shape that does not fit, an unknown nonlinearity, or a number that is not finite.
        TypeError: an array of another dtype than float64 or float32, or of another than xs.
    """

    xs: Floats  # (T, N, D) or (K, T, N, D)
    h0: Floats  # (N, H) or (K, N, H)
    params: Params
    upstream: Floats  # dLoss/dh, (T, N, H) or (K, T, N, H)
    nonlinearity: str = "tanh"
    is_probed: bool = False
    finite: bool = True  # False admits NaN and infinity, for cases that are about them

    def __post_init__(self) -> None:
        if self.nonlinearity not in NONLINEARITIES:
            raise ValueError(f"Case: expected nonlinearity in {sorted(NONLINEARITIES)}, got {self.nonlinearity!r}")
        freeze(self, "Case", self.params.Wx.dtype)
        if self.xs.ndim != self.params.Wx.ndim + 1:
            raise ValueError(f"Case: expected xs of shape (T, N, D), got {self.xs.shape}; Wx {self.params.Wx.shape}")
        *stack, D, H = self.params.Wx.shape
        *_, T, N, _ = self.xs.shape
        shapes = {"xs": (*stack, T, N, D), "h0": (*stack, N, H), "upstream": (*stack, T, N, H)}
        expect_shapes("Case", self, spell(self.sizes), **shapes)
        if self.is_probed:
            self._expect_probe()
        if self.finite:
            expect_finite("Case", self.fields())

    def _expect_probe(self) -> None:
        """Raise ValueError unless the last H columns of xs are zero and the last H rows of Wx an identity."""
        D, H = self.sizes["D"], self.sizes["H"]
        if D < H or self.xs[..., D - H :].any() or (self.params.Wx[..., D - H :, :] != np.eye(H)).any():
            raise ValueError(f"Case: expected a probe, as probed() adds it, got other numbers ({spell(self.sizes)})")

    @property
    def sizes(self) -> dict[str, int]:
        """T, N, D and H by name; D counts the probe's columns."""
        *_, T, N, D = self.xs.shape
        return {"T": T, "N": N, "D": D, "H": self.params.Wx.shape[-1]}

    @property
    def K(self) -> int | None:
        """Number of cases in a stack; None for a single case."""
        return self.xs.shape[0] if self.xs.ndim == 4 else None

    @property
    def dtype(self) -> str:
        """Name of the dtype of every array."""
        return str(self.xs.dtype)

    def __getitem__(self, k: int) -> Self:
        """Return case ``k`` of a stack.

        Raises:
            TypeError: this is a single case.
        """
        if self.K is None:
            raise TypeError("Case: expected a stack to take a case from, got a single case")
        return self.map(lambda array: array[k])

    def probed(self) -> Self:
        """Return the case with the probe: H zero inputs appended to x and an identity block to Wx.

        The products with the probe are exact and add nothing, so the forward is unchanged; the last H columns
        of dx become A[t] = dh[t] * f'(a[t]) itself, which no framework returns otherwise.

        Raises:
            ValueError: the case carries a probe already.
        """
        if self.is_probed:
            raise ValueError(f"Case.probed: expected a case without a probe, got one with it ({spell(self.sizes)})")
        Wx, H = self.params.Wx, self.h0.shape[-1]
        zeros = np.zeros((*self.xs.shape[:-1], H), self.xs.dtype)
        identity = np.broadcast_to(np.eye(H, dtype=Wx.dtype), (*Wx.shape[:-2], H, H))
        params = dataclasses.replace(self.params, Wx=np.concatenate([Wx, identity], axis=-2))
        xs = np.concatenate([self.xs, zeros], axis=-1)
        return dataclasses.replace(self, xs=xs, params=params, is_probed=True)

    def unprobed(self) -> Self:
        """Return the case without its probe; itself if it carries none."""
        if not self.is_probed:
            return self
        D = self.sizes["D"] - self.sizes["H"]
        params = dataclasses.replace(self.params, Wx=self.params.Wx[..., :D, :])
        return dataclasses.replace(self, xs=self.xs[..., :D], params=params, is_probed=False)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a case that ``save`` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is not a whole ``.npz`` with the fields of a case, or they do not fit together.
        """
        found: dict[str, Any] = read_npz("Case.load", path)
        try:
            params = Params(found.pop("Wx"), found.pop("Wh"), found.pop("b", None))
            plain = {name: found[name].item() for name in ("nonlinearity", "is_probed", "finite")}
            return cls(**(found | plain), params=params)
        except (KeyError, TypeError, ValueError) as error:
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
        nonlinearity: str = "tanh",
        bias: bool = True,
        stack: int | None = None,
        norm: float = 1.0,
        upstream: str = "every",
        values: str = "plain",
        params: Params | None = None,
    ) -> Self:
        """Draw a case whose values are, unless ``values`` says otherwise, distinct, non-zero and far from saturation.

        Args:
            T: steps; not negative, as all sizes.
            N: batch.
            D: inputs.
            H: hidden units.
            seed: of the generator; the same arguments give the same bits.
            dtype: "float64" or "float32".
            nonlinearity: "tanh" or "relu".
            bias: False for a cell without bias.
            stack: K, to draw a stack of K cases; None for a single case.
            norm: largest singular value of every Wh; above 2 the states are chaotic.
            upstream: "every" step, the "last" only, or "one" element of one step.
            values: "plain", evenly spread about 0; small "integers", with Wh a signed permutation whatever the norm,
                so that sums are exact and often 0; "wide", inputs and upstream over nine decimal orders of magnitude;
                or "nan", one row of NaN in the inputs or the upstream of every case.
            params: use these single-cell parameters; D, H, bias and norm are then theirs, not the arguments.

        Raises:
            ValueError: an argument out of its range.
        """
        if (
            min(T, N, D, H, stack or 0) < 0
            or not norm >= 0
            or (params is not None and params.Wx.ndim != 2)
            or upstream not in UPSTREAMS
            or dtype not in DTYPES
            or values not in VALUES
        ):
            sizes = f"T={T}, N={N}, D={D}, H={H}, stack={stack}, norm={norm}"
            got = f"{sizes}, upstream={upstream!r}, dtype={dtype!r}, values={values!r}"
            allowed = f"upstream in {UPSTREAMS}, dtype in {DTYPES}, values in {VALUES}"
            raise ValueError(f"Case.random: expected sizes and norm >= 0, params of one cell, {allowed}, got {got}")
        random = np.random.default_rng(seed)
        draw: Any = partial(random.uniform, -SPREAD, SPREAD)
        leading = () if stack is None else (stack,)
        if params is None:
            params = random_params(draw, (*leading, D, H), bias, norm)
            params = integer_params(params) if values == "integers" else params
        else:
            D, H = params.Wx.shape
            params = params.map(lambda array: np.broadcast_to(array, (*leading, *array.shape)).astype("float64"))
        grads = draw(size=(*leading, T, N, H))
        if upstream != "every":
            grads[..., :-1, :, :] = 0
        if upstream == "one":
            grads[..., 1:, :] = 0
            grads[..., 1:] = 0
        xs, h0 = draw(size=(*leading, T, N, D)), np.tanh(draw(size=(*leading, N, H)))
        xs, h0, grads = revalued(values, random, xs, h0, grads)
        return cls(xs, h0, params, grads, nonlinearity, finite=values != "nan").astype(dtype)


def revalued(values: str, random: np.random.Generator, xs: Any, h0: Any, upstream: Any) -> tuple[Any, Any, Any]:
    """Return plain xs, h0 and upstream made what ``values`` says, as ``Case.random`` describes."""
    if values == "integers":
        return small_integers(xs), small_integers(h0), small_integers(upstream)
    if values == "wide":
        # The square brings more of them near the top.
        xs = xs * 2.0 ** (SATURATING - ORDERS * random.random(xs.shape) ** 2)
        upstream = upstream * 2.0 ** random.uniform(-ORDERS, 0, upstream.shape)
    if values == "nan":
        # Whole rows, since the identity of the probe spreads NaN over the row: 0 * NaN is NaN.
        poisoned = xs if random.random() < 0.5 else upstream
        *stack, T, N, _ = poisoned.shape
        if poisoned.size:
            t, n = random.integers(T, size=stack), random.integers(N, size=stack)
            poisoned[(*np.indices(stack), t, n)] = np.nan
    return xs, h0, upstream


def small_integers(array: Any) -> Any:
    """Return plain values as integers from -2 to 2."""
    return np.rint(1.5 * array).clip(-2, 2)


def integer_params(params: Params) -> Params:
    """Return plain parameters as small integers: Wh as a signed permutation, under which states grow slowly."""
    order = np.argsort(params.Wh.sum(axis=-2), axis=-1)
    permutation = np.eye(order.shape[-1])[order] * np.where(params.Wh < 0, -1, 1)
    return dataclasses.replace(params.map(small_integers), Wh=permutation)


def random_params(draw: Any, shape: tuple[int, ...], bias: bool, norm: float) -> Params:
    """Draw plain weights: columns of Wx shrunk with their length, Wh of spectral norm ``norm``."""
    *leading, D, H = shape
    Wh = draw(size=(*leading, H, H))
    if Wh.size:
        Wh *= norm / np.linalg.norm(Wh, ord=2, axis=(-2, -1), keepdims=True)
    return Params(draw(size=shape) / max(D, 1) ** 0.5, Wh, draw(size=(*leading, H)) / 2 if bias else None)


@dataclass(frozen=True, eq=False)
class Evaluation(Archive):
    """What an implementation returns for a case; a gradient that it does not offer is None.

    The arrays are of any kind here: ``certify`` holds them to the case's shapes and dtype.
    """

    hs: Any  # (T, N, H)
    dxs: Any = None  # (T, N, D)
    dh0: Any = None  # (N, H)
    dWx: Any = None  # (D, H)
    dWh: Any = None  # (H, H)
    db: Any = None  # (H,); None also for a cell without bias

    def __getitem__(self, k: int) -> Self:
        """Return the evaluation of case ``k`` of a stack."""
        return self.map(lambda array: array[k])

    @classmethod
    def stack(cls, evaluations: list[Self]) -> Self:
        """Return the stack of single evaluations.

        Raises:
            ValueError: there are none, or some offer what others do not.
        """
        columns = [list(column) for column in zip(*(e.fields().values() for e in evaluations), strict=True)]
        offered = [{array is None for array in column} for column in columns]
        if not columns or any(len(kinds) > 1 for kinds in offered):
            raise ValueError(f"Evaluation.stack: expected evaluations of one kind, got {len(evaluations)} that differ")
        return cls(*(None if column[0] is None else np.stack(column) for column in columns))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read an evaluation that ``save`` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is not a whole ``.npz`` with the fields of an evaluation.
        """
        try:
            return cls(**read_npz("Evaluation.load", path))
        except TypeError as error:
            raise ValueError(f"Evaluation.load: expected the fields of an evaluation in {path}, got {error}") from error

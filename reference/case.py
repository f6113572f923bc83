"""Case and Params: what is asked of an implementation, frozen and validated."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from reference.archive import DTYPES, Archive, expect_finite, expect_shapes, freeze, read_npz, spell
from reference.cells import NONLINEARITIES
from reference.precision import FORMATS
from reference.values import INFINITE, KINDS, UPSTREAMS, assort, draw_arrays, thin_out

if TYPE_CHECKING:
    from pathlib import Path

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Params(Archive):
    """The parameters of a cell, or of a stack of K cells.

    Raises:
        ValueError: a shape that does not fit.
        TypeError: an array of another dtype than those of ``archive.DTYPES``, or of another than Wx.
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
            TypeError: a tensor's dtype is none of ``archive.DTYPES``.
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
class Direction(Archive):
    """A direction in which the inputs and parameters of a case move: what forward mode multiplies the Jacobian by.

    Raises:
        TypeError: an array of another dtype than those of ``archive.DTYPES``, or of another than xs_dot.
    """

    xs_dot: Floats  # (T, N, D) or (K, T, N, D)
    h0_dot: Floats  # (N, H) or (K, N, H)
    Wx_dot: Floats  # (D, H) or (K, D, H)
    Wh_dot: Floats  # (H, H) or (K, H, H)
    b_dot: Floats | None = None  # (H,) or (K, H); None: no bias

    def __post_init__(self) -> None:
        freeze(self, "Direction", np.asarray(self.xs_dot).dtype)

    @classmethod
    def of(cls, arrays: dict[str, Any]) -> Self:
        """Return the direction of arrays named as those of a case: xs, h0, Wx, Wh and b, which may be None."""
        return cls(**{f"{name}_dot": arrays[name] for name in ("xs", "h0", "Wx", "Wh", "b")})


@dataclass(frozen=True, eq=False, repr=False)
class Case(Archive):
    """One question to an implementation, or a stack of K questions of one shape.

    All arrays are of one dtype and are taken as exact. They are kept read-only.

    Raises:
        ValueError: a shape that does not fit, an unknown nonlinearity, or a number that is not finite.
        TypeError: an array of another dtype than those of ``archive.DTYPES``, or of another than xs.
    """

    xs: Floats  # (T, N, D) or (K, T, N, D)
    h0: Floats  # (N, H) or (K, N, H)
    params: Params
    upstream: Floats  # dLoss/dh, (T, N, H) or (K, T, N, H)
    nonlinearity: str = "tanh"
    is_probed: bool = False
    finite: bool = True  # False admits NaN and infinity, for cases that are about them
    direction: Direction | None = None  # ask for the derivatives along it, too

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
        if self.direction is not None:
            like = {f"{name}_dot": array.shape for name, array in self.moving().items()}
            expect_shapes("Case", self.direction, spell(self.sizes), **like)
        if self.is_probed:
            self._expect_probe()
        if self.finite:
            expect_finite("Case", self.fields())

    def _expect_probe(self) -> None:
        """Raise ValueError unless the last H columns of xs are zero and the last H rows of Wx an identity."""
        D, H = self.sizes["D"], self.sizes["H"]
        if D < H or self.xs[..., D - H :].any() or (self.params.Wx[..., D - H :, :] != np.eye(H)).any():
            raise ValueError(f"Case: expected a probe, as probed() adds it, got other numbers ({spell(self.sizes)})")

    def __repr__(self) -> str:
        """Return sizes and kind: the numbers would fill a screen, and ``save`` keeps every bit of them."""
        stack = "" if self.K is None else f"K={self.K}, "
        kind = f"{self.dtype}, {self.nonlinearity}{', probed' * self.is_probed}"
        return f"Case({stack}{spell(self.sizes)}, {kind}{'' if self.direction is None else ', with a direction'})"

    def moving(self) -> dict[str, Floats]:
        """Return what outputs depend on: xs, h0, Wx, Wh and, with a bias, b."""
        found = {"xs": self.xs, "h0": self.h0} | self.params.fields()
        return {name: array for name, array in found.items() if array is not None}

    @property
    def sizes(self) -> dict[str, int]:
        """T, N, D and H by name; D counts the probe's columns."""
        *_, T, N, D = self.xs.shape
        return {"T": T, "N": N, "D": D, "H": self.params.Wx.shape[-1]}

    @property
    def spelled(self) -> str:
        """What messages say of it: "T=5, N=4, D=3, H=6", and "relu" and "no bias" where that is so."""
        kind = [self.nonlinearity] * (self.nonlinearity != "tanh") + ["no bias"] * (self.params.b is None)
        return ", ".join([spell(self.sizes), *kind])

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
        return self.part(k)

    def probed(self) -> Self:
        """Return the case with the probe: H zero inputs appended to x and an identity block to Wx.

        The products with the probe are exact and add nothing, so the forward is unchanged; the last H columns
        of dx become A[t] = dh[t] * f'(a[t]) itself, which no framework returns otherwise.

        Raises:
            ValueError: the case carries a probe already.
        """
        if self.is_probed:
            raise ValueError(f"Case.probed: expected a case without a probe, got one with it ({spell(self.sizes)})")
        H = self.sizes["H"]
        identity = np.broadcast_to(np.eye(H), (*self.params.Wx.shape[:-2], H, H)).astype(self.dtype)
        zeros = np.zeros((*self.xs.shape[:-1], H)).astype(self.dtype)
        params = dataclasses.replace(self.params, Wx=np.concatenate([self.params.Wx, identity], axis=-2))
        direction = self.direction
        if direction is not None:
            xs_dot = np.concatenate([direction.xs_dot, zeros], axis=-1)
            Wx_dot = np.concatenate([direction.Wx_dot, 0 * identity], axis=-2)
            direction = dataclasses.replace(direction, xs_dot=xs_dot, Wx_dot=Wx_dot)
        xs = np.concatenate([self.xs, zeros], axis=-1)
        return dataclasses.replace(self, xs=xs, params=params, is_probed=True, direction=direction)

    def unprobed(self) -> Self:
        """Return the case without its probe; itself if it carries none."""
        if not self.is_probed:
            return self
        D = self.sizes["D"] - self.sizes["H"]
        params = dataclasses.replace(self.params, Wx=self.params.Wx[..., :D, :])
        direction = self.direction
        if direction is not None:
            cut = {"xs_dot": direction.xs_dot[..., :D], "Wx_dot": direction.Wx_dot[..., :D, :]}
            direction = dataclasses.replace(direction, **cut)
        return dataclasses.replace(self, xs=self.xs[..., :D], params=params, is_probed=False, direction=direction)

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
            moves = {name: found.pop(name) for name in Direction.__dataclass_fields__ if name in found}
            direction = Direction(**moves) if moves else None
            plain = {name: found[name].item() for name in ("nonlinearity", "is_probed", "finite")}
            return cls(**(found | plain), params=params, direction=direction)
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
        values: str | Sequence[str] = "plain",
        params: Params | None = None,
        direction: bool = False,
    ) -> Self:
        """Draw a case whose values are, unless ``values`` says otherwise, distinct, non-zero and far from saturation.

        Args:
            T: steps; not negative, as all sizes.
            N: batch.
            D: inputs.
            H: hidden units.
            seed: of the generator; the same arguments give the same bits.
            dtype: "float64", "float32", "bfloat16" or "float16".
            nonlinearity: "tanh" or "relu".
            bias: False for a cell without bias.
            stack: K, to draw a stack of K cases; None for a single case.
            norm: largest singular value of every Wh; above 2 the states are chaotic.
            upstream: "every" step, the "last" only, or "one" element of one step.
            values: a kind of ``reference.values``, as "plain", small "integers", "wide", "nan", "saturated"; or several
                kinds, which the cases of a stack have in turn.
            params: use these single-cell parameters; D, H, bias and norm are then theirs, not the arguments.
            direction: also draw a direction in which to differentiate.

        Raises:
            ValueError: an argument out of its range.
        """
        kinds = (values,) if isinstance(values, str) else tuple(values)
        if (
            min(T, N, D, H, stack or 0) < 0
            or not norm >= 0
            or (params is not None and params.Wx.ndim != 2)
            or upstream not in UPSTREAMS
            or dtype not in DTYPES
            or not kinds
            or not KINDS.keys() >= set(kinds)
        ):
            sizes = f"T={T}, N={N}, D={D}, H={H}, stack={stack}, norm={norm}"
            got = f"{sizes}, upstream={upstream!r}, dtype={dtype!r}, values={values!r}"
            allowed = f"upstream in {UPSTREAMS}, dtype in {DTYPES}, values in {tuple(KINDS)}"
            raise ValueError(f"Case.random: expected sizes and norm >= 0, params of one cell, {allowed}, got {got}")
        random = np.random.default_rng(seed)
        if params is not None:
            (D, H), bias = params.Wx.shape, params.b is not None
        sizes_and_kind = (1 if stack is None else stack, T, N, D, H, bias, norm)
        arrays = draw_arrays(random, *sizes_and_kind)
        thin_out(arrays["upstream"], upstream)
        assort(random, arrays, kinds, FORMATS[dtype])
        if params is not None:
            given = params.map(lambda array: np.broadcast_to(array, (len(arrays["xs"]), *array.shape)))
            arrays |= given.astype("float64").fields()
        drawn = cls(
            arrays["xs"],
            arrays["h0"],
            Params(arrays["Wx"], arrays["Wh"], arrays["b"]),
            arrays["upstream"],
            nonlinearity,
            finite=not set(kinds) & set(INFINITE),
        )
        if direction:
            drawn = dataclasses.replace(drawn, direction=Direction.of(draw_arrays(random, *sizes_and_kind)))
        drawn = drawn.astype(dtype)
        return drawn if stack is not None else drawn[0]

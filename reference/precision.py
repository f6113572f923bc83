"""The arithmetic of an implementation as a model: storage format, accumulator, accuracy of its tanh and sigmoid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from reference.archive import DTYPES

# Roundings to storage that a value may suffer on its way through a sum kept in a wider accumulator.
STORED = 4
# What an implementation may compute once more in backward.
RECOMPUTABLE = ("states",)
# A bound wider than this share of a value's scale says too little to count as a pass.
COARSEST = 0.1


@dataclass(frozen=True)
class Format:
    """A floating-point format, as far as errors are concerned."""

    name: str
    u: float  # unit roundoff: half the distance from 1 to the next number
    tiny: float  # smallest normal number
    largest: float  # largest finite number
    underflow: float  # largest error of a result below tiny: tiny itself where that may be flushed to zero


def format_of(name: str, bits: int, smallest: int, greatest: int, *, flushed: bool = True) -> Format:
    """Return the format of ``bits`` significant bits and exponents from ``smallest`` to ``greatest``."""
    u, tiny = 2.0**-bits, 2.0**smallest
    return Format(name, u, tiny, (2 - 2 * u) * 2.0**greatest, tiny if flushed else u * tiny)


# Nothing flushes float16: where it is computed in float32 its subnormals are normal, and GPUs keep them. TF32 is what
# some GPUs round the operands of float32 products to; nothing is stored in it.
FORMATS = {
    name: format_of(name, *layout, flushed=name != "float16")
    for name, layout in {
        "float64": (53, -1022, 1023),
        "float32": (24, -126, 127),
        "TF32": (11, -126, 127),
        "float16": (11, -14, 15),
        "bfloat16": (8, -126, 127),
    }.items()
}


@dataclass(frozen=True)
class Precision:
    """A model of an arithmetic: storage format, accumulator, and accuracy of tanh and sigmoid.

    The accumulator may be wider than the storage (float32 under bfloat16), never narrower.
    """

    storage: Format
    accumulator: Format
    tanh_ulps: float = 2.5  # largest error of tanh in units in the last place
    sigmoid_ulps: float = 4.0  # likewise of the sigmoid
    sigmoid_absolute: float = 0.0  # beside that, in units of u: (1 + tanh(a / 2)) / 2 is off by as much everywhere
    stored: int = STORED  # roundings to storage on the way through a sum, where the accumulator is wider
    recomputes: tuple[str, ...] = ()  # of RECOMPUTABLE: what backward computes once more, with other roundings

    @property
    def name(self) -> str:
        """Name of the storage format, which is the dtype's."""
        return self.storage.name

    @property
    def u(self) -> float:
        """Unit roundoff of the storage format."""
        return self.storage.u

    @property
    def largest(self) -> float:
        """Largest finite number of the storage format."""
        return self.storage.largest

    @property
    def underflow(self) -> float:
        """Largest error of a stored result below the smallest normal number."""
        return self.storage.underflow

    @property
    def floor(self) -> float:
        """Scale below which what underflows, in storage or in a sum, is no longer small against a rounding there."""
        return max(form.underflow / form.u for form in (self.storage, self.accumulator))

    @property
    def is_mixed(self) -> bool:
        """Whether sums are kept in a wider format than they are stored in."""
        return self.accumulator.u < self.u

    @property
    def coarsest(self) -> float:
        """Width of a bound, relative to the value's scale, beyond which it says too little to count as a pass.

        A tenth; of bfloat16 more, whose roundings are of 0.4 %: one step takes some twenty, a second derivative some
        sixty.
        """
        return max(COARSEST, 96 * self.u)

    def with_tanh(self, ulps: float) -> Self:
        """Return the model with another accuracy of tanh, in ulp."""
        return replace(self, tanh_ulps=ulps)

    def with_sigmoid(self, ulps: float, absolute: float = 0.0) -> Self:
        """Return the model with another accuracy of the sigmoid: in ulp, and beside that in units of u."""
        return replace(self, sigmoid_ulps=ulps, sigmoid_absolute=absolute)

    def recomputing(self, *what: str) -> Self:
        """Return the model of an implementation that computes something once more in backward.

        Args:
            what: "states": from the inputs and the state before, as ``jax.checkpoint`` does.

        Raises:
            ValueError: something else is named.
        """
        for one in what:
            if one not in RECOMPUTABLE:
                raise ValueError(f"Precision: expected what is recomputed to be of {list(RECOMPUTABLE)}, got {one!r}")
        return replace(self, recomputes=what)

    def with_accumulator(self, name: str) -> Self:
        """Return the model with another accumulator, named by its format.

        Raises:
            ValueError: it is narrower than the storage.
        """
        accumulator = FORMATS[name]
        if accumulator.u > self.u:
            raise ValueError(f"Precision: expected an accumulator no narrower than {self.name}, got {name}")
        return replace(self, accumulator=accumulator)

    def as_if(self, form: Format) -> Self:
        """Return the model of a coarser arithmetic under the face of this dtype: float32 by name, TF32 in truth."""
        accumulator = max(self.accumulator, FORMATS["float32"], key=lambda one: one.u)
        return replace(self, storage=replace(form, name=self.name), accumulator=accumulator)

    def storing(self, times: int) -> Self:
        """Return the model of sums whose partial sums are stored so many times more, as those over steps are."""
        return replace(self, stored=self.stored + times)


# Frameworks add products of a half precision up in float32.
PRECISIONS = {name: Precision(FORMATS[name], FORMATS["float64" if name == "float64" else "float32"]) for name in DTYPES}

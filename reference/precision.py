"""The arithmetic of an implementation as a model: storage format, accumulator, accuracy of its tanh and sigmoid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Real
from typing import Self

from reference.archive import DTYPES
from reference.kinds import expect_kinds

# Largest number of roundings to storage in a sum that is kept in a wider accumulator.
STORED = 4
# Quantities that an implementation may recompute in backward.
RECOMPUTABLE = ("states",)
# A bound wider than this share of the value's scale is too wide to count as a pass.
COARSEST = 0.1


@dataclass(frozen=True)
class Format:
    """The properties of a floating-point format that errors depend on."""

    name: str
    u: float  # unit roundoff: half the distance from 1 to the next number
    tiny: float  # smallest normal number
    largest: float  # largest finite number
    underflow: float  # largest error of a result below tiny; tiny itself if such results may be flushed to zero


def format_of(name: str, bits: int, smallest: int, greatest: int, *, flushed: bool = True) -> Format:
    """Return the format of ``bits`` significant bits and exponents from ``smallest`` to ``greatest``."""
    u, tiny = 2.0**-bits, 2.0**smallest
    return Format(name, u, tiny, (2 - 2 * u) * 2.0**greatest, tiny if flushed else u * tiny)


# Subnormal float16 numbers are not flushed to zero: they are normal numbers in float32, and GPUs keep them. Some GPUs
# round the operands of float32 products to TF32; no array is stored in it.
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
    stored: int = STORED  # roundings to storage in a sum, if the accumulator is wider
    recomputes: tuple[str, ...] = ()  # keys of RECOMPUTABLE that backward recomputes, with other roundings

    @property
    def name(self) -> str:
        """Name of the storage format, equal to the name of the dtype."""
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
        """Scale below which an underflow, in storage or in a sum, is not small against a rounding."""
        return max(form.underflow / form.u for form in (self.storage, self.accumulator))

    @property
    def sigmoid_is_a_sum(self) -> bool:
        """Whether the sigmoid has a term of 1, as (1 + tanh(a / 2)) / 2 and 1 - s(-a) have."""
        return self.sigmoid_absolute >= 1

    @property
    def is_mixed(self) -> bool:
        """Whether the accumulator is wider than the storage format."""
        return self.accumulator.u < self.u

    @property
    def coarsest(self) -> float:
        """Largest bound, relative to the value's scale, that counts as a pass.

        It is a tenth, and more for bfloat16, because a rounding of bfloat16 is 0.4 %. One step takes about twenty
        roundings, a second derivative about sixty.
        """
        return max(COARSEST, 96 * self.u)

    def with_tanh(self, ulps: float) -> Self:
        """Return the model with another largest error of tanh, in ulp."""
        expect_kinds("Precision.with_tanh", {"ulps": Real}, {"ulps": ulps})
        return replace(self, tanh_ulps=ulps)

    def with_sigmoid(self, ulps: float, absolute: float = 0.0) -> Self:
        """Return the model with another accuracy of the sigmoid: in ulp, and beside that in units of u."""
        return replace(self, sigmoid_ulps=ulps, sigmoid_absolute=absolute)

    def recomputing(self, *what: str) -> Self:
        """Return the model of an implementation that recomputes quantities in backward.

        Args:
            what: names of the quantities. "states" are recomputed from the inputs and the previous state, as
                ``jax.checkpoint`` does.

        Raises:
            ValueError: a name is not in ``RECOMPUTABLE``.
        """
        for one in what:
            if one not in RECOMPUTABLE:
                raise ValueError(f"Precision: expected what is recomputed to be of {list(RECOMPUTABLE)}, got {one!r}")
        return replace(self, recomputes=what)

    def with_accumulator(self, name: str) -> Self:
        """Return the model with another accumulator, given by the name of its format.

        Raises:
            ValueError: the accumulator is narrower than the storage.
        """
        expect_kinds("Precision.with_accumulator", {"name": str}, {"name": name})
        if name not in FORMATS:
            raise ValueError(f"Precision: expected an accumulator in {list(FORMATS)}, got {name!r}")
        accumulator = FORMATS[name]
        if accumulator.u > self.u:
            raise ValueError(f"Precision: expected an accumulator no narrower than {self.name}, got {name}")
        return replace(self, accumulator=accumulator)

    def as_if(self, form: Format) -> Self:
        """Return the model of a lower precision under the name of this dtype, such as TF32 under the name float32."""
        accumulator = max(self.accumulator, FORMATS["float32"], key=lambda one: one.u)
        return replace(self, storage=replace(form, name=self.name), accumulator=accumulator)

    def storing(self, times: int) -> Self:
        """Return the model of sums whose partial sums are stored ``times`` more times, as sums over steps are."""
        return replace(self, stored=self.stored + times)


# Frameworks add products of a half precision in float32.
PRECISIONS = {name: Precision(FORMATS[name], FORMATS["float64" if name == "float64" else "float32"]) for name in DTYPES}


def named(name: str | Precision) -> Precision:
    """Return the model of a name, or a model as it is; raise ValueError if there is none."""
    if isinstance(name, Precision):
        return name
    if name not in PRECISIONS:
        raise ValueError(f"precision: expected one of {list(PRECISIONS)}, got {name!r}")
    return PRECISIONS[name]

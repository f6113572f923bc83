"""Each adapter declares the accuracy of its framework's tanh, and a sweep against Arb checks it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flint
import numpy as np
import pytest
from numpy.typing import NDArray

import adapters
from adapters import Adapter
from reference.archive import dtype_of
from reference.precision import FORMATS

# No other test checks the declared accuracy of tanh.
pytestmark = pytest.mark.always

TABLES = Path(adapters.__file__).parent / "README.md"
RNG = np.random.default_rng(0)
# Beyond these arguments, tanh rounds to 1.
SATURATION = {"float64": 19.1, "float32": 9.1, "bfloat16": 3.6, "float16": 4.6}


def sweep(dtype: str) -> dict[str, NDArray[Any]]:
    """Return arguments of tanh by region: uniform, logarithmic, saturating, and with subnormal results."""
    tiny = FORMATS[dtype].tiny
    regions = {
        "uniform": RNG.uniform(-3, 3, 6000),
        "logarithmic": RNG.choice([-1, 1], 6000) * 10 ** RNG.uniform(np.log10(tiny) + 1, 2, 6000),
        "saturation": SATURATION[dtype] + RNG.uniform(-2, 2, 2000),
        "subnormal": tiny * RNG.uniform(0, 1, 500),
    }
    return {name: values.astype(dtype_of(dtype)) for name, values in regions.items()}


def error_in_ulps(got: NDArray[Any], arguments: NDArray[Any]) -> NDArray[np.float64]:
    """Return |actual - tanh(argument)| in units in the last place of the exact value, or of tiny if it is smaller."""
    form = FORMATS[str(got.dtype)]
    flint.ctx.prec = 120
    errors = []
    for value, argument in zip(got, arguments, strict=True):
        exact = flint.arb(float(argument)).tanh()
        exponent = np.frexp(max(abs(float(exact)), form.tiny))[1]
        errors.append(float(abs(flint.arb(float(value)) - exact)) / float(np.ldexp(2 * form.u, exponent - 1)))
    return np.array(errors)


def test_tanh_is_as_accurate_as_declared_and_no_more_than_four_times_better(adapter: Adapter, dtype: str) -> None:
    regions = sweep(dtype)
    worst = {name: error_in_ulps(adapter.tanh(x), x).max() for name, x in regions.items() if name != "subnormal"}
    measured, declared = max(worst.values()), adapter.tanh_ulps[dtype]
    assert measured <= declared <= 4 * measured, f"measured {worst}, declared {declared}"


def test_a_subnormal_result_is_off_by_no_more_than_the_model_allows(adapter: Adapter, dtype: str) -> None:
    """The result, or a factor of it, may be flushed to zero, except in float16."""
    arguments = sweep(dtype)["subnormal"].astype(np.float64)
    actual = adapter.tanh(arguments.astype(dtype_of(dtype))).astype(np.float64)
    form = FORMATS[dtype]
    assert np.all(np.abs(actual - arguments) <= max(form.underflow, 2 * form.u * form.tiny))


def declared_in_the_readme(framework: str, function: str, dtype: str) -> set[float]:
    """Return what the table of accuracies has as declared for a function of a framework in a precision."""
    text = TABLES.read_text(encoding="utf-8")
    table = text.partition("<!-- table: python -m tests.benchmarks.accuracy -->")[2].partition("<!-- end")[0]
    head, _, *lines = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines())
    rows = [dict(zip(head, line, strict=True)) for line in lines]
    mine = [row for row in rows if row["framework"].partition(".")[0] == framework and row["function"] == function]
    return {float(row[dtype].partition(" of ")[2]) for row in mine if row[dtype] != "-"}


def test_the_readme_has_what_is_declared(adapter: Adapter, dtype: str) -> None:
    """A framework whose results are not published has no accuracies there, either."""
    if f"\n| {adapter.framework}." not in TABLES.read_text(encoding="utf-8").partition("### Accuracy")[0]:
        pytest.skip(f"the results of {adapter.framework} are not published")
    assert adapter.tanh_ulps[dtype] in declared_in_the_readme(adapter.framework, "tanh", dtype)
    if adapter.cell != "rnn":
        model = adapter.precision(dtype)
        assert model.sigmoid_ulps in declared_in_the_readme(adapter.framework, "sigmoid", dtype)
        tail = {0.0} | declared_in_the_readme(adapter.framework, "sigmoid below 0", dtype)
        assert model.sigmoid_absolute in tail


def test_the_sweep_detects_a_tanh_wrong_by_two_ulps() -> None:
    arguments = sweep("float32")["uniform"]
    right = np.tanh(arguments.astype(np.float64)).astype(np.float32)
    wrong = np.nextafter(np.nextafter(right, np.float32(2)), np.float32(2))
    assert error_in_ulps(right, arguments).max() <= 0.51
    assert error_in_ulps(wrong, arguments).max() > 1.5


@pytest.mark.parametrize("ulps", [0.0, 1.0])
def test_ulps_are_counted_from_the_exact_value(ulps: float) -> None:
    half = np.float64(np.tanh(0.5))
    moved = half + ulps * np.spacing(half)
    assert abs(error_in_ulps(np.array([moved]), np.array([0.5]))[0] - ulps) <= 0.51

"""What a default run judges, as tables: sizes with and without the probe, values, layouts. No hole opens unseen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from adapters import Adapter, conformance
from adapters._offers import ENCLOSED
from adapters.conformance import STACKS, strides
from adapters.conformance.checks import CHECKS, Plan, Several
from adapters.conformance.discovery import as_adapter
from adapters.conformance.report import Result
from reference import PRECISIONS, Case, Evaluation, LayersCase, evaluate
from reference.faults import FAMILIES, Fault, compute
from reference.mutation_score import try_once
from reference.strategies import EDGES

# Steps, inputs beside units, and whether the case has the probe. Each pair stands in every default run.
SIZES = {
    ("T = 0", "D < H", "probe"),
    ("T = 1", "D < H", "plain"),
    ("T = 1", "D = H", "plain"),
    ("T = 2 to 9", "D < H", "plain"),
    ("T = 2 to 9", "D = H", "plain"),
    ("T = 2 to 9", "D < H", "probe"),
    ("T = 2 to 9", "D > H", "probe"),
    ("T = 10 to 20", "D < H", "probe"),
    ("T = 50 to 300", "D < H", "probe"),
    ("T = 1000 or more", "D < H", "probe"),
}
# A half precision decides three steps without the probe.
PLAIN = {("T = 10 to 20", "D < H", "plain"), ("T = 10 to 20", "D = H", "plain"), ("T = 50 to 300", "D < H", "plain")}
ROWS = {0, 1, 2, 3, 4, 9, 17, 20, 33, 64, 100, 130}
# Rows and units beyond a block of 8, 16, 32, 64 or 128.
UNEVEN = {(17, 9), (33, 31), (20, 65), (130, 17), (9, 130), (5, 513)}
STEPS = {0, 1, 2, 3, 12, 50, 100, 300, 1000, 10_000}
VALUES = {"tanh": {"plain", "wide", *EDGES, "poisoned"} - {"huge_inputs"}}
VALUES["relu"] = VALUES["tanh"] | {"integers", "huge_inputs"}
RANGES = {0: "T = 0", 1: "T = 1", 9: "T = 2 to 9", 20: "T = 10 to 20", 300: "T = 50 to 300", 10_000: "T = 1000 or more"}


def sizes_of(case: Case) -> tuple[str, str, str]:
    """Return the entry of a case in the table of sizes."""
    T, _, D, H = case.unprobed().sizes.values()
    steps = next(words for most, words in RANGES.items() if most >= T)
    return steps, "D < H" if D < H else "D = H" if D == H else "D > H", "probe" if case.is_probed else "plain"


@cache
def run(dtype: str, seed: int) -> tuple[list[Case], list[dict[str, Any]]]:
    """Return the cases of a single layer in a default run, and the arguments with which each stack was drawn."""
    found, options, random = list[Case](), list[dict[str, Any]](), Case.random

    def recording(*sizes: int, **like: Any) -> Case:
        options.append(like)
        return random(*sizes, **like)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Case, "random", recording)
        for check in CHECKS:
            if not isinstance(check, Several):
                check.cases(as_adapter(compute), dtype, Plan(STACKS, seed), found.append)
    return found, options


def layers_of(dtype: str) -> list[LayersCase]:
    """Return the cases of several layers in a default run."""
    found: list[LayersCase] = []
    for check in CHECKS:
        if isinstance(check, Several):
            check.cases(as_adapter(compute), dtype, Plan(STACKS, 0), found.append)
    return found


EVERY = pytest.mark.parametrize("dtype", PRECISIONS)
SEEDS = pytest.mark.parametrize("seed", range(3))


@EVERY
@SEEDS
def test_a_default_run_judges_these_sizes(dtype: str, seed: int) -> None:
    expected = SIZES | (set() if PRECISIONS[dtype].is_mixed else PLAIN)
    assert expected - {sizes_of(case) for case in run(dtype, seed)[0]} == set()


@EVERY
@SEEDS
def test_a_default_run_judges_these_numbers_of_rows_and_steps(dtype: str, seed: int) -> None:
    sizes = [case.sizes for case in run(dtype, seed)[0]]
    assert ROWS - {each["N"] for each in sizes} == set()
    assert UNEVEN - {(each["N"], each["H"]) for each in sizes} == set()
    assert STEPS - {each["T"] for each in sizes} == set()
    # Without the probe, an implementation is given fewer inputs than units, and one input alone.
    plain = [case.sizes for case in run(dtype, seed)[0] if not case.is_probed]
    assert {1, 2, 3} | (set() if PRECISIONS[dtype].is_mixed else {10}) <= {
        each["T"] for each in plain if each["D"] == 1
    }


@pytest.mark.parametrize("dtype", ENCLOSED)
def test_a_default_run_judges_these_layers(dtype: str) -> None:
    found = layers_of(dtype)
    several = {(case.layers, case.directions, case.lengths is not None) for case in found}
    assert several >= {(1, 2, False), (1, 1, True), (1, 2, True), (2, 1, False), (2, 2, True), (3, 1, False)}
    # Most subjects draw masks of their own, and are not judged with given ones.
    unmasked = {(case.layers, case.directions, case.lengths is not None) for case in found if case.masks is None}
    assert unmasked >= {(3, 1, False), (3, 2, False), (3, 2, True)}
    assert {case.masks is not None for case in found if case.layers > 1} == {True, False}
    assert {case.params[0].b is not None for case in found} == {True, False}
    # Lengths that are sorted, as a packed sequence may demand, would hide an order that is not restored.
    assert any(list(case.lengths) != sorted(case.lengths, reverse=True) for case in found if case.lengths)


@EVERY
@SEEDS
@pytest.mark.parametrize("nonlinearity", VALUES)
def test_a_default_run_judges_these_values(dtype: str, seed: int, nonlinearity: str) -> None:
    options = [each for each in run(dtype, seed)[1] if each["nonlinearity"] == nonlinearity]
    kinds = {kind for each in options for kind in each.get("values", ["plain"])}
    assert VALUES[nonlinearity] - kinds == set()


@EVERY
@SEEDS
def test_a_default_run_has_cases_without_a_bias_and_without_an_upstream_on_some_steps(dtype: str, seed: int) -> None:
    found, options = run(dtype, seed)
    assert {case.params.b is None for case in found} == {True, False}
    assert {each["upstream"] for each in options if "upstream" in each} > {"every"}


@EVERY
@SEEDS
def test_the_last_column_of_x_is_an_input_in_some_cases_and_the_probe_in_others(dtype: str, seed: int) -> None:
    several = [case for case in run(dtype, seed)[0] if case.sizes["T"] > 1 and case.sizes["D"]]
    assert {case.sizes["D"] - 1 in case.inputs for case in several} == {True, False}
    assert any(case.xs[..., -1].astype(float).any() for case in several)


def singles(dtype: str) -> list[Case]:
    """Return the cases of a default run one by one, as most adapters take them; those of thousands of steps are out."""
    found = [case for case in run(dtype, 0)[0] if case.sizes["T"] < 1000]
    return [one for case in found for one in ([case] if case.K is None else [case[k] for k in range(case.K)])]


def shows(fault: Fault, case: Case) -> bool:
    """Return whether a trial of a fault on a case fails."""
    found = try_once(fault.subject(), case)
    return isinstance(found, str) or found.status == "fail"


@EVERY
def test_a_default_run_catches_each_fault_that_shows_in_a_corner_alone(dtype: str) -> None:
    found = singles(dtype)
    faults = [fault for fault in FAMILIES["corner"] if dtype in fault.precisions]
    missed = [one.name for one in faults if not any(shows(one, case) for case in found if one.applies(case))]
    assert len(faults) == 20
    assert missed == []


@pytest.mark.parametrize(
    "few", [lambda D, H: D < H, lambda D, H: D == H, lambda D, H: D == 1], ids=["D < H", "D = H", "D = 1"]
)
def test_a_mistake_for_few_inputs_and_many_steps_alone_is_caught(few: Callable[[int, int], bool]) -> None:
    def run(case: Case) -> Any:
        right = compute(case)
        is_wrong = case.sizes["T"] > 9 and few(case.sizes["D"], case.sizes["H"])
        return replace(right, dh0=0 * right.dh0) if is_wrong else right

    (row,) = conformance.check(as_adapter(run), dtypes=["float32"], only=["shapes"], on_fail="report").rows
    assert row.status == "fail"


def test_without_its_corner_a_fault_is_not_caught() -> None:
    found = [case for case in singles("float32") if case.sizes["N"] <= 32][:100]
    (blocked,) = (fault for fault in FAMILIES["corner"] if fault.name == "states zero beyond 32 rows")
    assert found
    assert not any(shows(blocked, case) for case in found)


def test_every_argument_comes_in_every_layout() -> None:
    seen = set()

    def recording(case: Case) -> Evaluation:
        for name, array in case.ndarrays().items():
            flags = array.flags
            kind = "repeated" if 0 in array.strides else "plain"
            kind = "reversed" if min(array.strides) < 0 else kind
            kind = "read-only" if not flags.writeable else "misaligned" if not flags.aligned else kind
            if kind == "plain" and not flags.c_contiguous:
                kind = "transposed" if flags.f_contiguous else "strided"
            seen.add((name, kind))
        return evaluate(case.map(np.array))

    own = Adapter("numpy.own", recording, "own", np.tanh, {"float64": 2.5})
    strides.judge(own, Case.random(T=3, N=2, D=3, H=4), PRECISIONS["float64"], Result("strides"))
    kinds = ("plain", "transposed", "strided", "reversed", "read-only", "misaligned")
    expected = {(name, kind) for name in ("xs", "h0", "upstream", "Wx", "Wh", "b") for kind in kinds}
    # A vector has no other order.
    assert seen == (expected - {("b", "transposed")}) | {(name, "repeated") for name in strides.REPEATED}


def test_the_table_can_fail() -> None:
    found = [case for case in run("float32", 0)[0] if case.is_probed]
    assert {sizes for sizes in SIZES if sizes[2] == "plain"} == SIZES - {sizes_of(case) for case in found}

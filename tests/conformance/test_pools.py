"""The shapes of a run distinguish right from wrong, even in a short run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adapters import Adapter
from adapters.conformance import STACKS, check
from adapters.conformance.checks import CHECKS, Drawn, Plan, pool_of_shapes
from adapters.conformance.discovery import as_adapter
from adapters.conformance.judge import judge
from reference import PRECISIONS, Case, Evaluation
from reference.archive import spell
from reference.faults import compute
from reference.strategies import EDGES, NORMS, Shape, sized
from reference.values import UPSTREAMS
from tests.conformance import exact

DRAWN = {check.name: check for check in CHECKS if isinstance(check, Drawn)}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", DRAWN)
def test_no_run_rests_on_the_simplest_shape(name: str, seed: int) -> None:
    asked = DRAWN[name]
    pool = pool_of_shapes(asked, seed, asked.pool)
    assert len(pool) == asked.pool
    assert all(shape.T in asked.lengths for shape in pool)
    # Hypothesis starts with one row, one input and one unit, which hide most mistakes.
    assert min(np.prod(shape[1:4]) for shape in pool) > 1


def test_the_smallest_shapes_with_the_probe_come_first_and_two_of_three_have_a_bias() -> None:
    pool = pool_of_shapes(DRAWN["sequence"], 0, 9)
    sizes = [int(np.prod(shape[:4])) for shape in pool if shape.probe]
    assert sizes == sorted(sizes)
    assert [shape.probe for shape in pool] == [False, True, True] * 3
    assert [shape.bias for shape in pool] == [True, True, False] * 3


def test_a_pool_is_the_same_each_time_and_another_with_another_seed() -> None:
    def pool(seed: int) -> tuple[Shape, ...]:
        pool_of_shapes.cache_clear()
        return pool_of_shapes(DRAWN["sequence"], seed, 3)

    assert pool(0) == pool(0) != pool(1)


@pytest.mark.parametrize("seed", range(5))
def test_the_shapes_have_the_nonlinearities_in_turn_and_rows_enough(seed: int) -> None:
    for asked in DRAWN.values():
        pool = pool_of_shapes(asked, seed, asked.pool)
        expected = (asked.nonlinearities * 2)[: len(pool)]
        assert tuple(shape.nonlinearity for shape in pool) == expected
        assert all(asked.rows <= shape.T * shape.N for shape in pool)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of the calls of ``Case.random``."""
    found: list[dict[str, Any]] = []
    random = Case.random

    def recording(*sizes: int, **options: Any) -> Case:
        found.append(options)
        return random(*sizes, **options)

    monkeypatch.setattr(Case, "random", recording)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_every_stack_at_the_limits_of_a_format_has_all_kinds(seed: int, drawn: list[dict[str, Any]]) -> None:
    drawn_options: list[dict[str, Any]] = []
    DRAWN["extremes"].cases(as_adapter(compute), "float32", Plan(1, seed), lambda case: drawn_options.append(drawn[-1]))
    assert [options["nonlinearity"] for options in drawn_options] == ["tanh", "relu"]
    for options in drawn_options:
        assert options["values"] == [
            kind for kind in EDGES if kind != "huge_inputs" or options["nonlinearity"] == "relu"
        ]


def test_the_shortest_runs_have_all_norms_and_upstream_gradients_together(drawn: list[dict[str, Any]]) -> None:
    drawn_options: list[dict[str, Any]] = []
    for seed in range(24):
        DRAWN["step"].cases(as_adapter(compute), "float32", Plan(1, seed), lambda case: drawn_options.append(drawn[-1]))
    assert len(drawn_options) == 48
    assert {options["norm"] for options in drawn_options} == set(NORMS)
    assert {options["upstream"] for options in drawn_options} == set(UPSTREAMS)
    assert len({options["seed"] for options in drawn_options}) == 48


def test_each_drawn_check_detects_a_transposed_gradient() -> None:
    def transposed(case: Case) -> Evaluation:
        answer = compute(case)
        return dataclasses.replace(answer, dWh=answer.dWh.mT)

    # With NaN and infinity, the gradients of the parameters are undetermined.
    telling = [name for name in DRAWN if name != "nonfinite"]
    report = check(transposed, dtypes=["float32"], only=telling, on_fail="report")
    assert {found.name: found.status for found in report.rows[0].checks} == dict.fromkeys(telling, "fail")


@pytest.mark.parametrize(
    ("adapter", "dtype"),
    [
        pytest.param(adapter, dtype, id=f"{adapter.name}-{dtype}")
        for adapter in exact.ADAPTERS
        for dtype in adapter.dtypes
    ],
)
def test_every_case_can_be_decided(adapter: Adapter, dtype: str) -> None:
    (row,) = check(adapter, dtypes=[dtype], only=["step", "sequence", "extremes", "nonfinite"], stacks=16).rows
    assert row.cases > 2_500
    assert row.status == "pass"
    assert not any(found.inconclusive for found in row.checks)


def losing(answer: Evaluation) -> Any:
    """Make 0 of NaN."""
    return np.where(np.isnan(answer.hs), np.float32(0), answer.hs)


def spreading(answer: Evaluation) -> Any:
    """Make the row after a row that is not finite NaN."""
    broken = np.roll(~np.isfinite(answer.hs).all(axis=-1, keepdims=True), 1, axis=-2)
    return np.where(broken, np.float32(np.nan), answer.hs)


@pytest.mark.parametrize("wrong", [losing, spreading])
def test_one_stack_detects_wrong_handling_of_nan(wrong: Callable[[Evaluation], Any]) -> None:
    def subject(case: Case) -> Evaluation:
        answer = compute(case)
        return dataclasses.replace(answer, hs=wrong(answer))

    # Without the diagnosis, which takes longer than the rest of the test.
    found = judge(DRAWN["nonfinite"], as_adapter(subject, ["float32"]), "float32", Plan(stacks=1, seed=0))
    assert found.status == "fail"
    assert found.failure is not None
    assert "h[" in found.failure.message


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_one_unit_is_asked_for_single_steps_in_wide_formats_alone(dtype: str) -> None:
    def units(name: str) -> set[int]:
        pools = (DRAWN[name].shapes(as_adapter(compute), Plan(8, seed)) for seed in range(20))
        return {sized(shape, dtype, direction=False).H for pool in pools for shape in pool}

    assert (1 in units("step")) == (dtype in ("float64", "float32"))
    assert all(1 not in units(name) for name in DRAWN if name != "step")


@pytest.mark.parametrize("adapter", exact.ADAPTERS, ids=lambda adapter: adapter.name)
def test_all_adapters_have_the_same_shapes(adapter: Adapter) -> None:
    for each in DRAWN.values():
        for seed in range(3):
            ours = each.shapes(adapter, Plan(8, seed))
            assert ours == each.shapes(as_adapter(compute), Plan(8, seed))


def test_derivatives_along_a_direction_are_drawn_options_at_the_kink_of_relu(drawn: list[dict[str, Any]]) -> None:
    for adapter in exact.ADAPTERS:
        for name in ("sequence", "extremes"):
            DRAWN[name].cases(adapter, "float32", Plan(4, seed=0), lambda case: None)
    asked = [options for options in drawn if options["nonlinearity"] == "relu"]
    assert any("integers" in options["values"] for options in asked if options["direction"])
    # With zeros, a derivative is zero with a non-zero bound.
    assert not any("zeros" in options["values"] for options in asked if options["direction"])
    assert any("zeros" in options["values"] for options in asked if not options["direction"])


def kinds_of(case: Case) -> tuple[str, str, str]:
    """Return whether a case has several steps, how D compares with H, and whether the case has the probe."""
    T, _, D, H = case.unprobed().sizes.values()
    inputs = "D < H" if D < H else "D = H" if D == H else "D > H"
    return "T = 1" if T == 1 else "T > 1", inputs, "probe" if case.is_probed else "plain"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", PRECISIONS)
def test_a_default_run_judges_inputs_fewer_than_units_without_the_probe(dtype: str, seed: int) -> None:
    found: list[Case] = []
    for name in ("step", "sequence"):
        DRAWN[name].cases(as_adapter(compute), dtype, Plan(STACKS, seed), lambda case: found.append(case))
    assert {kinds_of(case) for case in found if not case.is_probed} == {
        ("T = 1", "D < H", "plain"),
        ("T = 1", "D = H", "plain"),
        ("T > 1", "D < H", "plain"),
        ("T > 1", "D = H", "plain"),
    }
    assert any(case.sizes["D"] == 1 and not case.is_probed for case in found)
    assert {steps for steps, _, probe in map(kinds_of, found) if probe == "probe"} == {"T = 1", "T > 1"}


def test_a_run_has_as_many_stacks_as_are_asked_for_and_a_longer_one_more_shapes() -> None:
    def stacks(number: int) -> list[Case]:
        found: list[Case] = []
        DRAWN["step"].cases(as_adapter(compute), "float32", Plan(number, seed=0), lambda case: found.append(case))
        return found

    short, long = stacks(8), stacks(104)
    assert (len(short), len(long)) == (8, 104)
    assert max(case.K or 0 for case in short + long) == 52
    assert len({spell(case.sizes) for case in short}) == 4 < len({spell(case.sizes) for case in long})


def digest(case: Case) -> bytes:
    """Return the bits of a case."""
    return b"".join(array.tobytes() for array in case.fields().values() if isinstance(array, np.ndarray))


@pytest.mark.parametrize("stacks", [1, 4])
@pytest.mark.parametrize("name", DRAWN)
def test_another_seed_has_other_cases(name: str, stacks: int) -> None:
    def seen(seed: int) -> set[bytes]:
        found: set[bytes] = set()
        DRAWN[name].cases(as_adapter(compute), "float32", Plan(stacks, seed), lambda case: found.add(digest(case)))
        return found

    # This includes the first example of a shape, with which Hypothesis starts.
    runs = [seen(seed) for seed in range(4)]
    assert len(set.union(*runs)) == sum(map(len, runs))
    assert seen(0) == runs[0]

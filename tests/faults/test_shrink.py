"""Shrinking: the shrunk case is as small as the fault allows, has simple numbers, and is the same in every run."""

from __future__ import annotations

import numpy as np
import pytest

from reference import PRECISIONS, Case, Evaluation, LayersCase
from reference.case import without
from reference.cells import CELLS, Cell
from reference.faults import COMPUTED, FAULTS, HALVES, OF_LAYERS, compute
from reference.shrink import outcome, shrink, shrink_layers, shrink_subject, sliced

# T, N, D and H of the shrunk case, without the probe.
SMALLEST = {
    "Wh transposed": (1, 1, 1, 2),
    "units of Wh reversed": (1, 1, 1, 2),
    "upstream units reversed": (1, 1, 1, 2),
    "dWx reshaped instead of transposed": (1, 1, 2, 2),
    "rows of the inputs rolled": (1, 2, 1, 1),
    "batch first read as time first": (2, 2, 1, 1),
    "bias doubled": (1, 1, 1, 1),
    "bias of another unit": (1, 1, 1, 2),
    "db averaged over N": (1, 2, 1, 1),
    "hard tanh": (1, 1, 1, 1),
    "h0 of another row": (1, 2, 1, 1),
    "time reversed": (2, 1, 1, 1),
    "state reset after 4 steps": (5, 1, 1, 1),
    "derivative 1 - h": (1, 1, 1, 1),
    "BPTT truncated at 3": (4, 1, 1, 1),
    "no BPTT": (2, 1, 1, 1),
    "h[t] for h[t-1] in dWh": (1, 1, 1, 1),
    "averaged over T": (2, 1, 1, 1),
    "last row of the batch missing": (1, 1, 1, 1),
    "products in bfloat16": (1, 1, 1, 1),
    "input mutated": (1, 1, 1, 1),
}
# In a half precision, fewer digits in products hardly differ from correct code.
IN_EACH = pytest.mark.parametrize(
    ("name", "dtype"),
    [
        (name, dtype)
        for name in SMALLEST
        for dtype in COMPUTED
        if "product" not in FAULTS[name].changes or dtype not in HALVES
    ],
)


def large(dtype: str = "float64", *, stack: int | None = None) -> Case:
    return Case.random(9, 4, 3, 6, seed=1, dtype=dtype, stack=stack).probed()


def bits(case: Case) -> list[bytes]:
    """Return the bytes of every array of a case."""
    return [array.tobytes() for array in case.ndarrays().values()]


def sizes(case: Case) -> tuple[int, ...]:
    """Return T, N, D and H, without the probe's columns."""
    return tuple(case.unprobed().sizes.values())


@IN_EACH
def test_a_case_shrinks_as_far_as_the_fault_allows(name: str, dtype: str) -> None:
    small = shrink_subject(FAULTS[name].subject(), large(dtype), PRECISIONS[dtype])
    assert sizes(small) == SMALLEST[name]
    assert small.dtype == dtype
    assert outcome(FAULTS[name].subject(), small, PRECISIONS[dtype]) in ("fail", "Mismatch")
    assert small.is_probed == (small.sizes["T"] > 1)


def test_a_stack_shrinks_to_its_first_failing_case() -> None:
    stack = large(stack=3)
    small = shrink(lambda case: case.K is None and case.h0[0, 0] == stack.h0[1, 0, 0], stack)
    assert small.h0.item() == stack.h0[1, 0, 0]


def test_numbers_become_simple() -> None:
    small = shrink(lambda case: case.xs.max() > 0.3 and case.h0.min() < -5 / 16, large())
    assert (small.xs.item(), small.h0.item()) == (1, -1)
    assert not small.upstream.any()


def test_a_bias_that_is_not_needed_is_dropped() -> None:
    assert shrink_subject(FAULTS["Wh transposed"].subject(), large(), PRECISIONS["float64"]).params.b is None
    assert shrink_subject(FAULTS["bias doubled"].subject(), large(), PRECISIONS["float64"]).params.b is not None


def test_numbers_that_are_not_finite_stay_if_they_are_needed() -> None:
    case = Case.random(4, 3, 2, 3, seed=2, values="nan").probed()
    small = shrink_subject(FAULTS["NaN laundered into 0"].subject(), case, PRECISIONS["float64"])
    assert sizes(small) == (1, 1, 1, 1)
    assert np.isnan([*small.xs.flat, *small.upstream.flat]).sum() == 1


def test_nonlinearity_stays() -> None:
    case = Case.random(4, 3, 2, 3, seed=2, nonlinearity="relu").probed()
    small = shrink_subject(FAULTS["tanh for relu"].subject(), case, PRECISIONS["float64"])
    assert (small.nonlinearity, sizes(small)) == ("relu", (1, 1, 1, 1))


def test_a_case_that_fails_only_without_its_probe_is_shown_without_it() -> None:
    small = shrink(lambda case: case.sizes["T"] > 1 and not case.is_probed, large().unprobed())
    assert (sizes(small), small.is_probed) == ((2, 1, 1, 1), False)


@pytest.mark.parametrize("last", ["input", "probe"])
def test_a_case_that_fails_only_with_its_probe_at_drawn_places_keeps_them(last: str) -> None:
    def fails(case: Case) -> bool:
        ends_in_probe = case.probe is not None and case.sizes["D"] - 1 in case.probe
        return case.probe is not None and case.probe[0] == 0 and ends_in_probe == (last == "probe")

    seeds = (seed for seed in range(100) if fails(large().unprobed().probed(seed)))
    drawn = large().unprobed().probed(next(seeds))
    small = shrink(fails, drawn)
    assert fails(small)
    assert sizes(small) == ((1, 1, 1, 1) if last == "input" else (1, 1, 1, 2))
    assert not small.xs[..., list(small.probe or ())].any()


def test_a_case_keeps_its_direction() -> None:
    case = Case.random(4, 3, 2, 3, dtype="float32", direction=True).probed(1)
    small = shrink(lambda case: case.direction is not None, case)
    assert sizes(small) == (1, 1, 1, 1)
    last = case.unprobed().probed(next(seed for seed in range(100) if 0 in (case.unprobed().probed(seed).probe or ())))
    small = shrink(lambda case: case.direction is not None and case.probe is not None and case.probe[0] == 0, last)
    assert (sizes(small), small.probe) == ((1, 1, 1, 1), (0,))


@pytest.mark.parametrize("name", ["Wh transposed", "BPTT truncated at 3", "hard tanh", "products in bfloat16"])
def test_equal_cases_shrink_to_equal_cases(name: str) -> None:
    one, two = (shrink_subject(FAULTS[name].subject(), large(), PRECISIONS["float64"]) for _ in range(2))
    assert bits(one) == bits(two)


@pytest.mark.parametrize("tries", [1, 5, 20])
def test_tries_are_limited_and_each_calls_progress(tries: int) -> None:
    asked: list[Case] = []
    told: list[None] = []

    def fails(case: Case) -> bool:
        asked.append(case)
        return case.sizes["T"] > 3

    small = shrink(fails, large(), tries=tries, progress=lambda: told.append(None))
    assert len(asked) == len(told) == tries
    assert fails(small)


def test_long_sequences_shrink() -> None:
    case = Case.random(1000, 2, 2, 3, seed=1)
    assert sizes(shrink(lambda case: case.sizes["T"] > 3, case)) == (4, 1, 1, 1)


def test_an_unsupported_case_is_no_failure() -> None:
    def refusing(case: Case) -> Evaluation:
        if case.sizes["T"] < 4:
            raise NotImplementedError("no short sequences")
        return FAULTS["db halved"].subject()(case)

    assert sizes(shrink_subject(refusing, large(), PRECISIONS["float64"])) == (4, 1, 1, 1)


def test_another_way_to_fail_is_not_followed() -> None:
    def crashing(case: Case) -> Evaluation:
        if case.sizes["N"] < 2:
            raise ValueError("one row")
        return FAULTS["db halved"].subject()(case)

    assert sizes(shrink_subject(crashing, large(), PRECISIONS["float64"])) == (1, 2, 1, 1)


def test_correct_code_has_no_case_to_shrink() -> None:
    with pytest.raises(ValueError, match=r"^shrink_subject: expected a case that the subject fails, got none \(T=9, "):
        shrink_subject(compute, large(), PRECISIONS["float64"])
    with pytest.raises(ValueError, match=r"^shrink: expected a case that fails, got none \(T=9, "):
        shrink(lambda case: False, large(stack=2))


@pytest.mark.parametrize("axis", ["T", "N", "D", "H"])
def test_a_slice_keeps_all_arrays_in_shape(axis: str) -> None:
    case = large().unprobed()
    cut = sliced(case, axis, np.array([0, 2]))
    assert cut.sizes == case.sizes | {axis: 2}


def test_the_same_units_of_all_gates_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gated(Cell):
        gates = ("a", "z")

    monkeypatch.setitem(CELLS, "gated", Gated)
    case = Case.random(3, 2, 3, 4, cell="gated")
    cut = sliced(case, "H", np.array([0, 2]))
    assert cut.params.Wx.tobytes() == case.params.Wx[:, [0, 2, 4, 6]].tobytes()
    assert cut.params.Wh.tobytes() == case.params.Wh[[0, 2]][:, [0, 2, 4, 6]].tobytes()


LAYERS = LayersCase.random(T=6, layers=3, directions=2, lengths=True, dtype="float32", seed=2)


@pytest.mark.parametrize(
    ("name", "smallest"),
    [
        ("last states in reverse order", "T=1, N=1, D=1, H=2, 2 layers, 1 direction"),
        ("reverse direction first", "T=1, N=1, D=1, H=2, 1 layer, 2 directions"),
    ],
)
def test_several_layers_are_shrunk_to_as_many_as_the_fault_needs(name: str, smallest: str) -> None:
    subject = OF_LAYERS[name].subject()
    small = shrink_layers(subject, LAYERS, PRECISIONS["float32"])
    assert small.spelled == smallest
    assert outcome(subject, small, PRECISIONS["float32"]) == "fail"


def test_several_layers_that_do_not_fail_are_not_shrunk() -> None:
    message = r"^shrink_layers: expected a case that the subject fails, got none \(T=6, N=4, D=3, H=6, 3 layers, .*\)$"
    with pytest.raises(ValueError, match=message):
        shrink_layers(compute, LAYERS, PRECISIONS["float32"])


@pytest.mark.parametrize(("names", "words"), [(["bn"], "no bn"), (["b"], "no b"), (["b", "bn"], "no bias")])
def test_a_shrunk_case_lacks_what_the_case_lacks(names: list[str], words: str) -> None:
    case = without(Case.random(9, 4, 3, 6, cell="gru", seed=1).probed(), [*names, "h0"])
    assert case.spelled.endswith(f", gru, {words}")
    assert not case.h0.any()

    def wrong(case: Case) -> Evaluation:
        assert not case.h0.any()
        assert not {*names} & case.arrays().keys()
        found = compute(case)
        return found.replacing(dWh=np.array(found.dWh * 2))

    small = shrink_subject(wrong, case, PRECISIONS["float64"])
    assert small.spelled == f"T=2, N=1, D=4, H=1, gru, {words}"

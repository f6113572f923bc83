"""The diagnosis: every fault of the catalogue is named, and no fault is named without a reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from reference import PRECISIONS, Case, Evaluation, Params
from reference.blame import Blame
from reference.candidates import Matches
from reference.explain import Diagnosis, Start, explain, explain_subject
from reference.faults import FAULTS, Fault, compute
from reference.likeness import tried
from reference.trial import Subject
from tests.named import (
    REMEMBERING,
    assert_named,
    case_of_a_trial,
    diagnosed,
    is_seen_by_a_trial_alone,
    needs_calls,
    plain,
)

COMPUTED = ("float64", "float32")
IN_BOTH = pytest.mark.parametrize("dtype", COMPUTED)
IN_EACH = pytest.mark.parametrize(
    ("fault", "dtype"),
    [
        pytest.param(fault, dtype, id=f"{fault.name}-{dtype}")
        for fault in FAULTS.values()
        for dtype in COMPUTED
        if dtype in fault.precisions
    ],
)


def diagnosis(fault: Fault, dtype: str, *, rounded: bool = False) -> Diagnosis:
    """Return the diagnosis of a fault; if ``rounded``, the fault has other roundings than in the catalogue."""

    def in_float64() -> Subject:
        return lambda case: fault.subject()(case.astype("float64")).astype(dtype)

    return diagnosed(in_float64 if rounded else fault.subject, dtype, PRECISIONS[dtype])


@IN_EACH
def test_every_fault_is_named(fault: Fault, dtype: str) -> None:
    if fault.name in REMEMBERING:
        subject = fault.subject()
        subject(plain(dtype, seed=7))
        found = explain_subject(subject, plain(dtype), PRECISIONS[dtype])
        assert "\nIt is right when it is the first call of a shape: what came before matters.\n" in str(found)
    elif is_seen_by_a_trial_alone(fault):
        found = explain_subject(fault.subject(), case_of_a_trial(fault, dtype), PRECISIONS[dtype])
        assert found.account is not None
    else:
        found = diagnosis(fault, dtype)
    assert_named(found, fault.name)


@pytest.mark.parametrize("name", [f.name for f in FAULTS.values() if f.family != "numerical" and not needs_calls(f)])
def test_every_fault_is_named_with_another_rounding(name: str) -> None:
    assert_named(diagnosis(FAULTS[name], "float32", rounded=True), name)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("Wh transposed", ("h", "dx", "dh0")),
        ("bias doubled", ("h",)),
        ("db missing", ("db",)),
        ("dWh transposed", ("dWh",)),
        ("derivative 1 - h", ("dx",)),
        ("h[t] for h[t-1] in dWh", ("dWh",)),
        ("averaged over N", ("dWx", "dWh", "db")),
        ("h0 detached", ("dh0",)),
    ],
)
def test_no_quantity_within_its_bounds_is_named_as_wrong(name: str, wrong: tuple[str, ...]) -> None:
    found = diagnosis(FAULTS[name], "float32")
    assert found.wrong == wrong
    assert {*found.right, *found.blame.follows} == {"h", "dx", "dh0", "dWx", "dWh", "db"} - set(wrong)


@IN_BOTH
def test_correct_code_has_no_fault(dtype: str) -> None:
    found = explain(plain(dtype), compute(plain(dtype)), PRECISIONS[dtype])
    assert (found.status, found.names, found.start) == ("pass", frozenset(), None)
    assert str(found) == "No fault: h, dx, dh0, dWx, dWh, db are right (T=6, N=3, D=6, H=4)."


def upstream_cubed(case: Case) -> Evaluation:
    return compute(dataclasses.replace(case, upstream=case.upstream**3, probe=None))


def inputs_shrunk(case: Case) -> Evaluation:
    return compute(dataclasses.replace(case, xs=case.xs * 0.75, probe=None))


def dWh_noisy(case: Case) -> Evaluation:
    evaluation = compute(case)
    noise = np.random.default_rng(0).standard_normal(evaluation.dWh.shape)
    return dataclasses.replace(evaluation, dWh=(evaluation.dWh * (1 + 0.1 * noise)).astype(case.dtype))


def db_almost_halved(case: Case) -> Evaluation:
    evaluation = compute(case)
    return dataclasses.replace(evaluation, db=evaluation.db * np.asarray(0.501, case.dtype))


@IN_BOTH
@pytest.mark.parametrize("subject", [upstream_cubed, inputs_shrunk, dWh_noisy, db_almost_halved])
def test_an_unknown_fault_matches_nothing(subject: Callable[[Case], Evaluation], dtype: str) -> None:
    found = explain(plain(dtype), subject(plain(dtype)), PRECISIONS[dtype])
    assert found.status == "fail"
    assert found.comparable
    assert (found.names, found.arithmetic) == (frozenset(), None)
    assert str(found).endswith("\nNo diagnosis: no fault of the catalogue returns this.")


def test_results_are_copied_before_a_subject_overwrites_them() -> None:
    fields: list[Any] = []

    def overwriting(case: Case) -> Evaluation:
        for array in fields[:-6]:
            array[...] = 7
        answer = FAULTS["dWh transposed"].subject()(case)
        fields.extend(answer.fields().values())
        return answer

    first = tried(overwriting, plain("float32"), PRECISIONS["float32"])
    tried(overwriting, plain("float32"), PRECISIONS["float32"])
    assert all((array == 7).all() for array in fields[:12])
    assert first.wrong == ("dWh",)


def test_a_failure_of_states_starts_at_the_first_wrong_step() -> None:
    found = diagnosis(FAULTS["state reset after 4 steps"], "float64")
    assert found.start is not None
    assert (found.start.quantity, found.start.index[0]) == ("h", 4)


def test_a_failure_of_gradients_starts_at_the_last_wrong_step() -> None:
    found = diagnosis(FAULTS["BPTT truncated at 3"], "float64")
    assert found.start is not None
    assert (found.start.quantity, found.start.index[0]) == ("A", 2)


@pytest.mark.parametrize("seed", range(5))
def test_the_start_is_in_the_probe_for_every_place_of_its_columns(seed: int) -> None:
    case = plain().unprobed().probed(seed)
    evaluation = FAULTS["derivative 1 - h"].subject()(case)
    found = explain(case, evaluation, PRECISIONS["float64"])
    assert_named(found, "derivative 1 - h")
    assert found.start is not None
    assert case.probe is not None
    *place, unit = found.start.index
    assert found.start.quantity == "A"
    assert place[0] == case.sizes["T"] - 1
    assert found.start.actual == evaluation.dxs[(*place, case.probe[unit])]
    last = explain(plain(), FAULTS["derivative 1 - h"].subject()(plain()), PRECISIONS["float64"])
    assert last.start == found.start


def test_without_the_probe_no_gradient_at_the_sums_is_named() -> None:
    case = plain(T=3).unprobed()
    found = explain(case, FAULTS["derivative 1 - h"].subject()(case), PRECISIONS["float64"])
    assert_named(found, "derivative 1 - h")
    assert str(found.start).startswith("It starts at dx[2, ")


def test_the_start_is_a_sentence_with_the_numbers() -> None:
    start = Start("A", (2, 0, 1), 0.5, 0.25, 1e-3, 250.0)
    assert str(start) == "It starts at A[2, 0, 1]: expected 0.25, got 0.5; |error| 0.25 is 250 x its bound 0.001."


def test_too_wide_bounds_give_no_diagnosis() -> None:
    case = Case.random(30, 3, 2, 4, seed=1, dtype="float16", norm=2.0)
    found = explain(case, compute(case), PRECISIONS["float16"])
    assert (found.status, found.names) == ("inconclusive", frozenset())
    assert str(found) == "No diagnosis: the bounds are too wide to decide (T=30, N=3, D=2, H=4)."


def test_what_a_fault_returns_in_the_place_of_zeros_may_be_rounded() -> None:
    case = Case.random(1, 1, 1, 1, dtype="float32", seed=3)
    case = case.replacing(h0=0 * case.h0)
    answer = FAULTS["h[t] for h[t-1] in dWh"].subject()(case)
    assert not compute(case).dWh.any()
    for ulps, name in ((1, "h[t] for h[t-1] in dWh"), (10_000, None)):
        dWh = answer.dWh + ulps * np.spacing(answer.dWh)
        assert explain(case, dataclasses.replace(answer, dWh=dWh), PRECISIONS["float32"]).names == ({name} - {None})


def test_a_broken_contract_comes_first() -> None:
    found = explain_subject(FAULTS["parameter mutated"].subject(), plain(), PRECISIONS["float64"])
    lines = str(found).splitlines()
    assert found.status == "contract"
    assert lines[0].startswith("contract: expected the case's Wh unchanged, got others (")
    assert lines[-2] == "Everything returned equals the result of this fault:"
    assert lines[-1] == "  `parameter mutated`: Applies the gradient to Wh inside backward."


def test_an_error_is_an_account_without_a_fault() -> None:
    def crashing(case: Case) -> Evaluation:
        raise OSError("no such device")

    seen = tried(crashing, plain(), PRECISIONS["float64"])
    assert (seen.status, seen.account) == ("contract", "raised OSError: no such device")
    found = explain_subject(crashing, plain(), PRECISIONS["float64"])
    assert str(found) == "raised OSError: no such device\nNo diagnosis: no fault of the catalogue returns this."


def test_correct_code_has_nothing_to_explain() -> None:
    with pytest.raises(ValueError, match=r"^shrink_subject: expected a case that the subject fails, got none \(T=6, "):
        explain_subject(compute, plain(), PRECISIONS["float64"])


def test_a_search_that_runs_out_of_trials_is_mentioned() -> None:
    subject, case = FAULTS["dWh transposed"].subject(), plain(T=9, N=5)
    found = explain_subject(subject, case, PRECISIONS["float64"], tries=7)
    assert str(found).splitlines()[-1] == "The search for a smaller case ended after 7 trials."
    assert_named(found, "dWh transposed")
    assert "ended after" not in str(explain_subject(subject, case, PRECISIONS["float64"]))


def test_a_stack_is_explained_by_its_first_failing_case() -> None:
    stack = plain(stack=3)
    right, wrong = compute(stack), FAULTS["db missing"].subject()(stack)
    mixed = dataclasses.replace(right, db=np.stack([right.db[0], wrong.db[1], wrong.db[2]]))
    found = explain(stack, mixed, PRECISIONS["float64"])
    assert found.case.xs.tobytes() == stack[1].xs.tobytes()
    assert_named(found, "db missing")


def test_a_gradient_that_is_not_offered_is_not_judged() -> None:
    evaluation = dataclasses.replace(FAULTS["db missing"].subject()(plain()), dWx=None, dh0=None)
    assert_named(explain(plain(), evaluation, PRECISIONS["float64"]), "db missing")


def test_a_case_with_too_much_rounding_is_not_compared() -> None:
    long = Case.random(200, 2, 2, 4, seed=1, dtype="float32", norm=3.0).probed()
    found = explain(long, FAULTS["derivative 1 - h"].subject()(long), PRECISIONS["float32"])
    assert (found.status, found.comparable, found.names) == ("fail", False, frozenset())
    assert str(found).endswith("\nNo diagnosis: rounding leaves too few digits to recognise a fault.")


def test_fresh_cases_distinguish_faults_that_match_the_shrunk_case() -> None:
    long = Case.random(200, 2, 2, 4, seed=1, dtype="float32", norm=3.0).probed()
    found = explain_subject(FAULTS["db averaged over N"].subject(), long, PRECISIONS["float32"])
    assert found.case.sizes == {"T": 1, "N": 2, "D": 1, "H": 1}
    assert_named(found, "db averaged over N")
    # With two rows, the mean is half of the sum.
    small = explain(found.case, FAULTS["db halved"].subject()(found.case), PRECISIONS["float32"])
    assert {"db halved", "db averaged over N"} <= small.names


def test_account_fits_on_one_screen() -> None:
    found = diagnosis(FAULTS["h[t] for h[t-1] in dWh"], "float32")
    lines = str(found).splitlines()
    assert lines[0] == "dWh is wrong; h, dx, dh0, dWx, db are right (T=6, N=3, D=6, H=4)."
    assert lines[1].startswith("It starts at dWh[")
    assert lines[2] == "Everything returned equals the result of this fault:"
    assert lines[3] == (
        "  `h[t] for h[t-1] in dWh`: Multiplies A[t] by the state after the step, not by the one before."
    )


def test_two_matches_are_called_indistinguishable() -> None:
    one = np.ones((1, 1))
    case = Case(one[None], 0 * one, Params(one, one, one[0]), one[None])
    found = explain(case, FAULTS["step 0 missing"].subject()(case), PRECISIONS["float64"])
    assert found.names == {"step 0 missing", "last row of the batch missing"}
    assert str(found).splitlines()[-3:] == [
        "Everything returned equals the result of each of these faults, which are indistinguishable here:",
        "  `last row of the batch missing`: Ends the loop over the batch one row early.",
        "  `step 0 missing`: Ends the backward loop before the gradients of step 0 are added.",
    ]


def test_many_matches_fit_on_one_screen() -> None:
    found = Diagnosis(plain(), "fail", Blame(("h",)), None, None, matches=Matches(tuple(FAULTS)[:9]))
    lines = str(found).splitlines()
    assert len(lines) == 9
    assert lines[-1] == "  and 3 more"


# Mistakes in code of frameworks.


def torch_subject(**options: Any) -> Callable[[Case], Evaluation]:
    """Return ``nn.RNNCell``, stepped, with the mistakes whose options are set."""
    torch = pytest.importorskip("torch")

    def subject(case: Case) -> Evaluation:
        dtype = getattr(torch, options.get("dtype", case.dtype))
        xs, h0, upstream = (torch.tensor(array).to(dtype) for array in (case.xs, case.h0, case.upstream))
        bias, f = case.params.b is not None, options.get("f", case.nonlinearity)
        cell = torch.nn.RNNCell(xs.shape[-1], h0.shape[-1], bias=bias, nonlinearity=f, dtype=dtype)
        Wh = case.params.Wh if options.get("transposed") else case.params.Wh.T
        values = [case.params.Wx.T, Wh] + ([case.params.b, options.get("biases", 0) * case.params.b] if bias else [])
        with torch.no_grad():
            for parameter, value in zip(cell.parameters(), values, strict=True):
                parameter.copy_(torch.tensor(value))
        xs.requires_grad_()
        h0.requires_grad_()
        states = [0 * h0 if options.get("h0_ignored") else h0]
        for t, x in enumerate(xs.unbind()):
            carried = states[-1].detach() if t and t % options.get("detach", len(xs) + 1) == 0 else states[-1]
            states.append(cell(x, carried))
        hs = torch.stack(states[1:])
        loss = (hs[-1] * upstream[-1]).sum() if options.get("last") else (hs * upstream).sum()
        weights = list(cell.parameters())[: 3 if bias else 2]
        dxs, dh0, dWx, dWh, *db = torch.autograd.grad(loss, (xs, h0, *weights))
        share = 1 / len(h0) if options.get("mean") else 1
        arrays = (hs, dxs, dh0, share * dWx.T, share * dWh.T, *(share * each for each in db))
        return Evaluation(*(array.detach().to(getattr(torch, case.dtype)).numpy().copy() for array in arrays))

    return subject


@IN_BOTH
@pytest.mark.parametrize(
    ("mistake", "name"),
    [
        ({"transposed": True}, "Wh transposed"),
        ({"biases": 1}, "bias doubled"),
        ({"f": "relu"}, "relu for tanh"),
        ({"h0_ignored": True}, "h0 ignored"),
        ({"detach": 3}, "BPTT truncated at 3"),
        ({"detach": 2}, "BPTT truncated at 2"),
        ({"detach": 5}, "BPTT truncated at 5"),
        ({"detach": 1}, "no BPTT"),
        ({"last": True}, "upstream of the last step only"),
        ({"mean": True}, "averaged over N"),
    ],
    ids=str,
)
def test_a_mistake_in_torch_code_is_named(mistake: dict[str, Any], name: str, dtype: str) -> None:
    found = explain_subject(torch_subject(**mistake), plain(dtype), PRECISIONS[dtype].with_tanh(1.0))
    assert_named(found, name)


@IN_BOTH
def test_two_mistakes_at_once_are_not_called_one(dtype: str) -> None:
    found = explain_subject(torch_subject(h0_ignored=True, mean=True), plain(dtype), PRECISIONS[dtype].with_tanh(1.0))
    assert {"h", "dh0"} <= {*found.wrong, *found.elsewhere}
    assert not found.names


BITS = {"float32": 24, "bfloat16": 8, "float16": 11}


@pytest.mark.parametrize(("dtype", "inner"), [("float64", "float32"), ("float32", "bfloat16"), ("float32", "float16")])
def test_fewer_digits_in_torch_code_are_recognised(dtype: str, inner: str) -> None:
    case = plain(dtype, norm=1.5)
    found = explain(case, torch_subject(dtype=inner)(case), PRECISIONS[dtype].with_tanh(1.0))
    assert not found.names
    assert "No diagnosis" not in str(found)
    assert f"\nLooks like {inner}: every value of the wrong quantities fits in {BITS[inner]} bits." in str(found)


@pytest.mark.parametrize("quantity", ["hs", "dxs", "dh0", "dWx", "dWh", "db"])
def test_fewer_digits_in_one_quantity_match_no_fault(quantity: str) -> None:
    right = compute(plain())
    rounded = getattr(right, quantity).astype("float32").astype("float64")
    found = explain(plain(), dataclasses.replace(right, **{quantity: rounded}), PRECISIONS["float64"])
    assert (found.status, found.names) == ("fail", frozenset())
    # The other quantities are compared with steps from the returned states and A.
    if quantity not in ("hs", "dxs"):
        assert str(found).endswith("\nLooks like float32: every value of the wrong quantities fits in 24 bits.")


@pytest.mark.parametrize("number", [0.0, np.nan, np.inf])
def test_arrays_without_digits_name_no_format(number: float) -> None:
    found = explain(plain(), dataclasses.replace(compute(plain()), db=np.full(4, number)), PRECISIONS["float64"])
    assert found.wrong == ("db",)
    assert "Looks like" not in str(found)


def test_digits_alone_do_not_make_a_rounding() -> None:
    cut = compute(plain()).map(lambda array: (array * 0.75).astype("float32").astype("float64"))
    found = explain(plain(), cut, PRECISIONS["float64"])
    assert not found.names
    assert str(found).endswith("\nLooks like float32: every value of the wrong quantities fits in 24 bits.")


def test_fewer_digits_in_products_are_recognised_by_the_size_of_the_errors() -> None:
    """Compute products in float16 and states in float32, as a fault of the catalogue does, with other roundings."""
    case = plain("float32", seed=3)
    nudged = dataclasses.replace(case, h0=np.nextafter(case.h0, np.float32(2)))
    found = explain(case, FAULTS["products in float16"].subject()(nudged), PRECISIONS["float32"])
    assert "products in float16" in found.names or "Looks like TF32: the largest error is " in str(found)


def test_correct_torch_code_has_no_fault() -> None:
    case = plain("float32")
    assert explain(case, torch_subject()(case), PRECISIONS["float32"].with_tanh(1.0)).status == "pass"


@IN_BOTH
def test_a_mistake_in_jax_code_is_named(dtype: str) -> None:
    jax = pytest.importorskip("jax")
    jnp = jax.numpy

    @jax.custom_vjp  # type: ignore[untyped-decorator]
    def tanh(a: Any) -> Any:
        return jnp.tanh(a)

    def forward(a: Any) -> Any:
        return jnp.tanh(a), jnp.tanh(a)

    tanh.defvjp(forward, lambda h, dh: (dh * (1 - h),))

    @jax.jit  # type: ignore[untyped-decorator]
    def run(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any) -> Any:
        def states(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
            return jax.lax.scan(lambda h, x: (tanh(h @ Wh + x @ Wx + b),) * 2, h0, xs)[1]

        hs, pull_back = jax.vjp(states, xs, h0, Wx, Wh, b)
        return hs, *pull_back(upstream)

    def subject(case: Case) -> Evaluation:
        with jax.enable_x64(case.dtype == "float64"):
            weights = case.params.Wx, case.params.Wh, case.params.b
            return Evaluation(*run(case.xs, case.h0, *weights, case.upstream)).map(np.array)

    found = explain(plain(dtype), subject(plain(dtype)), PRECISIONS[dtype].with_tanh(8.0))
    assert_named(found, "derivative 1 - h")

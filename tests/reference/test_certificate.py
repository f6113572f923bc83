"""certify: a thousand steps certified at the accuracy of one, and the text of the verdict."""

import re
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference import PRECISIONS, Case, Evaluation, Mismatch, Params, Verdict, certify, evaluate
from reference.bounded import U64

FLOAT32 = PRECISIONS["float32"]
QUANTITIES = {"h": "hs", "dx": "dxs", "dh0": "dh0", "dWx": "dWx", "dWh": "dWh", "db": "db"}


@cache
def long_case(T: int = 1000, norm: float = 1.0) -> Case:
    return Case.random(T, 4, 3, 5, seed=1, dtype="float32", norm=norm).probed()


@pytest.fixture(scope="module")
def thousand_steps(plain_rnn: Any) -> Verdict:
    return certify(long_case(), plain_rnn()(long_case()), FLOAT32)


def judge(case: Case, evaluation: Evaluation) -> Verdict:
    return certify(case, evaluation, FLOAT32)


def changed(evaluation: Evaluation, field: str, index: Any, value: Any) -> Evaluation:
    array = np.array(evaluation.fields()[field])
    array[index] = value
    return replace(evaluation, **{field: array})


# A thousand steps.


def test_a_thousand_correct_steps_pass(thousand_steps: Verdict) -> None:
    thousand_steps.require()
    assert all(0 < worst.ratio < 1 for worst in thousand_steps.worst.values())


@pytest.mark.parametrize("quantity", ["h", "dx", "dh0"])
def test_the_relative_bounds_of_a_thousand_steps_are_those_of_one(thousand_steps: Verdict, quantity: str) -> None:
    assert thousand_steps.relative_bound[quantity] < 2e-5


@pytest.mark.parametrize("quantity", ["dWx", "dWh", "db"])
def test_bounds_of_weight_gradients_are_those_of_one_sum(
    thousand_steps: Verdict, quantity: str, plain_rnn: Any
) -> None:
    """The bound counts T * N products and sums, u of A and u of h. Eight roundings cover terms of second order."""
    case, hs = long_case().unprobed(), thousand_steps.evaluation.hs
    A = np.abs(thousand_steps.evaluation.dxs[..., 3:].astype(float)).reshape(4000, 5)
    before = np.concatenate([case.h0[None], hs[:-1]])
    left = {"dWx": case.xs.reshape(4000, 3), "dWh": before.reshape(4000, 5), "db": np.ones((4000, 1))}[quantity]
    abs_sum = np.squeeze(np.abs(left.astype(float)).T @ A)
    bound = thousand_steps.compared[quantity].bound
    assert (bound[: len(abs_sum)] <= (4000 + 8) * (FLOAT32.u + U64) * abs_sum).all()
    assert (bound[: len(abs_sum)] >= 3999 * FLOAT32.u * abs_sum).all()


def test_probed_rows_of_the_weight_gradient_are_zero_exactly(thousand_steps: Verdict) -> None:
    compared = thousand_steps.compared["dWx"]
    assert not compared.actual[3:].any()
    assert compared.bound[3:].max() < 1e-30


def test_chaotic_weights_pass(plain_rnn: Any) -> None:
    case = long_case(T=200, norm=3.0)
    judge(case, plain_rnn("tree")(case)).require()


@given(
    field=st.sampled_from(["hs", "dxs", "dWx", "dWh", "db", "dh0"]),
    share=st.floats(0, 1, exclude_max=True),
    sign=st.sampled_from([-1, 1]),
)
def test_one_element_twice_its_bound_away_is_named(field: str, share: float, sign: int, plain_rnn: Any) -> None:
    case = long_case(T=50, norm=0.25)
    right = plain_rnn()(case)
    quantity = {field: name for name, field in QUANTITIES.items()}[field]
    compared = judge(case, right).compared[quantity]
    shape = (
        (*compared.expected.shape[:-1], 3) if field == "dxs" else compared.expected.shape
    )  # the next test covers the probe's columns
    shape = (3, 5) if field == "dWx" else shape
    index = tuple(int(i) for i in np.unravel_index(int(share * np.prod(shape)), shape))
    wrong = changed(right, field, index, compared.expected[index] + sign * 2 * compared.bound[index])
    verdict = judge(case, wrong)
    assert verdict.status == "fail"
    assert verdict.worst[quantity].index == index
    with pytest.raises(Mismatch, match=re.escape(f"float32 {quantity}{list(index)}: expected ")):
        verdict.require()


@given(t=st.integers(0, 49), n=st.integers(0, 3), j=st.integers(3, 7), sign=st.sampled_from([-1, 1]))
def test_one_gradient_of_a_pre_activation_twice_its_bound_away_fails(
    t: int, n: int, j: int, sign: int, plain_rnn: Any
) -> None:
    case = long_case(T=50)
    right = plain_rnn()(case)
    compared = judge(case, right).compared["dx"]
    off = compared.expected[t, n, j] + sign * 2 * compared.bound[t, n, j]
    verdict = judge(case, changed(right, "dxs", (t, n, j), off))
    assert verdict.status == "fail"
    assert verdict.compared["dx"].ratio[t, n, j] > 1


# NaN and infinity.


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("quantity", "field"), QUANTITIES.items())
def test_nan_and_infinity_fail_and_are_named(quantity: str, field: str, value: float, plain_rnn: Any) -> None:
    case = Case.random(dtype="float32")
    right = plain_rnn()(case)
    index = (0,) * (right.fields()[field].ndim - 1) + (2,)
    verdict = judge(case, changed(right, field, index, value))
    assert verdict.status == "fail"
    assert verdict.worst[quantity].ratio == np.inf
    assert verdict.worst[quantity].index == index
    with pytest.raises(
        Mismatch, match=rf"^float32 {quantity}{re.escape(str(list(index)))}: expected \S+, got {value:g}\n"
    ):
        verdict.require()


def poisoned(T: int) -> Case:
    case = Case.random(T, N=8, dtype="float32")
    xs = np.array(case.xs)
    xs[0, 1, 2] = np.nan
    return replace(case, xs=xs, finite=False)


@pytest.mark.parametrize("T", [1, 3])
def test_nan_where_the_oracle_has_it_is_no_failure(T: int, plain_rnn: Any) -> None:
    case = poisoned(T)
    assert judge(case, plain_rnn()(case)).status != "fail"


@pytest.mark.parametrize("T", [1, 3])
def test_nan_in_a_probed_case_is_no_failure(T: int, plain_rnn: Any) -> None:
    case = poisoned(T).probed()
    assert judge(case, plain_rnn()(case)).status != "fail"


@pytest.mark.parametrize("T", [1, 3])
@pytest.mark.parametrize(("quantity", "field"), QUANTITIES.items())
def test_nan_laundered_into_zero_fails(T: int, quantity: str, field: str, plain_rnn: Any) -> None:
    case = poisoned(T)
    right = plain_rnn()(case)
    laundered = replace(right, **{field: np.nan_to_num(right.fields()[field])})
    if field != "dh0" or T == 1:
        assert np.isnan(right.fields()[field]).any()
    verdict = judge(case, laundered)
    assert verdict.status == "fail"
    assert verdict.worst[quantity].ratio == np.inf


@pytest.mark.parametrize("name", ["Wx", "Wh", "b"])
def test_nan_in_one_parameter_stays_in_its_unit_for_one_step(name: str, plain_rnn: Any) -> None:
    case = Case.random(1, dtype="float32")
    array = np.array(getattr(case.params, name))
    array.reshape(-1, case.sizes["H"])[0, 2] = np.nan
    case = replace(case, params=replace(case.params, **{name: array}), finite=False).probed()
    right = plain_rnn()(case)
    for field in ("dWx", "dWh", "db"):
        of_its_unit = np.isnan(getattr(right, field)[..., 2])
        assert of_its_unit.all()
        assert np.isfinite(np.delete(getattr(right, field), 2, axis=-1)).all()
        spread = replace(right, **{field: np.nan * getattr(right, field)})
        lost = replace(right, **{field: np.nan_to_num(getattr(right, field))})
        assert [judge(case, answer).status for answer in (right, spread, lost)] == ["pass", "fail", "fail"]


@pytest.mark.parametrize(("nonlinearity", "value"), [("tanh", np.inf), ("relu", -np.inf), ("relu", np.nan)])
@pytest.mark.parametrize("name", ["xs", "h0", "upstream"])
def test_a_row_that_meets_no_infinity_is_compared_all_the_same(name: str, nonlinearity: str, value: float) -> None:
    clean = Case.random(T=3, N=3, dtype="float32", nonlinearity=nonlinearity, seed=3).probed()
    array = getattr(clean, name).copy()
    array[..., 1, 0] = value
    case = replace(clean, finite=False, **{name: array})
    with np.errstate(all="ignore"):
        right = evaluate(case).astype("float32")
    assert judge(case, right).status == "pass"
    for field, rows in (("dxs", (slice(None), 2)), ("dh0", (2,)), ("dxs", (0, 1)), ("dWx", (0, 0))):
        changed = getattr(right, field).copy()
        changed[rows] += 1
        untouched = field in ("dxs", "dh0") and rows[-1] == 2
        assert judge(case, replace(right, **{field: changed})).status == ("fail" if untouched else "pass"), field


def test_an_infinite_parameter_reaches_all_rows_and_the_states_are_compared() -> None:
    clean = Case.random(T=2, N=3, dtype="float32")
    Wx = clean.params.Wx.copy()
    Wx[0, 0] = np.inf
    case = replace(clean, params=replace(clean.params, Wx=Wx), finite=False)
    with np.errstate(all="ignore"):
        right = evaluate(case).astype("float32")
    assert judge(case, replace(right, dxs=0 * right.dxs + 1)).status == "pass"
    assert judge(case, replace(right, hs=np.nan_to_num(right.hs) / 2)).status == "fail"


@pytest.mark.parametrize("sign", [1, -1])
def test_infinity_is_the_only_answer_to_an_overflow(sign: int) -> None:
    """2e38 + 2e38 is too large for float32. Infinity is right; the largest number and minus infinity are wrong."""
    ones = np.ones((1, 1), np.float32)
    big = np.float32(sign * 2e38)
    case = Case(np.zeros((1, 1, 0), np.float32), ones, Params(ones[:0], ones), ones[None] * big, "relu")
    hs = np.full((2, 1, 1), 1.0, np.float32)
    case = replace(case, xs=np.zeros((2, 1, 0), np.float32), upstream=np.concatenate([case.upstream] * 2))
    dxs = np.zeros((2, 1, 0), np.float32)
    for dh0, status in ((sign * np.inf, "pass"), (-sign * np.inf, "fail"), (sign * 3.4e38, "fail"), (np.nan, "fail")):
        given = Evaluation(hs, dxs, np.full((1, 1), dh0, np.float32))
        assert judge(case, given).status == status, dh0


@pytest.mark.parametrize("actual", [3e38, np.inf])
def test_a_sum_that_overflows_in_some_order_only_may_do_so(actual: float) -> None:
    """3e38 + 3e38 - 3e38 is finite or infinite, depending on the order of the sum. It is never minus infinity."""
    ones, big = np.ones((3, 1), np.float32), np.array([[[3e38, 3e38, -3e38]]], np.float32)
    case = Case(big, np.zeros((1, 1), np.float32), Params(ones, ones[:1]), ones[None, :1], "relu")
    given = Evaluation(np.full((1, 1, 1), actual, np.float32))
    assert judge(case, given).status == "pass"
    assert judge(case, Evaluation(-given.hs)).status == "fail"


def test_runs_that_overflow_are_inconclusive_and_do_not_fail() -> None:
    case = Case.random(T=200, N=2, D=2, H=4, dtype="float32", nonlinearity="relu", norm=3.0, stack=8).probed()
    with np.errstate(all="ignore"):
        given = evaluate(case).astype("float32")
    verdict = judge(case, given)
    assert not np.isfinite(given.dWh).all()
    assert "fail" not in verdict.statuses
    assert "inconclusive" in verdict.statuses


def test_an_empty_stack_raises() -> None:
    case = Case.random(stack=0, dtype="float32")
    with pytest.raises(ValueError, match=r"^certify: expected at least one case, got a stack of 0 \(T=5, N=4"):
        judge(case, evaluate(case).astype("float32"))


# The place of the probe.


def moved(case: Case, field: str, array: Any) -> Any:
    """Return an array of a field with its columns moved from a probe in the last columns to the order of a case."""
    order = np.argsort([*case.inputs, *(case.probe or ())])
    return {"dxs": lambda: array[..., order], "dWx": lambda: array[..., order, :]}.get(field, lambda: array)()


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("values", ["plain", "nan", "poisoned"])
@given(seed=st.integers(0, 2**32 - 1), field=st.sampled_from(["none", *QUANTITIES.values()]), share=st.floats(0, 0.99))
def test_the_place_of_the_probe_changes_no_bound_and_no_verdict(
    dtype: str, nonlinearity: str, values: str, seed: int, field: str, share: float, plain_rnn: Any
) -> None:
    like: dict[str, Any] = {"nonlinearity": nonlinearity, "values": values, "dtype": dtype, "stack": 3}
    bare = Case.random(3, 2, 3, 4, seed=seed, **like)
    last, drawn = bare.probed(), bare.probed(seed)
    answer = plain_rnn()(last)
    if field != "none":
        array = answer.fields()[field]
        index = np.unravel_index(int(share * array.size), array.shape)
        answer = changed(answer, field, index, array[index] * np.asarray(1.5, dtype))
    one = certify(last, answer, PRECISIONS[dtype])
    elsewhere = Evaluation(**{name: moved(drawn, name, array) for name, array in answer.fields().items()})
    other = certify(drawn, elsewhere, PRECISIONS[dtype])
    assert one.statuses == other.statuses
    assert [(w.ratio, w.exceeding) for w in one.worst.values()] == [
        (w.ratio, w.exceeding) for w in other.worst.values()
    ]
    for quantity, name in QUANTITIES.items():
        for part in ("expected", "bound", "ratio"):
            found, expected = (getattr(verdict.compared[quantity], part) for verdict in (other, one))
            np.testing.assert_array_equal(found, moved(drawn, name, expected), err_msg=f"{quantity} {part}")


def test_a_wrong_element_is_at_its_place_among_the_inputs(plain_rnn: Any) -> None:
    case = Case.random(dtype="float32").probed(3)
    right = plain_rnn()(case)
    for column in range(9):
        wrong = changed(right, "dxs", (2, 1, column), right.dxs[2, 1, column] + 1)
        assert judge(case, wrong).compared["dx"].ratio[2, 1, column] > 1
        wrong = changed(right, "dWx", (column, 2), right.dWx[column, 2] + 1)
        assert judge(case, wrong).worst["dWx"].index == (column, 2)


# Inconclusive, and stacks.


def test_many_steps_without_a_probe_are_inconclusive(plain_rnn: Any) -> None:
    case = Case.random(T=40, dtype="float32", norm=3.0)
    verdict = judge(case, plain_rnn()(case))
    assert verdict.status == "inconclusive"
    message = r"^mine float32 d\w+: inconclusive, the bound is \S+ x the value's scale \(T=40, N=4, D=3, H=6\)$"
    with pytest.raises(Mismatch, match=message):
        verdict.require("mine")


def test_an_inconclusive_case_of_a_stack_is_counted(plain_rnn: Any) -> None:
    stack = Case.random(T=6, dtype="float32", norm=1.0, stack=3)
    scale = np.array([1, 1, 80], np.float32).reshape(3, 1, 1)
    stack = replace(stack, params=replace(stack.params, Wh=stack.params.Wh * scale))
    verdict = judge(stack, plain_rnn()(stack))
    assert verdict.statuses == ["pass", "pass", "inconclusive"]
    assert verdict.status == "inconclusive"
    width = re.search(r"the bound is (\S+) x the value's scale", str(verdict))
    assert width is not None
    assert float(width[1]) > 0.1


def test_every_case_of_a_stack_has_its_own_status(plain_rnn: Any) -> None:
    stack = Case.random(T=3, dtype="float32", stack=4).probed()
    right = plain_rnn()(stack)
    wrong = changed(right, "dWh", (2, 0, 1), right.dWh[2, 0, 1] + np.float32(0.01))
    verdict = judge(stack, wrong)
    assert verdict.statuses == ["pass", "pass", "fail", "pass"]
    assert verdict.worst["dWh"].index == (2, 0, 1)
    assert [verdict.of(k).status for k in range(4)] == verdict.statuses
    alone, together = judge(stack[2], wrong[2]).worst["dWh"], verdict.worst["dWh"]
    assert (alone.index, alone.actual, alone.exceeding) == ((0, 1), together.actual, together.exceeding)
    # In a stack, the products of the oracle may round differently; both results are within its bound.
    assert abs(alone.expected - together.expected) <= together.bound


def test_the_verdict_of_a_failure_is_kept(plain_rnn: Any) -> None:
    case = Case.random(T=1, dtype="float32")
    right = plain_rnn()(case)
    with pytest.raises(Mismatch) as caught:
        judge(case, changed(right, "hs", (0, 0, 0), 2.0)).require()
    assert caught.value.verdict is not None
    assert caught.value.verdict.worst["h"].actual == 2.0


def test_gradients_that_are_not_offered_are_not_compared(plain_rnn: Any) -> None:
    case = Case.random(T=3, dtype="float32").probed()
    right = plain_rnn()(case)
    verdict = judge(case, Evaluation(right.hs))
    assert list(verdict.compared) == ["h"]
    verdict.require()
    assert list(judge(case, replace(right, dxs=None)).compared) == ["h", "dh0", "dWx", "dWh", "db"]


@pytest.mark.parametrize("sizes", [{"T": 0}, {"N": 0}, {"D": 0}], ids=str)
@pytest.mark.parametrize("probed", [False, True])
def test_empty_axes_are_certified(sizes: dict[str, Any], probed: bool) -> None:
    case = Case.random(**({"T": 3} | sizes))
    case = case.probed() if probed else case
    certify(case, evaluate(case), PRECISIONS["float64"]).require()


# Messages.


def test_mismatch_has_the_whole_report() -> None:
    """By hand: dWh[0, 2] = h0[0] * A[2] = 1/2 * 3, and its bound is 3 u.

    h0 is exact. A = dh * 1 may err by 3 u, which makes 1/2 * 3 u = 1.5 u. The one product adds 1.5 u.
    """
    f = np.float32
    params = Params(np.ones((1, 3), f), np.zeros((3, 3), f))
    case = Case(np.ones((1, 1, 1), f), np.array([[0.5, 0.25, 1]], f), params, np.array([[[1, 2, 3]]], f), "relu")
    right = evaluate(case).astype("float32")
    passed = "float32: pass, largest |error| / bound 0 in h (T=1, N=1, D=1, H=3, relu, no bias)"
    assert str(judge(case, right)) == passed
    assert repr(judge(case, right)) == f"<Verdict {passed}>"
    account = (
        "mine float32 dWh[0, 2]: expected 1.5, got 1.75\n"
        "|error| 0.25 is 1.4e+06 x its bound 1.79e-07; 1 of 9 elements exceed theirs "
        "(T=1, N=1, D=1, H=3, relu, no bias)\n"
        "dWh is wrong; h, dx, dh0, dWx are right (T=1, N=1, D=1, H=3, relu, no bias)."
    )
    with pytest.raises(Mismatch, match=f"^{re.escape(account)}$"):
        judge(case, changed(right, "dWh", (0, 2), 1.75)).require("mine")


def test_every_quantity_that_fails_is_named(plain_rnn: Any) -> None:
    case = Case.random(T=1, dtype="float32")
    right = plain_rnn()(case)
    account = str(judge(case, replace(right, dWh=right.dWh + 1, dWx=right.dWx + 1)))
    assert [line.split("[")[0] for line in account.splitlines()[:-1:2]] == ["float32 dWx", "float32 dWh"]


FOUR, THREE = np.zeros((1, 4, 6)), np.zeros((1, 4, 3))


@pytest.mark.parametrize(
    ("found", "error", "message"),
    [
        ({"hs": None}, ValueError, "certify: expected hs of shape (1, 4, 6), got None (T=1, N=4, D=3, H=6)"),
        ({"hs": FOUR[0]}, ValueError, "certify: expected hs of shape (1, 4, 6), got (4, 6) (T=1, N=4, D=3, H=6)"),
        ({"dh0": FOUR}, ValueError, "certify: expected dh0 of shape (4, 6), got (1, 4, 6) (T=1, N=4, D=3, H=6)"),
        ({"dxs": FOUR}, ValueError, "certify: expected dxs of shape (1, 4, 3), got (1, 4, 6) (T=1, N=4, D=3, H=6)"),
        ({"dWx": THREE[0]}, ValueError, "certify: expected dWx of shape (3, 6), got (4, 3) (T=1, N=4, D=3, H=6)"),
        (
            {"hs": FOUR.astype("float32")},
            TypeError,
            "certify: expected hs as an array of float64, got float32 (T=1, N=4, D=3, H=6)",
        ),
        ({"dWh": [[0.0]]}, TypeError, "certify: expected dWh as an array of float64, got list (T=1, N=4, D=3, H=6)"),
        (
            {"db": np.zeros(6)},
            ValueError,
            "certify: expected no db for a cell without bias, got (6,) (T=1, N=4, D=3, H=6)",
        ),
    ],
)
def test_an_evaluation_that_does_not_fit_raises(found: Any, error: type[Exception], message: str) -> None:
    case = Case.random(T=1, bias=False)
    with pytest.raises(error, match=re.escape(message)):
        certify(case, replace(evaluate(case), **found), PRECISIONS["float64"])


def test_a_precision_of_another_dtype_raises() -> None:
    case = Case.random(T=1)
    message = "certify: expected a case of dtype float32, got float64 (T=1, N=4, D=3, H=6)"
    with pytest.raises(TypeError, match=re.escape(message)):
        certify(case, evaluate(case), FLOAT32)

"""Chunks of cases and rows: the division of a case into chunks does not change its verdict."""

import importlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from reference import PRECISIONS, Case, Evaluation, Verdict, certify, evaluate
from reference.certify import chunks

# In the package, this name is the function and not the module.
MODULE = importlib.import_module("reference.certify")


def judge(case: Case, answer: Evaluation, monkeypatch: pytest.MonkeyPatch, chunk: int) -> Verdict:
    monkeypatch.setattr(MODULE, "CHUNK", chunk)
    verdict = certify(case, answer, PRECISIONS[case.dtype])
    # The first access computes the elements, so it has to happen with this size of chunks.
    assert verdict.compared
    return verdict


def places(case: Case, chunk: int, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int, int, bool]]:
    monkeypatch.setattr(MODULE, "CHUNK", chunk)
    found = chunks(case)
    return [(one.cases.start, one.cases.stop, one.rows.start, one.rows.stop, one.is_last) for one in found]


def test_chunks_are_whole_cases_or_rows_of_one_no_smaller_than_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case.random(T=2, N=3, D=1, H=4, stack=5)
    assert places(case, 48, monkeypatch) == [(0, 2, 0, 3, True), (2, 4, 0, 3, True), (4, 5, 0, 3, True)]
    rows = [(0, 2, False), (2, 3, True)]
    assert places(case, 16, monkeypatch) == [(k, k + 1, *row) for k in range(5) for row in rows]
    # Two rows are as large as Wh.
    assert places(case[0], 1, monkeypatch) == [(0, 1, *row) for row in rows]
    assert places(case[0], 10**6, monkeypatch) == [(0, 1, 0, 3, True)]


@pytest.mark.parametrize("sizes", [{"T": 0}, {"N": 0}, {"D": 0}], ids=str)
def test_there_is_a_chunk_of_empty_axes(sizes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(places(Case.random(**({"N": 1} | sizes)), 1, monkeypatch)) == 1


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("upstream", ["every", "last", "one"])
@pytest.mark.parametrize("stack", [None, 3])
@pytest.mark.parametrize("probed", [False, True])
def test_rows_one_by_one_have_the_verdict_of_all_at_once(
    nonlinearity: str, upstream: str, stack: int | None, probed: bool, plain_rnn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    like: dict[str, Any] = {"stack": stack, "nonlinearity": nonlinearity, "upstream": upstream}
    case = Case.random(4, 9, dtype="float32", **like)
    case = case.probed(1) if probed else case
    answer = plain_rnn()(case)
    one, all_ = (judge(case, answer, monkeypatch, chunk) for chunk in (1, 10**6))
    for name, whole in all_.compared.items():
        cut = one.compared[name]
        np.testing.assert_allclose(cut.expected, whole.expected, rtol=1e-12, atol=1e-14)
        assert one.worst[name].size == all_.worst[name].size == cut.actual.size
        # A sum in nine parts has eight additions more than its 36 products.
        assert (cut.bound >= whole.bound * (1 - 1e-12)).all()
        assert (cut.bound <= whole.bound * (1 + 9 / 36)).all()
    # There were several chunks, because a sum in parts has a larger bound.
    assert (one.compared["dWh"].bound > all_.compared["dWh"].bound).any()
    assert one.statuses == all_.statuses
    assert (np.abs(one.relative_bounds / all_.relative_bounds - 1) < 9 / 36).all()


@pytest.mark.parametrize("values", ["nan", "poisoned"])
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_nan_and_infinity_have_the_same_verdict_in_chunks(
    values: str, nonlinearity: str, plain_rnn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case.random(3, 5, dtype="float32", stack=20, values=values, nonlinearity=nonlinearity).probed(1)
    answer = plain_rnn()(case)
    wrong = replace(answer, hs=np.nan_to_num(answer.hs), dxs=np.nan_to_num(answer.dxs))
    for evaluation in (answer, wrong):
        one, all_ = (judge(case, evaluation, monkeypatch, chunk) for chunk in (1, 10**6))
        assert one.statuses == all_.statuses
        for name, whole in all_.compared.items():
            np.testing.assert_array_equal(one.compared[name].ratio > 1, whole.ratio > 1, err_msg=name)
    assert "fail" in all_.statuses


def test_a_wrong_row_of_a_late_chunk_is_reported_with_its_place(
    plain_rnn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case.random(9, 5, dtype="float32").probed()
    right = plain_rnn()(case)
    hs = np.array(right.hs)
    hs[7, 4, 1] *= np.float32(1.001)
    verdict = judge(case, replace(right, hs=hs), monkeypatch, chunk=1)
    assert verdict.status == "fail"
    assert verdict.worst["h"].index == (7, 4, 1)
    assert verdict.compared["h"].ratio[7, 4, 1] == verdict.worst["h"].ratio


@pytest.mark.parametrize("chunk", [1, 300, 10**6])
def test_a_wrong_case_of_a_stack_is_reported_with_its_place(
    chunk: int, plain_rnn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = Case.random(3, 4, dtype="float32", stack=6).probed(2)
    right = plain_rnn()(stack)
    for field, quantity, index in (("hs", "h", (4, 1, 3, 2)), ("dh0", "dh0", (5, 3, 0)), ("dWh", "dWh", (3, 0, 2))):
        array = np.array(right.fields()[field])
        array[index] += np.float32(0.01)
        verdict = judge(stack, replace(right, **{field: array}), monkeypatch, chunk)
        assert verdict.worst[quantity].index == index
        assert [k for k, status in enumerate(verdict.statuses) if status == "fail"] == [index[0]]
        assert verdict.compared[quantity].ratio[index] == verdict.worst[quantity].ratio


def test_a_direction_has_the_same_verdict_in_chunks(plain_rnn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case.random(3, 4, stack=3, dtype="float32", direction=True).probed(1)
    answer = evaluate(case).astype("float32")
    dWh_dot = np.array(answer.dWh_dot)
    dWh_dot[1, 2, 3] *= np.float32(1.01)
    for evaluation, statuses in ((answer, ["pass"] * 3), (replace(answer, dWh_dot=dWh_dot), ["pass", "fail", "pass"])):
        for chunk in (1, 10**6):
            verdict = judge(case, evaluation, monkeypatch, chunk)
            assert verdict.statuses == statuses
            assert verdict.compared["hvp dWh"].actual.shape == (3, 6, 6)
    assert verdict.worst["hvp dWh"].index == (1, 2, 3)

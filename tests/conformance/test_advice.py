"""Advice for the author of an adapter: sentences on the errors in one small case."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adapters import Adapter, Unsupported, gated
from adapters.conformance import check
from adapters.conformance.advice import advise, pace
from adapters.conformance.discovery import as_adapter
from reference import Case, Evaluation
from reference.faults import compute
from tests.conformance import cells

HEAD = r"{} float32, one case of tanh \(T=3, N=2, D=4, H=5\):\n"
RIGHT = r"Apart from that, the numbers are right\."
WRONG: dict[Callable[[Case], Any], str] = {
    cells.transposed: r"expected dWx of shape \(D, H\) = \(4, 5\), got \(5, 4\); its axes are \(H, D\)\.\n"
    r"Apart from that, numbers are wrong:\nfloat32 dWh\[(.|\n)*`dWh transposed`",
    cells.only_dwh_transposed: r"float32 dWh\[(.|\n)*dWh is wrong; h, dx, dh0, dWx, db are right(.|\n)*`dWh transp",
    cells.doubled: r"float32 db\[(.|\n)*db is wrong(.|\n)*`db summed twice`",
    cells.averaged: r"float32 db\[(.|\n)*db is wrong(.|\n)*`db averaged over N`",
    cells.negative: r"float32 dh0\[(.|\n)*\ndh0 is wrong; h, dx, dWx, dWh, db are right",
    cells.batch_first: r"expected hs of shape \(T, N, H\) = \(3, 2, 5\), got \(2, 3, 5\); its axes are \(N, T, H\)\.\n"
    rf"expected dxs of shape \(T, N, D\) = \(3, 2, 4\), got \(2, 3, 4\); its axes are \(N, T, D\)\.\n{RIGHT}",
    cells.without_batch: r"expected hs of shape \(T, N, H\) = \(3, 2, 5\), got \(3, 5\); axis N is missing\.$",
    cells.without_dwh: rf"expected dWh of shape \(H, H\) = \(5, 5\), got None\.\n{RIGHT}",
    cells.without_hs: r"expected hs of shape \(T, N, H\) = \(3, 2, 5\), got None\.$",
    cells.in_float64: rf"expected hs as an array of float32, got an array of float64\.\n(.*\n)*{RIGHT}",
    cells.lists: rf"expected dh0 as an array of float32, got a list of 2\.\n{RIGHT}",
    cells.objects: rf"expected dh0 as an array of float32, got a function; np.asarray raises: .*function.*\.\n{RIGHT}",
    cells.unsummed: rf"expected db of shape \(H,\) = \(5,\), got \(2, 5\); it is not summed over N\.\n{RIGHT}",
    cells.two_biases: rf"expected db of shape \(H,\) = \(5,\), got \(10,\)\.\n{RIGHT}",
    cells.with_four_gates: rf"expected db of shape \(H,\) = \(5,\), got \(20,\); H is there 4 times, as in lstm: "
    rf"judge it as Adapter\(\.\.\., \*\*gated\('lstm'\)\)\.\n{RIGHT}",
    cells.with_three_gates: rf"expected db of shape \(H,\) = \(5,\), got \(15,\); H is there 3 times, as in gru or "
    rf"gru_reset_before: judge it as Adapter\(\.\.\., \*\*gated\('gru'\)\)\.\n{RIGHT}",
    cells.in_a_column: rf"expected db of shape \(H,\) = \(5,\), got \(1, 5\); it is not summed\.\n{RIGHT}",
    cells.nothing: r"It returned None: expected an Evaluation; write Evaluation\(hs, dxs, dh0, dWx, dWh, db\)\.$",
    cells.a_list: r"It returned a list of 6: expected an Evaluation; write Evaluation\(",
    cells.crashing: r"It raised RuntimeError: the kernel died \(.*cells.py:\d+\)\.\n"
    r"It was given xs \(T, N, D\) = \(3, 2, 4\), h0 \(N, H\) = \(2, 5\), upstream \(T, N, H\) = \(3, 2, 5\)\.$",
    cells.leaving: r"It called sys.exit\(3\): expected an Evaluation \(.*cells.py:\d+\)\.$",
    cells.mutating: r"It wrote to a read-only array, as those of the case are: copy what you change \(.*cells",
    cells.sharing: r"contract: expected the case's h0 unchanged, got others \(T=3, N=2, D=4, H=5\)\.$",
}


@pytest.mark.parametrize("cell", WRONG, ids=lambda cell: cell.__name__)
def test_a_wrong_cell_gets_advice(cell: Callable[[Case], Any]) -> None:
    told = "\n".join(advise(as_adapter(cell)))
    assert re.match(HEAD.format(cell.__name__) + WRONG[cell], told), told


def test_a_right_cell_gets_no_advice() -> None:
    assert [advise(as_adapter(cells.right), dtype) for dtype in (None, "float64", "bfloat16", "float16")] == [[]] * 4


OTHERWISE = r". If it does not support such cases, raise Unsupported where {}{}\."
DECLARE = r", or declare Adapter\(\.\.\., {}\)"
OTHER_KINDS: dict[Callable[[Case], Any], tuple[str, str, str]] = {
    cells.without_relu: (
        "With relu: h, dx, dh0, dWx, dWh, db are wrong",
        'case.nonlinearity is "relu"',
        DECLARE.format(r'nonlinearities=\("tanh",\)'),
    ),
    cells.needing_a_bias: (r"Without a bias: raised TypeError: .* \(.*cells.py:\d+\)", "case.params.b is None", ""),
    cells.needing_a_step: (
        r"Without a step: raised IndexError: .* \(.*cells.py:\d+\)",
        r"len\(case.xs\) is 0",
        DECLARE.format(r'unsupported=\("T=0",\)'),
    ),
    cells.needing_a_row: (
        r"Without a row: raised IndexError: .* \(.*cells.py:\d+\)",
        r"len\(case.h0\) is 0",
        DECLARE.format(r'unsupported=\("N=0",\)'),
    ),
    cells.with_a_bias_always: (
        r"Without a bias: contract: expected no db, got an array of float32 \(.*\)",
        "case.params.b is None",
        "",
    ),
}


@pytest.mark.parametrize("cell", OTHER_KINDS, ids=lambda cell: cell.__name__)
def test_a_fault_in_cases_of_another_kind_is_one_sentence(cell: Callable[[Case], Any]) -> None:
    (told,) = advise(as_adapter(cell))[1:]
    what, condition, declare = OTHER_KINDS[cell]
    assert re.fullmatch(what + OTHERWISE.format(condition, declare), told), told


@pytest.mark.parametrize("declared", [{"unsupported": ("T=0",)}, {}])
def test_a_cell_that_is_declared_as_the_advice_says_passes(declared: dict[str, Any]) -> None:
    ulps = {"float32": 2.5}
    report = check(
        Adapter("mine", cells.needing_a_step, "needs a step", np.tanh, ulps, **declared),
        on_fail="report",
        stacks=1,
        only=["shapes"],
    )
    assert report.rows[0].status == ("pass" if declared else "fail")


@pytest.mark.parametrize("lacks", [(), ("bn",)])
def test_no_case_has_a_parameter_that_a_framework_lacks(lacks: tuple[str, ...]) -> None:
    seen: list[Case] = []

    def subject(case: Case) -> Evaluation:
        seen.append(case)
        return compute(case)

    like: dict[str, Any] = {"takes_stacks": True} | gated("gru", lacks=lacks)
    mine = Adapter("mine.gru", subject, "a GRU", np.tanh, {"float32": 2.5}, **like)
    check(mine, only=["step", "layers"])
    assert any(case.params.b is not None for case in seen)
    assert any(case.params.bn is not None for case in seen) is not bool(lacks)
    if lacks:
        with pytest.raises(Unsupported, match=r"mine.gru: expected a case without bn, got one with it \(T=5, .*gru\)"):
            mine(Case.random(cell="gru", dtype="float32"))


def test_what_is_unsupported_in_other_kinds_is_no_fault() -> None:
    def choosy(case: Case) -> Evaluation:
        if case.nonlinearity != "tanh" or case.params.b is None or not case.xs.size:
            raise Unsupported("tanh, and a bias, and a step, and a row")
        return compute(case)

    assert advise(as_adapter(choosy)) == []


def test_the_place_is_in_one_s_own_code() -> None:
    def choosing(case: Case) -> Evaluation:
        # An error that is raised in a file of NumPy.
        return np.linalg.inv(np.zeros((2, 3)))  # type: ignore[return-value]

    line = choosing.__code__.co_firstlineno + 2
    (told, _) = advise(as_adapter(choosing))[1:]
    assert told.startswith("It raised LinAlgError: ")
    assert told.endswith(f"test_advice.py:{line}).")


@pytest.mark.parametrize(("seconds", "is_slow"), [(0.04, False), (0.3, True)])
def test_a_call_that_takes_long_is_a_hint(seconds: float, is_slow: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(step=seconds)
    monkeypatch.setattr("adapters.conformance.advice.perf_counter", lambda: next(clock))
    hint = pace(as_adapter(cells.right), "float32")
    told = "slow  right: a call on a case of T=3, N=2, D=4, H=5 takes 0.3 s, and a run has thousands. "
    told += "If the framework has a compiler (jit), compile once, outside the function."
    assert hint == [told] * is_slow
    report = check(cells.right, stacks=1, only=["step"], dtypes=["float32"])
    assert (report.notes, report.exit_status) == (hint, 0)


def test_a_call_that_raises_an_error_gives_no_hint() -> None:
    assert pace(as_adapter(cells.crashing), "float32") == []


def test_a_stack_is_taken_where_it_is_offered() -> None:
    def of(cell: Callable[[Case], Evaluation]) -> list[str]:
        return advise(Adapter("mine", cell, "stacks", np.tanh, {"float64": 2.5}, takes_stacks=True))

    assert of(compute) == []
    assert "dWh transposed" in "\n".join(of(cells.only_dwh_transposed))
    assert of(lambda case: compute(case[0]))[1] == (
        "expected hs of shape (K, T, N, H) = (1, 3, 2, 5), got (3, 2, 5); axis K is missing."
    )


def test_an_unsupported_case_is_reported() -> None:
    def unsupporting(case: Case) -> Evaluation:
        raise Unsupported("no kernel for tanh")

    assert advise(as_adapter(unsupporting))[1:] == ["It does not support the case: no kernel for tanh"]
    with pytest.raises(Unsupported, match=r"^right: expected dtype in \['float64'\], got 'float32'$"):
        advise(as_adapter(cells.right, ["float64"]), "float32")


def test_a_cell_that_has_no_bias_is_given_a_case_without_one() -> None:
    def without_bias(case: Case) -> Evaluation:
        if case.params.b is not None:
            raise Unsupported("no bias")
        return cells.right(case).replacing(hs=np.zeros_like(case.upstream))

    told = advise(as_adapter(without_bias))
    assert told[1].startswith("float32 h[")
    assert "(T=3, N=2, D=4, H=5, no bias)" in told[2]


def test_a_second_call_that_differs_is_reported() -> None:
    calls: list[None] = []

    def growing(case: Case) -> Evaluation:
        calls.append(None)
        answer = compute(case)
        answer.dWh[...] = np.nextafter(answer.dWh, np.inf) if len(calls) % 2 else answer.dWh
        return answer

    (told,) = advise(as_adapter(growing))[1:]
    assert told == "contract: expected the same bits of dWh from two equal calls, got others (T=3, N=2, D=4, H=5)."


@pytest.mark.parametrize(("cell", "calls"), [(cells.right, 7), (cells.negative, 3)])
def test_it_asks_a_few_small_cases(cell: Callable[[Case], Any], calls: int) -> None:
    asked: list[Case] = []

    def counting(case: Case) -> Any:
        asked.append(case)
        return cell(case)

    advise(as_adapter(counting))
    assert len(asked) == calls
    assert max(case.xs.size for case in asked) == 3 * 2 * 4

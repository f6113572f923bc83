"""The exact gradient of a forward by differences: right for right code, and the name of a wrong forward, if alone."""

from __future__ import annotations

import numpy as np
import pytest

from reference import PRECISIONS, Case, Evaluation, Mismatch, certify
from reference.candidates import is_smooth
from reference.differentiated import LARGEST, differentiated, is_small
from reference.explain import explain, explain_subject
from reference.faults import FAULTS, Fault, compute
from reference.precision import FORMATS
from tests.named import CASES, TWINS, needs_calls, plain

# Faults with one forward, which differ in the gradient that the catalogue has for them.
SAME_FORWARD = {"Wh transposed", "Wh kept transposed"}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("cell", "nonlinearity"), [("rnn", "tanh"), ("rnn", "relu"), ("lstm", "tanh"), ("gru", "tanh")]
)
def test_the_gradient_of_right_code_is_right(cell: str, nonlinearity: str, bias: bool) -> None:
    case = Case.random(4, 3, 2, 3, seed=1, cell=cell, nonlinearity=nonlinearity, bias=bias).probed()
    found = differentiated(compute, case)
    assert found.present().keys() == compute(case).present().keys()
    certify(case, found, PRECISIONS["float64"].as_if(FORMATS["float32"])).require()


def test_the_gradient_of_wrong_code_is_not() -> None:
    found = differentiated(FAULTS["half of the state kept"].subject(), plain())
    with pytest.raises(Mismatch, match=r"^float64 h\["):
        certify(plain(), found, PRECISIONS["float64"].as_if(FORMATS["float32"])).require()


def test_a_stack_is_cut_where_it_would_be_large(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = differentiated(compute, plain())
    monkeypatch.setattr("reference.differentiated.STACK", 5000)
    cut = differentiated(compute, plain())
    certify(plain(), cut, PRECISIONS["float64"].as_if(FORMATS["float32"])).require()
    assert [array.shape for array in cut.present().values()] == [array.shape for array in whole.present().values()]


def test_a_case_at_the_kink_of_relu_is_not_smooth() -> None:
    case = plain("float32", nonlinearity="relu", values="integers", seed=2)
    assert is_smooth(plain("float32", nonlinearity="relu"), PRECISIONS["float32"])
    assert not is_smooth(case, PRECISIONS["float32"])


def test_large_cases_are_left_out() -> None:
    assert is_small(plain())
    assert not is_small(plain(T=50, N=32, H=16))
    assert LARGEST * 8 < 2**30  # bytes


def changes_forward(fault: Fault) -> bool:
    """Return whether a fault of one evaluation returns other states than correct code in a plain case."""
    if needs_calls(fault) or fault.family == "numerical":
        return False
    return any(
        "h" in certify(case, fault.subject()(case.map(np.array)), PRECISIONS["float32"]).wrong
        for case in CASES["float32"]
        if case.finite
    )


FORWARD = [fault for fault in FAULTS.values() if changes_forward(fault)]


@pytest.mark.parametrize("fault", FORWARD, ids=lambda fault: fault.name)
def test_a_wrong_forward_with_its_exact_gradient_has_no_name_but_its_own(fault: Fault) -> None:
    allowed = {fault.name}.union(*(group for group in (*TWINS, SAME_FORWARD) if fault.name in group))

    for case in CASES["float32"]:
        found = explain(case, differentiated(fault.subject(), case), PRECISIONS["float32"])
        if is_smooth(case, PRECISIONS["float32"]) and "h" in found.wrong and found.comparable:
            assert fault.name in found.names | SAME_FORWARD
            assert found.names <= allowed, str(found)
            return
    raise AssertionError("expected a case that shows the fault, got none")


def test_there_are_many_wrong_forwards() -> None:
    assert len(FORWARD) >= 30


def test_the_account_says_that_the_gradient_is_exact() -> None:
    fault = FAULTS["h0 ignored"]
    found = explain_subject(lambda case: differentiated(fault.subject(), case), plain("float32"), PRECISIONS["float32"])
    assert str(found).splitlines()[-2:] == [
        "Everything returned equals the exact gradient of the forward of this fault:",
        "  `h0 ignored`: Starts from zeros for every h0.",
    ]


def test_a_right_forward_with_a_wrong_gradient_has_no_such_name() -> None:
    def halved(case: Case) -> Evaluation:
        right = compute(case)
        return right.map(lambda array: array * np.asarray(0.5, case.dtype)).replacing(hs=right.hs)

    assert not explain(plain("float32"), halved(plain("float32")), PRECISIONS["float32"]).names


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_half_precision_may_leave_too_few_digits(dtype: str) -> None:
    case = Case.random(2, 3, 2, 4, seed=1, dtype=dtype).probed()
    answer = differentiated(FAULTS["state before the step returned"].subject(), case)
    found = str(explain(case, answer, PRECISIONS[dtype]))
    assert found.endswith("\nNo diagnosis: rounding leaves too few digits to recognise a fault.")

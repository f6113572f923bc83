"""The three words: a plain comparison with the oracle's own decides whether a quantity is right or follows."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from reference import PRECISIONS, Case, Evaluation, Verdict, certify, evaluate
from reference.blame import Blame, percent
from reference.certify import enclose
from reference.explain import explain
from reference.faults import FAULTS, Fault
from reference.verdict import GRADIENTS, QUANTITIES
from tests.named import CASES, needs_calls, plain

FIELDS = {quantity: field for field, quantity in QUANTITIES.items()}


def assert_words_are_true(verdict: Verdict) -> None:
    """Raise unless every quantity has one word, which a comparison with the oracle's own numbers confirms."""
    case, found = verdict.case, verdict.blame
    own = evaluate(case)
    widest = enclose(case, verdict.precision, own.hs)
    if sorted((*found.wrong, *found.right, *found.follows)) != sorted(verdict.tallies):
        raise AssertionError(f"expected one word for each quantity, got {found}")
    for name in (*found.right, *found.follows):
        actual, expected = (getattr(each, FIELDS[name]) for each in (verdict.evaluation, own))
        with np.errstate(invalid="ignore"):
            error = np.abs(actual.astype(np.float64) - expected)
            is_equal = bool((~(error > getattr(widest, FIELDS[name]).rounded().error)).all())
        if is_equal != (name in found.right):
            raise AssertionError(f"{name}: expected a word that fits |error| {np.nanmax(error)}, got: {found}")


@pytest.mark.parametrize(
    "fault", [fault for fault in FAULTS.values() if not needs_calls(fault)], ids=lambda fault: fault.name
)
def test_the_words_of_every_fault_are_true(fault: Fault) -> None:
    for case in CASES["float32"]:
        if case.finite:
            verdict = certify(case, fault.subject()(case.map(np.array)), PRECISIONS["float32"])
            assert_words_are_true(verdict)
            assert str(verdict.blame) in str(verdict) or verdict.status == "pass"


def verdict_on(name: str, **options: Any) -> Verdict:
    """Return the verdict on a fault of the catalogue in float32."""
    case = plain("float32", **options)
    return certify(case, FAULTS[name].subject()(case), PRECISIONS["float32"])


def test_a_word_that_is_not_true_is_an_error() -> None:
    verdict = verdict_on("derivative 1 - h")
    assert_words_are_true(verdict)
    vars(verdict)["blame"] = Blame(("dx",), ("h", "dh0", "dWx", "dWh", "db"))
    with pytest.raises(AssertionError, match=r"^dh0: expected a word that fits \|error\| "):
        assert_words_are_true(verdict)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dWh transposed", "dWh is wrong; h, dx, dh0, dWx, db are right"),
        ("derivative 1 - h", "dx (A) is wrong; h is right; dh0, dWx, dWh, db follow from the wrong A: off by up to "),
        ("bias doubled", "h is wrong; dx, dh0, dWx, dWh, db follow from the wrong h: off by up to "),
        ("Wh transposed", "h, dx (A), dh0 are wrong; dWx, dWh, db follow from the wrong h and A: off by up to "),
        ("h0 ignored", "h, dWh are wrong; dx, dh0, dWx, db follow from the wrong h: off by up to "),
        ("db missing", "db is wrong; h, dx, dh0, dWx, dWh are right"),
    ],
)
def test_the_verdict_and_the_diagnosis_have_the_same_words(name: str, words: str) -> None:
    verdict = verdict_on(name)
    (line,) = (line for line in str(verdict).splitlines() if line.startswith(words))
    assert line.endswith(f"({verdict.case.spelled}).")
    assert line in str(explain(verdict.case, verdict.evaluation, verdict.precision)).splitlines()


def test_the_start_is_in_a_quantity_that_the_words_call_wrong() -> None:
    for name in FAULTS:
        found = explain(plain("float32"), FAULTS[name].subject()(plain("float32").map(np.array)), PRECISIONS["float32"])
        if found.start is not None:
            assert {"A": "dx"}.get(found.start.quantity, found.start.quantity) == found.wrong[0]
            assert (found.start.quantity == "A") == ("dx (A)" in str(found.blame) and "h" not in found.wrong)


def test_where_rounding_hides_the_difference_a_gradient_of_a_wrong_A_is_not_called_right() -> None:
    verdict = verdict_on("derivative 1 - h", T=200, norm=3.0)
    assert verdict.blame.follows == ("dh0", "dWx", "dWh", "db")


def test_where_rounding_hides_everything_what_is_made_of_right_values_is_right() -> None:
    case = Case.random(200, 3, 2, 4, seed=1, dtype="float32", norm=3.0).probed()
    answer = FAULTS["db missing"].subject()(case)
    assert certify(case, answer, PRECISIONS["float32"]).blame == Blame(("db",), ("h", "dx", "dh0", "dWx", "dWh"))


def test_a_pass_has_right_quantities_alone() -> None:
    case = plain("float32")
    right = evaluate(case).astype("float32")
    assert certify(case, right, PRECISIONS["float32"]).blame == Blame(right=GRADIENTS)
    assert str(Blame(right=("h",))) == "h is right"


def test_states_beside_nan_do_not_follow_from_gradients() -> None:
    case = plain("float32", values="nan")
    found = certify(case, FAULTS["recurrent path detached"].subject()(case), PRECISIONS["float32"]).blame
    assert found.sources == ("A",)
    assert "h" in found.right


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("values", ["nan", "huge", "subnormal", "wide"])
def test_the_words_raise_no_warning(values: str) -> None:
    case = plain("float32", values=values)
    answer = FAULTS["recurrent path detached"].subject()(case)
    assert "wrong" in str(certify(case, answer, PRECISIONS["float32"]))
    assert "wrong" in str(explain(case, answer, PRECISIONS["float32"]))


def test_a_stack_has_words_too() -> None:
    stack = plain("float32", stack=3)
    right, wrong = evaluate(stack).astype("float32"), FAULTS["bias doubled"].subject()(stack)
    mixed = Evaluation(**{name: np.stack([a[0], *wrong.fields()[name][1:]]) for name, a in right.present().items()})
    assert certify(stack, mixed, PRECISIONS["float32"]).blame.wrong == ("h",)
    assert len(certify(stack, mixed, PRECISIONS["float32"]).blame.follows) == 5


def test_one_quantity_follows_and_the_figure_is_of_its_largest_element() -> None:
    case = plain("float32")
    answer = FAULTS["derivative 1 - h"].subject()(case)
    found = certify(case, dataclasses.replace(answer, dh0=None, dWx=None, dWh=None), PRECISIONS["float32"]).blame
    own = evaluate(case).db
    off = np.abs(answer.db - own).max() / np.abs(own).max()
    assert str(found).endswith(
        f"db follows from the wrong A: off by up to {off:.0%}".replace("%", " % from the oracle's own")
    )


@pytest.mark.parametrize(("share", "text"), [(0.65, "65 %"), (0.0123, "1.2 %"), (20.5, "2,050 %"), (1e-5, "0.001 %")])
def test_shares_are_in_percent(share: float, text: str) -> None:
    assert percent(share) == text

"""A law about every fault: the test names each fault that breaks it, and only those."""

from __future__ import annotations

import pytest

from reference.faults import FAULTS, Fault
from tests.each import each_fault, each_fault_in_each_precision


def test_all_faults_that_break_a_law_are_named() -> None:
    def law(fault: Fault) -> None:
        if fault.family == "bias":
            raise AssertionError("it is of the bias")

    broken = [f"{name}: it is of the bias" for name, fault in FAULTS.items() if fault.family == "bias"]
    assert len(broken) > 5
    with pytest.raises(AssertionError) as caught:
        each_fault(law)()
    assert str(caught.value).splitlines() == broken


def test_a_fault_is_left_out_of_a_precision_that_hides_it() -> None:
    seen: list[tuple[str, str]] = []
    each_fault_in_each_precision(lambda fault, dtype: seen.append((fault.name, dtype)))("bfloat16")
    assert seen == [(name, "bfloat16") for name, fault in FAULTS.items() if "bfloat16" in fault.precisions]

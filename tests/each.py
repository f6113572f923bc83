"""A law about every fault as one test, which reports all faults that break it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from reference.faults import COMPUTED, FAULTS, Fault


def assert_each(law: Callable[..., None], faults: Iterable[Fault], *arguments: Any) -> None:
    """Raise AssertionError with every fault that breaks a law, and how."""
    broken = []
    for fault in faults:
        try:
            law(fault, *arguments)
        except AssertionError as error:
            broken.append(f"{fault.name}: {error}")
    if broken:
        raise AssertionError("\n".join(broken))


def each_fault(law: Callable[[Fault], None]) -> Callable[[], None]:
    """Return the test of a law about a fault."""

    def test() -> None:
        assert_each(law, FAULTS.values())

    test.__name__ = law.__name__
    return test


def each_fault_in_each_precision(law: Callable[[Fault, str], None]) -> Callable[[str], None]:
    """Return the tests, one for each precision, of a law about a fault in a precision that can show it."""

    @pytest.mark.parametrize("dtype", COMPUTED)
    def test(dtype: str) -> None:
        assert_each(law, [fault for fault in FAULTS.values() if dtype in fault.precisions], dtype)

    test.__name__ = law.__name__
    return test

"""The trial of adapters: it knows cases and adapters, and no framework.

One list of checks and three front ends: ``check`` for scripts and notebooks, ``parametrize`` for pytest, and the
command line.
"""

from adapters.conformance.as_tests import parametrize
from adapters.conformance.frontend import check

__all__ = ["check", "parametrize"]

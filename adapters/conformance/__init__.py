"""The trial of adapters: it knows cases and adapters, and no framework.

One list of checks and three front ends: ``check`` for scripts and notebooks, ``parametrize`` for pytest, and the
command line.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adapters.conformance.as_tests import parametrize
    from adapters.conformance.frontend import check
else:

    def __getattr__(name: str) -> Any:
        """Import a front end once it is asked for: the command line's help, also here, needs neither."""
        if name == "check":
            from adapters.conformance.frontend import check as found
        elif name == "parametrize":
            from adapters.conformance.as_tests import parametrize as found
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return found


__all__ = ["check", "parametrize"]

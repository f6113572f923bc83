"""The script ``rnn-oracle``: interrupts have a handler before the first import that takes time."""

from __future__ import annotations

import os
import signal
import sys


def main() -> int:
    """Run the command line of ``sys.argv``; an interrupt ends it with 130, also during the imports and at the end.

    Returns:
        The exit status, as ``adapters.conformance.cli.main`` does.
    """
    before = signal.getsignal(signal.SIGINT)
    if before != signal.SIG_IGN:  # as it is in the background of a shell
        signal.signal(signal.SIGINT, _leave)
    from adapters.conformance import cli

    signal.signal(signal.SIGINT, before)
    try:
        return cli.main()
    except KeyboardInterrupt:  # a second one, while the command ended after the first
        return 130
    finally:  # only the interpreter's own work is left
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _leave(*signal_and_frame: object) -> None:
    """End the process at once. No process or folder is left yet, and a module may catch an error during its import."""
    os.write(2, b"rnn-oracle: interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    sys.exit(main())

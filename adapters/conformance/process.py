"""A process for an adapter: it serves one request after the other, and is replaced once it ends."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from adapters import Adapter
from adapters.conformance import TIMEOUT, discovery

# Frameworks have threads, which a fork would lose.
SPAWN = multiprocessing.get_context("spawn")
TICK = 0.2  # seconds between looks at the clock
# Of every process, unless the user has set them otherwise.
ENVIRONMENT = {
    # If JAX has a folder for compiled programs, it keeps those alone that took a second, and no cell takes as long.
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    # The threads of several frameworks would wait for each other.
    "OMP_NUM_THREADS": "1",
}


class Ended(RuntimeError):
    """A process gave no answer."""


class Stopped(Exception):
    """The run was interrupted."""


class Advance:
    """What a process sends for each step of a request whose progress is shown."""


def elsewhere(*arguments: Any) -> Any:
    """Stand for a function of an adapter in other processes than its own, which cannot import it."""
    raise NotImplementedError


def sendable(adapter: Adapter) -> Adapter:
    """Return an adapter for other processes: without its functions, and of types that every process has."""
    found = {each.name: getattr(adapter, each.name) for each in fields(Adapter)}
    return Adapter(
        **plain(found) | {"run": elsewhere, "tanh": elsewhere, "sigmoid": None, "options": {}, "layers": None}
    )


def plain(value: Any) -> Any:
    """Return a value with mappings, tuples and text of the types that every process has."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Mapping):
        return {plain(name): plain(one) for name, one in value.items()}
    return tuple(map(plain, value)) if isinstance(value, tuple) else value


class Reader(pickle.Unpickler):
    """Reads what a process sends, and imports nothing for it: a subject's own types stay in its process."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a class or function of a module that is imported already, or of ``ml_dtypes``, which has bfloat16.

        Raises:
            UnpicklingError: the module is another.
        """
        if module not in sys.modules and module != "ml_dtypes":
            raise pickle.UnpicklingError(f"a {module}.{name}")
        return super().find_class(module, name)


@dataclass
class Worker:
    """The process of the adapters of some names."""

    names: Sequence[str]
    timeout: float = TIMEOUT  # seconds a request; the imports may take TIMEOUT, too, if that is longer
    stopped: threading.Event = field(default_factory=threading.Event)  # set once the run is interrupted
    find: Callable[[str], Sequence[Adapter]] = discovery.find  # returns the adapters of a name
    process: Any = field(default=None, init=False)  # once it has started
    folder: Any = field(default_factory=tempfile.TemporaryDirectory, init=False)  # has ``printed``

    @property
    def printed(self) -> Path:
        """The file of its standard output and error."""
        return Path(self.folder.name, "printed")

    def start(self) -> list[tuple[Adapter, dict[str, str]]]:
        """Start the process, and return the adapters that it has imported, without their functions, and their facts.

        Raises:
            Ended: the process gave no answer.
            Stopped: the run was interrupted.
            ValueError: a name is unknown, or cannot be imported.
        """
        os.environ.update(ENVIRONMENT | os.environ)
        self.connection, theirs = SPAWN.Pipe()
        arguments = theirs, self.names, str(self.printed), self.find
        process = SPAWN.Process(target=serve, args=arguments, daemon=True)
        process.start()
        self.process = process
        theirs.close()
        found = self._receive(max(self.timeout, TIMEOUT))
        if isinstance(found, str):
            raise ValueError(found)
        return list(found)

    def call(
        self, function: Callable[..., Any], name: str, *arguments: Any, progress: Callable[[], Any] | None = None
    ) -> Any:
        """Return ``function(adapter, *arguments)``, computed in the process, for the adapter of a name.

        Args:
            function: is pickled by its name.
            name: of the adapter.
            arguments: of the function, after the adapter.
            progress: called whenever the function calls its argument ``progress``; None if it has no such argument.

        Raises:
            Ended, Stopped, ValueError: as ``start`` does.
        """
        if not self.process.is_alive():
            self.start()
        with contextlib.suppress(OSError):  # the process has just ended
            self.connection.send((function, name, arguments, progress is not None))
        while isinstance(answer := self._receive(self.timeout), Advance):
            progress() if progress else None
        return answer

    def _receive(self, timeout: float) -> Any:
        until = time.monotonic() + timeout
        while self.process.is_alive() and not wait([self.connection, self.process.sentinel], TICK):
            if self.stopped.is_set():
                raise Stopped
            if time.monotonic() > until:
                self.end()
                raise Ended(f"no answer within {timeout:g} s; the process was killed")
        with contextlib.suppress(EOFError, OSError):
            if self.connection.poll():
                return self._read(self.connection.recv_bytes())
        self.process.join()
        code = self.process.exitcode or 0
        how = f"signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"exit status {code}"
        last = "".join(f"; the last line it printed: {line}" for line in self.lines()[-1:])
        raise Ended(f"the process ended with {how}{last}")

    def _read(self, answer: bytes) -> Any:
        try:
            return Reader(io.BytesIO(answer)).load()
        except Exception as error:
            self.end()
            raise Ended(f"expected an answer of plain types, got {error}; the process was killed") from error

    def lines(self) -> list[str]:
        """Return the lines that the process has printed."""
        text = self.printed.read_text("utf-8", "replace") if self.printed.exists() else ""
        return [line.strip() for line in text.splitlines() if line.strip()]

    def end(self) -> None:
        """Kill the process, if it has started; the next request starts another."""
        if self.process:
            self.process.kill()
            self.process.join()

    def close(self) -> None:
        """Kill the process, if it has started, and remove what it has printed."""
        self.end()
        self.folder.cleanup()


def serve(connection: Connection, names: Sequence[str], printed: str, find: Callable[..., Any]) -> None:
    """Import the adapters of the names, send what ``start`` returns, and serve requests until the connection closes."""
    with open(printed, "ab", buffering=0) as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        chosen = {adapter.name: adapter for name in names for adapter in find(name)}
    except (ValueError, TypeError, OSError, ModuleNotFoundError) as error:
        connection.send(str(error))
        return
    connection.send([(sendable(adapter), plain(discovery.facts(adapter))) for adapter in chosen.values()])
    with contextlib.suppress(EOFError):
        while True:
            function, name, arguments, shown = connection.recv()
            more = {"progress": partial(connection.send, Advance())} if shown else {}
            connection.send(function(chosen[name], *arguments, **more))

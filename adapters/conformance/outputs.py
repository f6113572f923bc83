"""The files that a command writes: opened before any work is done, and never the same as an input."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

# Options whose value is a file to be written, and those whose value is a file, or files, to be read.
WRITTEN = ("json", "html", "markdown", "summary", "output")
READ = ("params", "case", "model", "results")


def expect_writable(options: argparse.Namespace) -> None:
    """Raise an error unless every output can be written, before any work is done. No file changes.

    Raises:
        ValueError: an output has no name, is an input, or two outputs are one file.
        OSError: an output cannot be opened, or the folder of reproductions cannot be created.
    """
    taken = {identity(path): what for what, path in inputs(options)}
    for option in WRITTEN:
        if (name := getattr(options, option, None)) is None:
            continue
        if not name:
            raise ValueError(f"--{option}: expected the name of a file, got ''")
        path, is_new = Path(name), not Path(name).exists()
        if not path.absolute().parent.is_dir():
            raise FileNotFoundError(f"--{option}: expected a file in a folder that is there, got {path}")
        is_file = is_new or path.is_file()  # a device may be written to twice
        if is_file and (what := taken.get(identity(path))):
            raise ValueError(f"--{option}: expected a file other than {what}, got {path}")
        taken[identity(path)] = f"--{option}"
        try:
            path.open("ab").close()
        except OSError as error:
            got = error.strerror or error
            raise type(error)(f"--{option}: expected a file that can be written, got {path} ({got})") from error
        if is_new:
            path.unlink()
    if name := getattr(options, "reproduce", None):
        folder = Path(name).absolute()
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if not there.is_dir() or not os.access(there, os.W_OK):
            raise NotADirectoryError(f"--reproduce: expected a folder that can be written to, got {name}")


def identity(path: Path) -> tuple[int, int] | Path:
    """Return what all names of a file have in common: its device and inode; its whole path if it is not there."""
    try:
        found = path.stat()
    except OSError:
        return path.resolve()
    return found.st_dev, found.st_ino


def inputs(options: argparse.Namespace) -> Iterator[tuple[str, Path]]:
    """Yield each input of a command in words, and its path."""
    for option in READ:
        found = getattr(options, option, None) or []
        for name in [found] if isinstance(found, str) else found:
            yield f"the input {name}", Path(name)
    names = getattr(options, "names", None) or [getattr(options, "name", None) or ""]
    for module in filter(None, (name.partition(":")[0] for name in names if ":" in name)):
        yield f"the module {module}", Path(*module.split(".")).with_suffix(".py")

"""Damaged files: bits flipped, bytes cut out, doubled and cut off, with fixed seeds; and how their reading may end."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

COUNT = 2000


def mutated(whole: bytes) -> Iterator[bytes]:
    """Yield damaged forms of a file."""
    for seed in range(COUNT):
        random, data = np.random.default_rng(seed), bytearray(whole)
        # Half of the damage is in the first or last bytes, where the headers are.
        ends = [*range(min(400, len(data))), *range(max(0, len(data) - 400), len(data))]
        for _ in range(random.integers(1, 4)):
            at = (
                int(random.choice(ends))
                if random.random() < 0.5 and len(data) >= 400
                else int(random.integers(len(data)))
            )
            at = min(at, len(data) - 1)
            kind = random.integers(5)
            if kind == 0:
                data[at] ^= 1 << int(random.integers(8))
            elif kind == 1:
                data[at] = int(random.integers(256))
            elif kind == 2:
                del data[at : at + int(random.integers(1, 40))]
            elif kind == 3:
                data[at:at] = data[at : at + int(random.integers(1, 40))]
            else:
                del data[max(1, at) :]
            data = data or bytearray(1)
        yield bytes(data)


def assert_read_or_refused(read: Callable[[Path], Any], path: Path, whole: bytes) -> None:
    """Raise unless each damaged form of a file is read, or refused with one sentence; most have to be refused."""
    sentences = list[str]()
    for data in mutated(whole):
        path.write_bytes(data)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            try:
                read(path)
            except (ValueError, TypeError) as error:
                sentences.append(str(error))
        assert not seen, [str(each.message) for each in seen]
    assert [words for words in sentences if ": expected " not in words or len(words.splitlines()) != 1] == []
    assert len(sentences) > COUNT / 4

"""Frozen records of arrays: validated when created, saved to ``.npz`` and read back bit for bit."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from reference.kinds import expect_kinds

if TYPE_CHECKING:
    from pathlib import Path

DTYPES = ("float64", "float32", "bfloat16", "float16")
# An ``.npz`` cannot store bfloat16, so its bits are stored as integers under a name with this ending.
BITS = ".bfloat16"
# Bytes in the arrays that are read from one file, at most: a layer of 16,000 units in float32 has as many.
LARGEST = 2**31
# In place of an array that nobody needs.
EMPTY = np.zeros(0)
PLAIN = (str, bool, int, tuple, type(None))


class Archive:
    """Save and load a frozen dataclass of arrays and plain values as ``.npz``, bit for bit."""

    def fields(self) -> dict[str, Any]:
        """Return the fields by name; the fields of a nested dataclass replace it."""
        found: dict[str, Any] = {}
        for name, value in vars(self).items():
            found |= value.fields() if isinstance(value, Archive) else {name: value}
        return found

    def present(self) -> dict[str, Any]:
        """Return the fields that are not None, by name."""
        return {name: value for name, value in self.fields().items() if value is not None}

    def ndarrays(self) -> dict[str, NDArray[Any]]:
        """Return the NumPy arrays among the fields, by name."""
        return {name: value for name, value in self.fields().items() if isinstance(value, np.ndarray)}

    def map(self, change: Callable[[Any], Any]) -> Self:
        """Return the record with ``change`` applied to every array."""
        given = {name: value for name, value in self.fields().items() if not isinstance(value, PLAIN)}
        return self.replacing(**{name: change(value) for name, value in given.items()})

    def replacing(self, **values: Any) -> Self:
        """Return the record with other values by name, in this record and in nested records."""
        changed = {
            name: value.replacing(**values) if isinstance(value, Archive) else values.get(name, value)
            for name, value in vars(self).items()
        }
        return type(self)(**changed)

    def part(self, k: int) -> Self:
        """Return entry ``k`` along the first axis of every array, without a second validation."""
        found = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Archive):
                object.__setattr__(found, name, value.part(k))
            elif isinstance(value, np.ndarray):
                object.__setattr__(found, name, value[k])
        return found

    def astype(self, dtype: str) -> Self:
        """Return the record with every array rounded to ``dtype``."""
        return self.map(lambda array: array.astype(dtype_of(dtype)))

    def save(self, path: str | Path) -> None:
        """Write every field that is not None to ``path`` as an uncompressed ``.npz``."""
        write_npz(path, self.present())


def dtype_of(name: str) -> np.dtype[Any]:
    """Return the dtype of a name. Only bfloat16 needs ml_dtypes, so it is imported here.

    Raises:
        TypeError: there is no such dtype.
    """
    if str(name) != "bfloat16":
        try:
            return np.dtype(name)
        except TypeError as error:
            raise TypeError(f"astype: expected a dtype in {list(DTYPES)}, got {name!r}") from error
    import ml_dtypes

    bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return bfloat16


def _as_bits(name: str, value: Any) -> tuple[str, Any]:
    return (name + BITS, value.view(np.uint16)) if str(getattr(value, "dtype", "")) == "bfloat16" else (name, value)


def _from_bits(name: str, array: Any) -> tuple[str, Any]:
    is_read = name.endswith(BITS) and array is not EMPTY
    return (name.removesuffix(BITS), array.view(dtype_of("bfloat16")) if is_read else array)


def write_npz(path: str | Path, arrays: dict[str, Any]) -> None:
    """Write arrays and plain values by name as an uncompressed ``.npz``."""
    expect_kinds("save", {"path": (str, os.PathLike)}, {"path": path})
    with open(path, "wb") as file:
        np.savez(file, **dict(_as_bits(name, value) for name, value in arrays.items()))


def read_npz(where: str, path: str | Path, needed: Callable[[str], bool] = lambda name: True) -> dict[str, Any]:
    """Read arrays of an ``.npz``, without unpickling anything. Memory is taken only for sizes that the file has.

    Args:
        where: the beginning of messages.
        path: the file.
        needed: of a name, whether its array is read; in place of another array comes an empty one.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a whole ``.npz`` of plain arrays, or has too large an array.
    """
    expect_kinds(where, {"path": (str, os.PathLike)}, {"path": path})
    try:
        if os.path.exists(path) and not os.path.isfile(path):  # a pipe would wait for its writer
            raise ValueError("it is no regular file")
        with open(path, "rb") as file:  # NumPy leaves a damaged file open if NumPy opened it
            archive = np.lib.npyio.NpzFile(file, allow_pickle=False)
            names = [name for name in archive.files if needed(name.removesuffix(BITS))]
            _expect_members(archive, names)
            found = {name: archive[name] if name in names else EMPTY for name in archive.files}
        return dict(_from_bits(name, array) for name, array in found.items())
    except FileNotFoundError:
        raise FileNotFoundError(f"{where}: expected an .npz file, got no file at {path}") from None
    except Exception as error:  # zipfile, zlib, struct and NumPy raise errors of many kinds for damaged files
        words = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{where}: expected a whole .npz of plain arrays, got {path} ({words})") from error


def _expect_members(archive: Any, names: list[str]) -> None:
    """Raise ValueError unless each member is an array of the size that its header states, and all are small enough."""
    total = 0
    for name in names:
        stored = name if name in archive.zip.namelist() else f"{name}.npy"
        info = archive.zip.getinfo(stored)
        with archive.zip.open(info) as member:
            if member.read(6) != b"\x93NUMPY":
                raise ValueError(f"{name} is not an array")
            member.seek(0)
            version = np.lib.format.read_magic(member)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = header(member)
            if dtype.hasobject:
                raise ValueError(f"{name} has objects of Python")
            if math.prod(shape) * dtype.itemsize != info.file_size - member.tell():
                raise ValueError(f"{name} of shape {shape} in {info.file_size} bytes")
        total += info.file_size
    if total > LARGEST:
        raise ValueError(f"arrays of {total} bytes, which is more than {LARGEST}")


def spell(sizes: dict[str, int]) -> str:
    """Return sizes in the form that messages use: "T=5, N=4"."""
    return ", ".join(f"{name}={size}" for name, size in sizes.items())


def expect_arrays(where: str, record: Archive, names: tuple[str, ...]) -> None:
    """Raise TypeError if one of these fields is no array: None, text, or a plain value."""
    for name in names:
        if isinstance(value := getattr(record, name), PLAIN):
            raise TypeError(f"{where}: expected {name} as an array, got {type(value).__name__}")


def freeze(record: Archive, where: str, dtype: np.dtype[Any]) -> None:
    """Replace each array of a record by a read-only C-contiguous one; every array must have this dtype."""
    for name, value in vars(record).items():
        if isinstance(value, (*PLAIN, Archive)):
            continue
        array = np.asarray(value)
        if str(array.dtype) not in DTYPES or array.dtype != dtype:
            expected = dtype if str(dtype) in DTYPES else f"{', '.join(DTYPES[:-1])} or {DTYPES[-1]}"
            raise TypeError(f"{where}: expected {name} of dtype {expected}, got {array.dtype} {array.shape}")
        if not array.flags.c_contiguous or _is_writeable(array):
            array = np.array(array, order="C")
            array.flags.writeable = False
        object.__setattr__(record, name, array)


def expect_shapes(where: str, arrays: dict[str, Any], shapes: dict[str, tuple[int, ...]], sizes: str) -> None:
    """Raise ValueError unless each array has the shape listed under its name; a tangent has the shape of its primal."""
    for name, array in arrays.items():
        shape = shapes.get(name.removesuffix("_dot"))
        if array is not None and shape is not None and array.shape != shape:
            raise ValueError(f"{where}: expected {name} of shape {shape}, got {array.shape} ({sizes})")


def expect_finite(where: str, arrays: dict[str, Any]) -> None:
    """Raise ValueError with the first element that is not finite, unless every array is finite."""
    for name, array in arrays.items():
        if isinstance(array, np.ndarray) and not np.isfinite(array).all():
            index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise ValueError(f"{where}: expected finite {name}, got {array[index]} at {list(index)} {array.shape}")


def _is_writeable(array: Any) -> bool:
    """Return whether an array can be written to, directly or through an array that it is a view of."""
    return isinstance(array, np.ndarray) and (array.flags.writeable or _is_writeable(array.base))

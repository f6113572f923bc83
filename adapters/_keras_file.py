"""Files of Keras, ``.keras`` and ``.h5``: arrays and text, read by h5py without Keras, which would execute code.

A ``.keras`` is a zip of ``config.json`` and ``model.weights.h5``, whose arrays have numbers. An ``.h5`` of a whole
model has the same text in an attribute, and arrays by name. A file of weights alone has no such text.
"""

from __future__ import annotations

import io
import json
import mmap
import re
import struct
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from adapters.layout import Recorded, layouts
from reference.archive import EMPTY, LARGEST, dtype_of

# The order of the variables of a cell.
NAMES = ("kernel", "recurrent_kernel", "bias")


def read_model(
    path: Path, needed: Callable[[str], bool] = lambda name: True
) -> tuple[dict[str, Any], dict[str, Recorded]]:
    """Read arrays by name, and what the file records of each recurrent layer by path.

    Args:
        path: the file, ``.keras`` or ``.h5``.
        needed: of a name, whether its array is read; in place of another array comes an empty one.

    Returns:
        Arrays, such as "encoder.cell.kernel", with the names that the layers have in their model; and for each layer,
        such as "encoder", the cell and its activation. A file of weights alone has names of classes, such as
        "lstm_1.cell.kernel", and records nothing.

    Raises:
        ValueError: the file is damaged, an array has another size than its bytes, or all are too large.

    Source: keras/src/saving/saving_lib.py; keras/src/legacy/saving/legacy_h5_format.py for an ``.h5`` of a whole model.
    """
    try:
        source, config = unpacked(path) if path.suffix == ".keras" else (path, None)
        with h5py.File(source, "r") as file:
            text = config or text_in(file)
            layers = list(layers_in(json.loads(text))) if text else []
            found = arrays_of(file, {group: name for group, name, _ in layers}, needed)
        return found, {name: recorded for _, name, recorded in layers if recorded}
    except Exception as error:  # of many kinds, if the file is damaged
        words = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"expected a whole {path.suffix} file of Keras, got {path} ({words})") from error


def unpacked(path: Path) -> tuple[io.BytesIO, bytes]:
    """Return the weights and the configuration in a ``.keras`` file, which Keras does not compress."""
    with zipfile.ZipFile(path) as archive:
        size = sum(info.file_size for info in archive.infolist())
        if size > min(path.stat().st_size, LARGEST):
            raise ValueError(f"it unpacks to {size} bytes")
        return io.BytesIO(archive.read("model.weights.h5")), archive.read("config.json")


def text_in(file: Any) -> str | None:
    """Return the configuration in the attributes of an ``.h5``, or None if there is none."""
    if "model_config" not in file.attrs:
        return None
    with open(file.filename, "rb") as own, mmap.mmap(own.fileno(), 0, access=mmap.ACCESS_READ) as data:
        expect_heaps(data)
    text = file.attrs["model_config"]
    return text if isinstance(text, str) else bytes(text).decode()


def expect_heaps(data: Any) -> None:
    """Raise ValueError unless each heap with text has entries up to its end: HDF5 would not return from an empty one.

    Source: HDF5 File Format Specification Version 3.0, III.E, "Disk Format: Level 1E - Global Heap".
    """
    # Sizes of 8 bytes are the default of HDF5.
    if data[:8] != b"\x89HDF\r\n\x1a\n" or (data[9:11] if data[8] > 1 else data[13:15]) != b"\x08\x08":
        raise ValueError("it has sizes of other than 8 bytes")
    for start in (found.start() for found in re.finditer(b"GCOL\x01", data)):
        at, end = start + 16, start + int.from_bytes(data[start + 8 : start + 16], "little")
        while at + 16 <= end:
            index, size = struct.unpack_from("<H6xQ", data, at)
            # The entry 0 is the rest of the heap, and its size includes its head.
            at += 16 + size + -size % 8 if index else size
            if not (index or size):
                raise ValueError("it has a heap with an empty entry")


def arrays_of(file: Any, names: dict[str, str], needed: Callable[[str], bool]) -> dict[str, Any]:
    """Return the arrays of an open file by name. Links to other files are not followed.

    Args:
        file: the file.
        names: path of a layer in its model, by group.
        needed: as of ``read_model``.
    """
    stored, total = dict[str, Any](), 0

    def visit(path: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset):
            stored[named(file, path, names)] = node

    file.visititems(visit)
    found = dict.fromkeys(stored, EMPTY)
    for name, data in stored.items():
        if needed(name):
            size = data.id.get_storage_size()
            if data.is_virtual or data.external or data.dtype.hasobject or data.nbytes != size:
                raise ValueError(f"{name} of shape {data.shape}, {data.dtype}, in {size} bytes")
            if (total := total + data.nbytes) > LARGEST:
                raise ValueError(f"arrays of {total} bytes, which is more than {LARGEST}")
            # Keras writes bfloat16 as bytes.
            found[name] = data[()].view(dtype_of("bfloat16")) if data.dtype == "V2" else np.asarray(data[()])
    return found


def named(file: Any, path: str, names: dict[str, str]) -> str:
    """Return the name of an array: "encoder.cell.kernel" for "layers/lstm/cell/vars/0".

    It is "encoder.lstm_cell.kernel" for "model_weights/encoder/encoder/lstm_cell/kernel:0".
    """
    *owners, last = path.removeprefix("model_weights/").split("/")
    if owners[-1:] != ["vars"]:
        # The group of a layer may contain the whole path of its arrays.
        start = owners.index(owners[0], 1) if owners and owners[0] in owners[1:] else 0
        return ".".join([*owners[start:], last.removesuffix(":0")])
    group, rest = "/".join(owners[:-1]), list[str]()
    while group and group not in names:
        group, _, part = group.rpartition("/")
        rest = [part, *rest] if part != "layers" else rest
    own = file[path.rpartition("/")[0]]
    # A dense layer has one matrix, and every cell has two.
    is_cell = len(own) in (2, 3) and all(len(own[str(i)].shape) == 2 for i in range(2))
    return ".".join([*filter(None, [names.get(group)]), *rest, NAMES[int(last)] if is_cell else last])


def layers_in(node: Any, group: str = "", above: str = "") -> Iterator[tuple[str, str, Recorded | None]]:
    """Yield each layer and cell in a configuration: its group, the path of its name, and what is recorded of it."""
    for key, value in node["config"].items():
        counts = Counter[str]()
        for one in value if isinstance(value, list) else [value]:
            own = one.get("config") if isinstance(one, dict) else None
            if not (isinstance(own, dict) and "name" in own):
                continue
            child = "forward_layer" if (node["class_name"], key) == ("Bidirectional", "layer") else key
            if isinstance(value, list):
                # Layers in a list have the names of their classes, with numbers.
                kind = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r".*>|\W", "", one["class_name"]))
                kind = re.sub(r"([a-z])([A-Z])", r"\1_\2", kind).lower()
                child += f"/{kind}_{counts[kind]}" if counts[kind] else f"/{kind}"
                counts[kind] += 1
            here, name = f"{group}/{child}".lstrip("/"), f"{above}.{own['name']}".lstrip(".")
            yield here, name, recorded_of(one["class_name"], own)
            yield from layers_in(one, here, name)


def recorded_of(kind: str, own: dict[str, Any]) -> Recorded | None:
    """Return what the configuration of a layer records; None if it is not recurrent."""
    # All backends have one table.
    held = layouts("keras_torch").get(f"keras_torch.{kind}{'.reset_before' * (own.get('reset_after') is False)}")
    f, gate = own.get("activation"), own.get("recurrent_activation", "sigmoid")
    f = str(f) if gate == "sigmoid" else f"{f} and {gate}"
    return Recorded(held.cell, f, backwards=bool(own.get("go_backwards"))) if held else None

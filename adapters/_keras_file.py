"""Files of Keras, ``.keras`` and ``.h5``: arrays and text, read by h5py without Keras, which would execute code.

A ``.keras`` is a zip of ``config.json`` and ``model.weights.h5``, whose arrays have numbers. An ``.h5`` of a whole
model has the same text in an attribute, and arrays by name. A file of weights alone has no such text.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from adapters.layout import Told, layouts
from reference.archive import EMPTY, LARGEST

# The order of the variables of a cell.
NAMES = ("kernel", "recurrent_kernel", "bias")


def read_model(path: Path, needed: Callable[[str], bool] = lambda name: True) -> tuple[dict[str, Any], dict[str, Told]]:
    """Read arrays by name, and what the file tells of each recurrent layer by path.

    Args:
        path: the file, ``.keras`` or ``.h5``.
        needed: of a name, whether its array is read; in place of another array comes an empty one.

    Returns:
        Arrays, such as "encoder.lstm_cell.kernel", with the names that the layers have in their model; and for each
        layer, such as "encoder", the cell and its activation. The second is empty for a file of weights alone.

    Raises:
        ValueError: the file is damaged, an array has another size than its bytes, or all are too large.

    Source: keras/src/saving/saving_lib.py; keras/src/legacy/saving/legacy_h5_format.py for an ``.h5`` of a whole model.
    """
    try:
        source, config = unpacked(path) if path.suffix == ".keras" else (path, None)
        with h5py.File(source, "r") as file:
            found = arrays_of(file, needed)
            config = config or file.attrs.get("model_config")
        return found, dict(told_in(json.loads(config)["config"]["layers"])) if config else {}
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


def arrays_of(file: Any, needed: Callable[[str], bool]) -> dict[str, Any]:
    """Return the arrays of an open file by name. Links to other files are not followed."""
    stored, total = dict[str, Any](), 0

    def visit(path: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset):
            stored[named(file, path)] = node

    file.visititems(visit)
    found = dict.fromkeys(stored, EMPTY)
    for name, data in stored.items():
        if needed(name):
            if data.is_virtual or data.external or data.nbytes != data.id.get_storage_size():
                raise ValueError(f"{name} of shape {data.shape} in {data.id.get_storage_size()} bytes")
            if (total := total + data.nbytes) > LARGEST:
                raise ValueError(f"arrays of {total} bytes, which is more than {LARGEST}")
            found[name] = np.asarray(data[()])
    return found


def named(file: Any, path: str) -> str:
    """Return the name of an array from its path in a file.

    It is "encoder.lstm_cell.kernel" for "layers/lstm/cell/vars/0" if the attributes of ``vars`` have these names, and
    for "model_weights/encoder/encoder/lstm_cell/kernel:0".
    """
    *owners, last = path.removeprefix("model_weights/").split("/")
    if owners[-1:] != ["vars"]:
        return ".".join([*owners[: owners[:1] != owners[1:2]], *owners[1:], last.removesuffix(":0")])
    groups = ["/".join(owners[:end]) for end in range(1, len(owners)) if owners[end - 1] != "layers"]
    attributes = (file[f"{group}/vars"].attrs if f"{group}/vars" in file else {} for group in groups)
    parts = [str(own.get("name", group.rpartition("/")[2])) for own, group in zip(attributes, groups, strict=True)]
    own = file[path.rpartition("/")[0]]
    # A dense layer has one matrix, and every cell has two.
    is_cell = len(own) in (2, 3) and all(len(own[str(i)].shape) == 2 for i in range(2))
    return ".".join([*parts, NAMES[int(last)] if is_cell else last])


def told_in(node: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, Told]]:
    """Yield the path of each recurrent layer or cell in a configuration, and what is told of it."""
    if isinstance(node, list):
        for each in node:
            yield from told_in(each, above)
    elif isinstance(node, dict):
        own = node.get("config")
        if isinstance(own, dict) and "name" in own:
            above = (*above, str(own["name"]))
            kind = f"{node.get('class_name')}{'.reset_before' * (own.get('reset_after') is False)}"
            # All backends have one table.
            if held := layouts("keras_torch").get(f"keras_torch.{kind}"):
                f, gate = own.get("activation"), own.get("recurrent_activation", "sigmoid")
                f = str(f) if gate == "sigmoid" else f"{f} and {gate}"
                yield ".".join(above), Told(held.cell, f, backwards=bool(own.get("go_backwards")))
        for each in node.values():
            yield from told_in(each, above)

"""Trained weights from files: ``.npz`` with Wx, Wh, b, or a PyTorch state dict in ``.safetensors`` or ``.pt``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from adapters import load_framework
from reference import Params
from reference.archive import expect_finite, read_npz, write_npz


def read_params(path: str | Path) -> Params:
    """Read the parameters of one recurrent layer, never unpickling code.

    A state dict is that of ``nn.RNN`` or ``nn.RNNCell``, or of a model that contains exactly one: weight_ih (H, D) is
    Wx.T, weight_hh (H, H) is Wh.T, and b is the sum of bias_ih and bias_hh, which PyTorch adds.

    Args:
        path: the file; its ending tells the format.

    Returns:
        The parameters, float64 or float32 as in the file (float16 is widened).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged or of an unknown format, a tensor is missing or has the wrong shape, a number
            is not finite, or there is more than one layer or direction.
        TypeError: a tensor's dtype is not floating.
        ModuleNotFoundError: a ``.pt`` file and no PyTorch.

    Source: the parameters' names, shapes and sum are documented at torch.nn.RNN, section "Variables".
    """
    path = Path(path)
    if path.suffix == ".npz" and path.is_file():
        params = Params.load(path)
    else:
        params = from_state_dict(read_tensors("--params", path), path)
    expect_finite(f"--params {path}", params.fields())
    return params


def read_tensors(where: str, path: str | Path) -> dict[str, Any]:
    """Read all arrays of a file by name, never unpickling code.

    Args:
        where: what messages begin with.
        path: the file, ``.npz``, ``.safetensors``, ``.pt`` or ``.pth``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged or of an unknown format, or a ``.pt`` file holds something else than tensors by name.
        ModuleNotFoundError: a ``.pt`` file and no PyTorch.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{where}: expected a file, got {path}")
    if path.suffix == ".npz":
        return read_npz(where, path)
    if path.suffix == ".safetensors":
        try:
            found: dict[str, Any] = safetensors.numpy.load_file(path)
        except (safetensors.SafetensorError, KeyError) as error:
            raise ValueError(f"{where}: expected a whole .safetensors file, got {path} ({error})") from error
        return found
    if path.suffix in (".pt", ".pth"):
        try:
            found = load_framework("torch").read_state_dict(path)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        return found
    raise ValueError(f"{where}: expected a file ending in .npz, .safetensors or .pt, got {path}")


def write_tensors(where: str, path: str | Path, arrays: dict[str, Any]) -> None:
    """Write arrays by name; the ending of the path, ``.npz`` or ``.safetensors``, tells the format.

    Raises:
        ValueError: another ending.
    """
    if Path(path).suffix == ".npz":
        write_npz(path, arrays)
    elif Path(path).suffix == ".safetensors":
        safetensors.numpy.save_file(arrays, path)
    else:
        raise ValueError(f"{where}: expected a file ending in .npz or .safetensors to write to, got {path}")


def from_state_dict(tensors: dict[str, Any], path: Path) -> Params:
    """Return the parameters of the only recurrent layer in a state dict.

    Raises:
        ValueError, TypeError: as in ``read_params``.
    """
    found = sorted(name for name in tensors if "weight_ih" in name)
    if len(found) != 1:
        raise ValueError(f"--params: expected one weight_ih in {path}, got {found or sorted(tensors)}")
    layer = {
        name: tensors[key]
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        if (key := found[0].replace("weight_ih", name)) in tensors
    }
    if "weight_hh" not in layer or ("bias_ih" in layer) != ("bias_hh" in layer):
        raise ValueError(f"--params: expected weight_ih, weight_hh and both biases or none, got {sorted(tensors)}")
    wide = {name: np.asarray(tensor, np.result_type(tensor, np.float32)) for name, tensor in layer.items()}
    wrong = [f"{name} {tensor.shape}" for name, tensor in wide.items() if tensor.ndim != 2 - name.startswith("bias")]
    if wrong:
        raise ValueError(f"--params: expected weights of two axes and biases of one, got {', '.join(wrong)}")
    b = wide["bias_ih"] + wide["bias_hh"] if "bias_ih" in wide else None
    return Params(wide["weight_ih"].T, wide["weight_hh"].T, b)

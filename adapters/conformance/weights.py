"""Trained weights from files: ``.npz`` with Wx, Wh, b, or a PyTorch state dict in ``.safetensors`` or ``.pt``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from adapters import load_framework
from reference import Params
from reference.archive import expect_finite


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
    if not path.is_file():
        raise FileNotFoundError(f"--params: expected a file, got {path}")
    if path.suffix == ".npz":
        params = Params.load(path)
    elif path.suffix == ".safetensors":
        try:
            params = from_state_dict(safetensors.numpy.load_file(path), path)
        except (safetensors.SafetensorError, KeyError) as error:
            raise ValueError(f"--params: expected a whole .safetensors file, got {path} ({error})") from error
    elif path.suffix in (".pt", ".pth"):
        params = from_state_dict(load_framework("torch").read_state_dict(path), path)
    else:
        raise ValueError(f"--params: expected a file ending in .npz, .safetensors or .pt, got {path}")
    expect_finite(f"--params {path}", params.fields())
    return params


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

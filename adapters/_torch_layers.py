"""PyTorch's layers with several layers, two directions and rows of different lengths."""

from __future__ import annotations

from typing import Any

from torch.func import functional_call
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from adapters._layers import expect_offered
from adapters._torch import as_array, as_tensor, pull_back
from adapters._torch_cells import LAYERS, module_for
from adapters._way import flat, mapped, unflattened
from reference import LayersCase


def run(cell: str, weights: Any, xs: Any, states: Any, upstream: Any, case: LayersCase) -> Any:
    """Run ``nn.RNN``, ``nn.LSTM`` or ``nn.GRU`` with several layers or two directions; differentiate by autograd."""
    expect_offered("torch.nn", case, masks="its layers draw their own", copies="a packed sequence has no padding")
    own = {name: as_tensor(array).contiguous() for name, array in weights.items()}
    leaves = [tensor.requires_grad_() for tensor in flat(own, *mapped(as_tensor, (xs, states)))]
    own, x, now = unflattened(own, leaves)
    options = {"num_layers": case.layers, "bidirectional": case.directions == 2}
    module = module_for(LAYERS, cell, {name: own[name] for name in own if name.endswith("_l0")}, **options)
    inputs = x if case.lengths is None else pack_padded_sequence(x, [*case.lengths], enforce_sorted=False)
    outputs, last = functional_call(module, own, (inputs, now if len(now) > 1 else now[0]))
    if case.lengths is not None:
        outputs, _ = pad_packed_sequence(outputs, total_length=case.sizes["T"])
    everything = (outputs, *(last if len(now) > 1 else (last,)))
    gradients = unflattened(own, pull_back(everything, leaves, mapped(as_tensor, upstream)))
    return mapped(as_array, everything), mapped(as_array, gradients)

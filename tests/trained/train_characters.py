"""Train the small character-level networks, a vanilla RNN and an LSTM, whose weights the tests use as realistic ones.

The text beside this script, text.txt, is the prose of chapters I to VI of "Alice's Adventures in Wonderland" by
Lewis Carroll, first published in 1865. The author died in 1898, so the work is in the public domain everywhere, and
it may be copied and redistributed freely. The text comes from alice29.txt of the Canterbury compression corpus. Its
title lines, chapter headings and rows of asterisks were removed, and letters were lower-cased. The opening quotation
marks were made plain apostrophes, and each paragraph was put on one line.

The saved network has the parameters Wx, Wh and b of the cell, and logits[t] = h[t] @ Wy + by. The input x[t] is the
one-hot vector of character t in the order of the saved array "characters". The output logits[t] predicts character
t + 1. Training needs PyTorch; loading the saved file needs only NumPy.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

TEXT = Path(__file__).with_name("text.txt")
FOLDER = Path(__file__).parents[2] / "adapters" / "conformance"
CELLS = {"rnn": nn.RNN, "lstm": nn.LSTM}
HIDDEN, STREAMS, STEPS, RATE, CLIP, SEED = 64, 16, 50, 4e-3, 1.0, 20240229


class Characters(nn.Module):
    """A recurrent layer over one-hot characters with a linear read-out."""

    def __init__(self, cell: str, size: int) -> None:
        super().__init__()
        self.size = size
        self.rnn: Any = CELLS[cell](size, HIDDEN)
        self.readout = nn.Linear(HIDDEN, size)

    def loss(self, codes: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        """Return the mean loss in nats of predicting codes[1:] from codes[:-1], and the last state."""
        hidden, state = self.rnn(one_hot(codes[:-1], self.size).float(), state)
        return cross_entropy(self.readout(hidden).flatten(0, 1), codes[1:].flatten()), state

    def arrays(self) -> dict[str, Any]:
        """Return the weights in row-vector convention, with the two biases of PyTorch added into one."""
        saved = {name: value.numpy() for name, value in self.state_dict().items()}
        arrays = {
            "Wx": saved["rnn.weight_ih_l0"].T,
            "Wh": saved["rnn.weight_hh_l0"].T,
            "b": saved["rnn.bias_ih_l0"] + saved["rnn.bias_hh_l0"],
            "Wy": saved["readout.weight"].T,
            "by": saved["readout.bias"],
        }
        return {name: np.ascontiguousarray(value) for name, value in arrays.items()}


def encode(text: str) -> tuple[str, np.ndarray]:
    """Return the sorted characters of the text and the text as indices into them."""
    characters = "".join(sorted(set(text)))
    return characters, np.array([characters.index(c) for c in text])


def train(cell: str, codes: torch.Tensor, held_out: torch.Tensor, size: int, epochs: int) -> Characters:
    """Train by truncated backpropagation through time over parallel streams that carry their state."""
    torch.manual_seed(SEED)
    model = Characters(cell, size)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    length = len(codes) // STREAMS
    streams = codes[: length * STREAMS].view(STREAMS, length).T
    for epoch in range(1, epochs + 1):
        state = None
        for start in range(0, length - 1, STEPS):
            loss, state = model.loss(streams[start : start + STEPS + 1], state)
            state = tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
        schedule.step()
        if epoch % 5 == 0 or epoch in (1, epochs):
            with torch.no_grad():
                seen, unseen = (model.loss(part[:, None], None)[0].item() for part in (codes, held_out))
            print(f"epoch {epoch:3d}  train {seen:.4f}  held-out {unseen:.4f} nats per character", flush=True)
    return model


def main() -> None:
    """Train on the first nine tenths of the text, report on the last tenth, and save the weights."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("cell", nargs="?", choices=CELLS, default="rnn", help="the cell; default: rnn")
    parser.add_argument("-o", "--output", type=Path, help="the .npz file to write")
    parser.add_argument("--epochs", type=int, default=60, help="passes over the training text")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    characters, codes = encode(TEXT.read_text(encoding="ascii"))
    frequency = np.bincount(codes) / len(codes)
    entropy = -(frequency * np.log(frequency)).sum()
    print(f"{len(codes)} characters, {len(characters)} distinct, unigram entropy {entropy:.4f} nats per character")
    split = len(codes) * 9 // 10
    began = time.perf_counter()
    parts = torch.from_numpy(codes[:split]), torch.from_numpy(codes[split:])
    model = train(arguments.cell, *parts, len(characters), arguments.epochs)
    print(f"trained in {time.perf_counter() - began:.0f} s")
    output = arguments.output or FOLDER / f"char_{arguments.cell}.npz"
    output.parent.mkdir(parents=True, exist_ok=True)
    np.savez(output, characters=np.array(list(characters)), **model.arrays())
    print(f"wrote {output.name}, {output.stat().st_size} bytes")


if __name__ == "__main__":
    main()

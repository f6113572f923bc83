"""The trained weights in the package belong to a model that predicts English text; they are not random."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.conformance.judge import TRAINED
from reference import TimeLSTM, TimeRNN

TEXT = (Path(__file__).parents[1] / "trained" / "text.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(("cell", "layer"), [("rnn", TimeRNN), ("lstm", TimeLSTM)])
def test_the_trained_model_predicts_text_that_it_has_not_seen(cell: str, layer: Any) -> None:
    with np.load(TRAINED[cell]) as model:
        Wx, Wh, b, Wy, by, characters = (model[name] for name in ("Wx", "Wh", "b", "Wy", "by", "characters"))
    place = {character: index for index, character in enumerate(characters)}
    codes = np.array([place[character] for character in TEXT[len(TEXT) * 9 // 10 :]])
    hs = layer(*(array.astype(np.float64) for array in (Wx, Wh, b))).forward(np.eye(len(place))[codes][:-1, None, :])
    logits = hs[:, 0] @ Wy + by
    loss = (np.log(np.exp(logits).sum(axis=-1)) - logits[np.arange(len(codes) - 1), codes[1:]]).mean()
    frequency = np.bincount(codes) / len(codes)
    entropy = -(frequency[frequency > 0] * np.log(frequency[frequency > 0])).sum()
    # Character frequencies give a loss of about 3 nats per character. The loss of the model is a third lower.
    assert loss < entropy * 2 / 3
    assert TRAINED[cell].stat().st_size < 200_000

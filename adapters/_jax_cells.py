"""The cells composed of jax.numpy, since JAX ships none."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from adapters._composed import cells

CELLS = cells(jnp.tanh, jax.nn.sigmoid, jax.nn.relu)

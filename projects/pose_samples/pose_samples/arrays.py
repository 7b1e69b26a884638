"""Short names of numpy's types."""

import numpy as np

Array = np.ndarray
Rng = np.random.Generator

"""Scores of GTPT's codec beside those of the official code."""

import numpy as np


def to_density(scores: np.ndarray | float, sigma: float) -> np.ndarray:
    """Return the official code's score: the density of the distribution.

    Ours are parts of the peak of the target, a Gaussian of ``sigma`` bins.
    """
    return scores / (sigma * np.sqrt(2 * np.pi))

"""Probabilities and log-odds, as `scipy.special` has them, whose import takes a quarter of a second of every start."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

_LEAST = -700.0
"""Below these log-odds `exp` overflows, and the probability is 0 to 300 decimals."""
_NEAR_HALF = (0.3, 0.65)
"""Between these probabilities the logarithm of their odds loses digits, and `log1p` is used (as scipy does)."""


def expit(log_odds: float) -> float:
    """The probability, 0 to 1, of log-odds.

    Example:
        >>> expit(0.0)
        0.5
    """
    return 0.0 if log_odds < _LEAST else 1 / (1 + math.exp(-log_odds))


def expit_each(log_odds: npt.NDArray[np.float32]) -> list[float]:
    """The same for each of some numbers, in float32 throughout.

    Args:
        log_odds: shape (n,).
    """
    one = np.float32(1)
    with np.errstate(over="ignore"):  # infinite odds against it
        return [float(one / (one + np.float32(math.exp(min(-float(value), -_LEAST))))) for value in log_odds]


def logit(probability: float) -> float:
    """The log-odds of a probability; minus infinity for 0, infinity for 1.

    Example:
        >>> logit(0.5)
        0.0
    """
    if probability in (0.0, 1.0):
        return math.inf if probability else -math.inf
    if _NEAR_HALF[0] <= probability <= _NEAR_HALF[1]:
        twice = 2 * (probability - 0.5)
        return math.log1p(twice) - math.log1p(-twice)
    return math.log(probability / (1 - probability))

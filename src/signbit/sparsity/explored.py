"""In-time over-parameterization: how many different weights a mask has held so far (ITOP, 2102.02887)."""

from collections.abc import Iterable

__all__ = ["expected_explored"]


def expected_explored(density: float, rates: Iterable[float]) -> float:
    """Expected explored fraction R_s under random growth: 1 − (1 − d)·Π_q (1 − ζ_q·d/(1 − d + ζ_q·d)).

    Args:
        density: d, in (0, 1).
        rates: ζ_q of each update of the mask (`drop_rate`).
    """
    left = 1 - density
    for rate in rates:
        left *= 1 - rate * density / (1 - density + rate * density)
    return 1 - left

"""Schedules: a hyper-parameter's value as a function of the step index 0, 1, 2, ... of the updates."""

import math
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Constant", "Cosine", "Exponential", "Linear", "Polynomial", "Staircase", "WarmUp"]


@dataclass(frozen=True)
class Constant:
    """The same value always.

    Args:
        value: s(t).
    """

    value: float

    def __call__(self, index: int) -> float:
        """Gives the value at a step index ≥ 0."""
        return self.value


@dataclass(frozen=True)
class Polynomial:
    """Moves from start to end as a power of what is left, s(t) = end + (start − end) · (1 − min(t, steps)/steps)^power.

    Args:
        start: value at index 0.
        end: value from index `steps` on.
        steps: length of the ramp, ≥ 1.
        power: > 0; 1 is a straight line.
    """

    start: float
    end: float
    steps: int
    power: float = 1.0

    def __post_init__(self) -> None:
        _check_steps(self.steps)
        if not self.power > 0:
            raise ValueError(f"power must be > 0, got {self.power}")

    def __call__(self, index: int) -> float:
        """Gives the value at a step index ≥ 0."""
        # In this order the start comes out exactly.
        return self.start + (self.end - self.start) * (1 - (1 - min(index / self.steps, 1.0)) ** self.power)


@dataclass(frozen=True)
class Linear:
    """Straight line s(t) = start + (end − start) · min(t, steps)/steps.

    Args:
        start: value at index 0.
        end: value from index `steps` on.
        steps: length of the ramp, ≥ 1.
    """

    start: float
    end: float
    steps: int

    def __post_init__(self) -> None:
        _check_steps(self.steps)

    def __call__(self, index: int) -> float:
        """Gives the value at a step index ≥ 0."""
        return self.start + (self.end - self.start) * min(index / self.steps, 1.0)


@dataclass(frozen=True)
class Cosine:
    """Half a wave s(t) = start + (end − start) · (1 − cos(π·min(t, steps)/steps))/2 (1608.03983, one period).

    Args:
        start: value at index 0.
        end: value from index `steps` on.
        steps: length of the half wave, ≥ 1.
    """

    start: float
    end: float
    steps: int

    def __post_init__(self) -> None:
        _check_steps(self.steps)

    def __call__(self, index: int) -> float:
        """Gives the value at a step index ≥ 0."""
        return self.start + (self.end - self.start) * (1 - math.cos(math.pi * min(index / self.steps, 1.0))) / 2


@dataclass(frozen=True)
class Exponential:
    """One factor per step, s(t) = start · (end/start)^(min(t, steps)/steps).

    Args:
        start: value at index 0, > 0.
        end: value from index `steps` on, > 0.
        steps: length of the ramp, ≥ 1.
    """

    start: float
    end: float
    steps: int

    def __post_init__(self) -> None:
        _check_steps(self.steps)
        if not (self.start > 0 and self.end > 0):
            raise ValueError(f"start and end of an exponential must be > 0, got {self.start} and {self.end}")

    def __call__(self, index: int) -> float:
        """Gives the value at a step index ≥ 0."""
        return self.start * (self.end / self.start) ** min(index / self.steps, 1.0)


@dataclass(frozen=True)
class Staircase:
    """Jumps s(t) = start · factor^min(⌊t/period⌋, stairs).

    Args:
        start: value at index 0.
        factor: what each jump multiplies by, ≥ 0.
        period: step indices between jumps, ≥ 1; it need not be whole.
        stairs: jumps after which the value stays; None never stops.
    """

    start: float
    factor: float
    period: float
    stairs: int | None = None

    def __post_init__(self) -> None:
        if not self.period >= 1:
            raise ValueError(f"period must be >= 1, got {self.period}")
        if not self.factor >= 0:
            raise ValueError(f"factor must be >= 0, got {self.factor}")

    def __call__(self, index: int) -> float:
        """Gives the value at a step index ≥ 0."""
        jumps = int(index // self.period)
        return self.start * self.factor ** (jumps if self.stairs is None else min(jumps, self.stairs))


@dataclass(frozen=True)
class WarmUp:
    """A straight rise to where another schedule begins, then that schedule: s(t) = then(t − steps) from `steps` on.

    Args:
        steps: length of the rise, ≥ 1.
        then: what follows; its index 0 is the end of the rise.
        start: value at index 0.
    """

    steps: int
    then: Callable[[int], float]
    start: float = 0.0

    def __post_init__(self) -> None:
        _check_steps(self.steps)

    def __call__(self, index: int) -> float:
        """Gives the value at a step index ≥ 0."""
        if index >= self.steps:
            return self.then(index - self.steps)
        return self.start + (self.then(0) - self.start) * index / self.steps


def _check_steps(steps: int) -> None:
    if steps < 1:
        raise ValueError(f"steps must be >= 1, got {steps}")

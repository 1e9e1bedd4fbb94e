"""How the binary weights move during training, per layer and in all."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from torch import Tensor, nn
from torch.optim import Optimizer

from signbit.analysis.initial import InitialSigns
from signbit.analysis.shares import Shares
from signbit.optim import FlipCounter, Hybrid, LatentFree
from signbit.params import named_binary_parameters

__all__ = ["Monitor", "Movement"]

FLOOR = math.exp(-9)


@dataclass(frozen=True, kw_only=True)
class Movement:
    """What the binary weights did since the last reading.

    Attributes:
        flips: mean share that flips in one step (the FF ratio of 2106.11309).
        dead_zone: mean share that the threshold kept from flipping, 0 < w·r ≤ τ; None for optimizers of latent weights,
            which have no threshold.
        initial: share whose sign is the one that the weight had when the monitor began (the C2I ratio of 2106.11309).
    """

    flips: Shares
    dead_zone: Shares | None
    initial: Shares

    @property
    def pi(self) -> float:
        """π = ln(flips + e⁻⁹) (1906.02107, eq. 7): at least −9, and saying little below −8."""
        return math.log(self.flips.total + FLOOR)


@final
class Monitor:
    """Averages what an optimizer's steps do to the binary weights.

    A watched step costs a few comparisons of every binary weight; every tenth step keeps that far below 5 % of training
    (benchmarks/monitor_step.py).

    Args:
        model: whose binary weights are watched; the signs that they have now are the initial ones.
        optimizer: whose steps are watched; it need not be latent-free.
        every: watch one step in so many, beginning with the first.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer, *, every: int = 10) -> None:
        self._weights = dict(named_binary_parameters(model))
        self._names: dict[Tensor, str] = {weight: name for name, weight in self._weights.items()}
        self._sizes = {name: weight.numel() for name, weight in self._weights.items()}
        self._members = _latent_free(optimizer)
        self._initial = InitialSigns(self._weights)
        self._every = every
        self._watched = 0
        self._flips: dict[str, Tensor] = {}
        self._refused: dict[str, Tensor] = {}
        self._counter = FlipCounter(optimizer, self._weights.items(), every=every)
        self._handle = optimizer.register_step_post_hook(self._add)

    def read(self) -> Movement | None:
        """Averages over the steps watched since the last call; None if there were none, or no binary weights."""
        if not self._watched or not self._weights:
            return None
        movement = Movement(
            flips=self._mean(self._flips),
            dead_zone=self._mean(self._refused) if self._refused else None,
            initial=self._initial.kept(),
        )
        self._clear()
        return movement

    def restart(self) -> None:
        """Forgets what was seen since the last reading and watches the next step; the initial signs stay."""
        self._clear()
        self._counter.steps = 0

    def state_dict(self) -> dict[str, Any]:
        """The initial signs and what was seen since the last reading, for a run that goes on after an interruption."""
        return {
            "steps": self._counter.steps,
            "watched": self._watched,
            "flips": dict(self._flips),
            "refused": dict(self._refused),
            "initial": self._initial.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what another monitor of the same weights has seen."""
        self._counter.steps, self._watched = state_dict["steps"], state_dict["watched"]
        self._flips, self._refused = dict(state_dict["flips"]), dict(state_dict["refused"])
        self._initial.load_state_dict(state_dict["initial"])

    def remove(self) -> None:
        """Stops watching."""
        self._handle.remove()
        self._counter.remove()

    def _clear(self) -> None:
        self._watched = 0
        self._flips, self._refused = {}, {}

    def _add(self, *_: Any) -> None:
        if (self._counter.steps - 1) % self._every == 0:
            self._watched += 1
            _sum_up(self._flips, self._counter.counts)
            for member in self._members:
                refused = member.dead_zone().items()
                # A group added since then may hold weights of another model.
                _sum_up(self._refused, {self._names[w]: count for w, count in refused if w in self._names})

    def _mean(self, sums: Mapping[str, Tensor]) -> Shares:
        return Shares.of({name: int(count) / self._watched for name, count in sums.items()}, self._sizes)


def _sum_up(sums: dict[str, Tensor], counts: Mapping[str, Tensor]) -> None:
    # As tensors: reading a count here would wait for the device.
    for name, count in counts.items():
        sums[name] = sums[name] + count if name in sums else count


def _latent_free(optimizer: Optimizer) -> tuple[LatentFree, ...]:
    members = optimizer.members.values() if isinstance(optimizer, Hybrid) else (optimizer,)
    return tuple(member for member in members if isinstance(member, LatentFree))

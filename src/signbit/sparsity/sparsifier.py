"""Moves the masks of a model during its training, after each update of an optimizer."""

import warnings
from collections.abc import Iterator, Mapping
from math import floor
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from signbit.quantizers import TwoLevel, group_means, sign
from signbit.quantizers.budget import density_at
from signbit.sparsity.budgets import global_counts, layer_densities, three_digits
from signbit.sparsity.masks import MaskedLayer, attach_masks, masked_layers
from signbit.sparsity.moving import drop_rate, exchange
from signbit.sparsity.selection import largest_mask, parse_pattern
from signbit.sparsity.settings import SparsityConfig
from signbit.sparsity.sizes import draw_sizes

__all__ = ["Sparsifier"]

_DYNAMIC = ("set", "rigl")
_FALLING = ("topk", "flips")


@final
class Sparsifier:
    """Keeps the masks of all layers with "ternary" or "twolevel" weights, and moves them as the training goes on.

        sparsifier = Sparsifier(model, SparsityConfig(density=0.05, method="rigl"), steps=4000)
        optimizer = Hybrid(model, binary=..., real=...)
        sparsifier.follow(optimizer)
        ...                       # loss.backward(); optimizer.step(): the masks move by themselves

    - "topk": from dense to sparse. The weights with the largest latents (ternary: |w|), found anew every `every`
      updates, while the density falls from `start` to its target (`quantizers.budget.density_at`).
    - "flips": ternary only, from dense to sparse. Weights whose sign flips often leave and stay out (doi
      10.1109/ISQED48828.2020.9136977, after its abstract: a reconstruction); the density falls from 1.
    - "static": the largest latents of the start, for ever; of fresh weights a random mask.
    - "set": every `every` updates a share of the mask leaves and as many random weights enter (1707.04780).
    - "rigl": the same, and those enter whose gradient promises most (1911.11134). For ternary weights that is |g|, and
      a weight enters with the sign −g; for {α, β} only a gradient that asks for β counts, −g.

    What leaves is what has the least latent, or by `criterion="gradient"` what the gradient of the batch asks to leave.
    An optimizer without latent weights has no sizes: there the average gradient takes their place, and what wants to
    flip most, by m·w, leaves. A weight that moves takes the mean of its new group as its latent, so that the levels
    stay where they are, and its entries in the optimizer's state become 0. A ternary weight outside the mask has no
    gradient, does not flip and is not counted among those that a threshold keeps from flipping.

    Every random choice is a function of the seed and the number of the update, so that a training can be taken up
    again with `state_dict`; the masks are in the model's.

    Args:
        model: its masks are made here, unless it has some; then they are chosen anew.
        settings: with a density; its attributes say what each does.
        steps: updates of the training.
        seed: of random choices.

    Attributes:
        step: updates seen.
        layers: the layers, in order.
    """

    def __init__(
        self,
        model: nn.Module,
        settings: SparsityConfig,
        *,
        steps: int,
        seed: int = 0,
    ) -> None:
        if settings.density is None:
            raise ValueError("sparsity.density must be in (0, 1], got None")
        self.settings, self.density = settings, settings.density
        self.steps, self.seed = steps, seed
        self.pattern = None if settings.pattern is None else parse_pattern(settings.pattern)
        self.updates = int(settings.until * steps) // settings.period
        self.step = 0
        attach_masks(model)
        self.layers = list(masked_layers(model))
        self._check_layers()
        self._check_pruned()
        self._check_steps()
        self._optimizer: Optimizer | None = None
        self._before: list[Tensor] = []
        self._flips = [torch.zeros_like(layer.mask, dtype=torch.int32) for layer in self._counted()]
        if settings.method == "topk":
            draw_sizes(model, seed=seed)
        self._begin()
        self._fired = [layer.mask.clone() for layer in self.layers]

    def follow(self, optimizer: Optimizer) -> None:
        """Moves the masks with the updates of an optimizer, whose `step` takes no closure then.

        Args:
            optimizer: of the layers' weights, or a `Hybrid`, or its member `hybrid.members["binary"]` where a
                framework calls the Hybrid's step with a closure (Lightning).
        """
        self._optimizer = optimizer
        optimizer.register_step_pre_hook(self._prepare)
        optimizer.register_step_post_hook(self._advance)

    def explored(self) -> float:
        """Fraction R_s of all weights that a mask has held so far (ITOP, 2102.02887)."""
        total = sum(fired.numel() for fired in self._fired)
        return sum(int(fired.sum()) for fired in self._fired) / total

    def reached(self) -> float:
        """Fraction of all weights that the masks hold now."""
        return sum(int(layer.mask.sum()) for layer in self.layers) / self._size

    def state_dict(self) -> dict[str, Any]:
        """What a training needs to be taken up again, beside the model's state dict."""
        return {"step": self.step, "fired": self._fired, "flips": self._flips}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` gave.

        Raises:
            ValueError: it is of other layers.
        """
        for key, own in (("fired", self._fired), ("flips", self._flips)):
            if [saved.shape for saved in state[key]] != [tensor.shape for tensor in own]:
                raise ValueError(f"the saved {key} are of other layers; load them for the model they were saved with")
            for tensor, saved in zip(own, state[key], strict=True):
                tensor.copy_(saved)
        self.step = int(state["step"])

    @property
    def _size(self) -> int:
        return sum(layer.mask.numel() for layer in self.layers)

    def _counted(self) -> list[MaskedLayer]:
        """Layers whose flips are counted."""
        return self.layers if self.settings.method == "flips" else []

    def _check_layers(self) -> None:
        two_level = [isinstance(layer.quantizer, TwoLevel) for layer in self.layers]
        if self.settings.method == "flips" and any(two_level):
            raise ValueError(
                "sparsity.method flips counts signs, which weights of two levels do not have; set weight_quantizer to "
                "'ternary'"
            )
        # The smallest first, where a budget is least.
        for layer, two in sorted(zip(self.layers, two_level, strict=True), key=lambda pair: pair[0].mask.numel()):
            layer.quantizer.ranked = self.settings.method == "topk"
            layer.quantizer.dense_gradient = self.settings.method == "rigl" and not two
            if self.pattern is not None:
                self.pattern.check(layer.name, layer.weight.shape, self.density)
        self._all_allowed = not any(two_level)
        # Where half of a layer has either level there is nothing left to spend on it.
        self._targets = layer_densities(
            {layer.name: layer.weight.shape for layer in self.layers},
            self.density,
            distribution=self.settings.distribution,
            most=0.5 if any(two_level) else 1.0,
            all_allowed=self._all_allowed,
        )
        if any(two_level) and self.density > 0.5:
            warnings.warn(
                f"density={self.density} is above one half, so the roles are swapped: low is the rarer level, which "
                f"{1 - self.density:.3g} of the weights take, and which packed files list",
                stacklevel=3,
            )

    def _check_pruned(self) -> None:
        """Refuses a budget of more weights than `torch.nn.utils.prune` leaves."""
        if all(layer.allowed is None for layer in self.layers):
            return
        short = []
        for name, needed, of, left in self._together() if self.settings.distribution == "global" else self._each():
            if left < needed:
                text = f"{name}: density {self.density} takes {needed} of its {of} weights"
                short.append((left / needed, f"{text}, and torch.nn.utils.prune leaves {left} for them; prune less"))
        if short:
            share, text = min(short)
            fixed = self.pattern is not None and self.pattern.kind == "n:m"
            most = "" if fixed or share == 0 else three_digits(share * self.density, floor)
            raise ValueError(f"{text}{most and f', or lower the density to {most}'}")

    def _each(self) -> Iterator[tuple[str, int, int, int]]:
        """What pruning leaves of every layer: its name, weights needed, of how many, and those that can be had."""
        for layer, target in zip(self.layers, self._targets, strict=True):
            allowed = layer.unpruned()
            scores = torch.zeros(allowed.shape, device=allowed.device).masked_fill(~allowed, -torch.inf)
            mask = largest_mask(scores, round(target * allowed.numel()), pattern=self.pattern)
            yield layer.name, int(mask.sum()), mask.numel(), int((mask & allowed).sum())

    def _together(self) -> Iterator[tuple[str, int, int, int]]:
        """The same of all layers together, each of which needs one."""
        everything = 0
        for layer in self.layers:
            of, left = layer.mask.numel(), int(layer.unpruned().sum())
            everything += left if self._all_allowed else min(left, of - 1)
            yield layer.name, 1, of, left
        yield "all layers", round(self.density * self._size), self._size, everything

    def _check_steps(self) -> None:
        method, every, anneal = self.settings.method, self.settings.period, self.settings.anneal
        if method in _FALLING and self.steps // every * every < anneal * self.steps:
            raise ValueError(
                f"sparsity.every {every} leaves no move of the masks after the density has fallen, in {self.steps} "
                f"updates with anneal {anneal}; lower every or anneal"
            )
        if method in _DYNAMIC and self.updates == 0:
            raise ValueError(
                f"sparsity.every {every} leaves no move of the masks in {self.steps} updates; lower every, or take "
                "method static"
            )

    @torch.no_grad()
    def _begin(self) -> None:
        """The first masks: as many as there are to be, the largest latents."""
        self._rank(0.0)
        if self.settings.method != "topk":
            for layer in self.layers:
                self._rest(layer)

    def _random(self, index: int) -> torch.Generator:
        """A generator for one layer at the present update."""
        return torch.Generator().manual_seed(((self.seed * 1_000_003 + self.step) * 10_007 + index) % 2**63)

    def _counts(self, progress: float, rankings: list[Tensor]) -> list[int]:
        falling = self.settings.method in _FALLING
        if self.settings.distribution == "global":
            at = self._density(progress, self.density) if falling else self.density
            return global_counts(rankings, at, all_allowed=self._all_allowed)
        densities = [self._density(progress, target) if falling else target for target in self._targets]
        return [round(d * layer.mask.numel()) for d, layer in zip(densities, self.layers, strict=True)]

    def _density(self, progress: float, target: float) -> float:
        start = 1.0 if self.settings.method == "flips" else max(self.settings.start, target)
        return density_at(progress, target=target, start=start, anneal=self.settings.anneal)

    def _rank(self, progress: float) -> None:
        """Chooses the masks anew by the latents, or by the flips counted so far."""
        rankings = []
        for index, layer in enumerate(self.layers):
            weight = layer.weight.detach()
            ranking = layer.quantizer.ranking(weight)
            if self.settings.distribution == "global":
                ranking = ranking / weight.square().mean().sqrt().clamp(min=1e-12)
            if self.settings.method == "flips" and self.step:
                # Sizes, scaled below 1, decide among weights that have flipped equally often.
                ranking = ranking / (2 * ranking.amax()) - self._flips[index]
                ranking = ranking.masked_fill(~layer.mask, -torch.inf)
            if layer.allowed is not None:
                ranking = ranking.masked_fill(~layer.allowed, -torch.inf)
            rankings.append(ranking)
        for index, (layer, ranking, count) in enumerate(
            zip(self.layers, rankings, self._counts(progress, rankings), strict=True)
        ):
            layer.mask.copy_(largest_mask(ranking, count, pattern=self.pattern, generator=self._random(index)))
            if layer.allowed is not None:
                layer.mask.logical_and_(layer.allowed)

    def _prepare(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """Before an update: moves masks by the gradients, and keeps those of ternary zeros from the optimizer."""
        if any(value is not None for value in (*args[1:], *kwargs.values())):
            raise ValueError(
                "a closure computes gradients inside of step, where masks cannot follow; call step() after backward()"
            )
        self.step += 1
        due = (
            self.settings.method in _DYNAMIC
            and self.step % self.settings.period == 0
            and self.step // self.settings.period <= self.updates
        )
        with torch.no_grad():
            for index, layer in enumerate(self.layers):
                gradient = layer.weight.grad
                if due and gradient is not None:
                    self._move(index, layer, gradient)
                # After a move the gradient is still that of the mask before.
                masked = layer.quantizer.dense_gradient or (due and not isinstance(layer.quantizer, TwoLevel))
                if masked and gradient is not None:
                    gradient.mul_(layer.mask)
        self._before = [layer.weight.detach() < 0 for layer in self._counted()]

    @torch.no_grad()
    def _advance(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """After an update: masks that follow the latents."""
        for layer, flips, before in zip(self._counted(), self._flips, self._before, strict=True):
            flips += (layer.weight.detach() < 0) ^ before
        if self.settings.method in _FALLING and self.step % self.settings.period == 0:
            self._rank(min(self.step / self.steps, 1.0))
            if self.settings.method == "flips":
                for layer in self.layers:
                    self._rest(layer)
        for layer, fired in zip(self.layers, self._fired, strict=True):
            fired |= layer.mask

    def _move(self, index: int, layer: MaskedLayer, gradient: Tensor) -> None:
        """Exchanges a part of one mask ("set", "rigl")."""
        weight, before = layer.weight.detach(), layer.mask.clone()
        two_level, free = isinstance(layer.quantizer, TwoLevel), _without_latents(weight)
        # Of a weight with two levels the gradient says which level is better, of a ternary one which sign.
        asks = -gradient if two_level else gradient.abs()
        random = self._random(index)
        if self.settings.method == "set":
            asks = torch.rand(weight.shape, generator=random).to(weight)
        if layer.allowed is not None:
            asks = asks.masked_fill(~layer.allowed, -torch.inf)
        after = exchange(before, self._importance(layer, gradient, free), asks, self._rate(), generator=random)
        if layer.allowed is not None:
            after &= layer.allowed
        layer.mask.copy_(after)
        entered, left = after & ~before, before & ~after
        if two_level:
            low, high = group_means(weight.reshape(1, -1), before.reshape(1, -1))
            weight.copy_(torch.where(entered, high, torch.where(left, low, weight)))
        else:
            if self.settings.method == "set":
                gradient = torch.rand(weight.shape, generator=random).to(weight) - 0.5
            weight.copy_(torch.where(entered, sign(-gradient) * weight[before].abs().mean(), weight))
        self._forget(layer, entered | left)
        if not two_level:
            self._rest(layer)

    def _rate(self) -> float:
        return drop_rate(
            self.step // self.settings.period, self.updates, start=self.settings.drop, end=self.settings.drop_end
        )

    def _importance(self, layer: MaskedLayer, gradient: Tensor, free: bool) -> Tensor:
        """What keeps a weight in the mask; the smallest leave."""
        weight = layer.weight.detach()
        if isinstance(layer.quantizer, TwoLevel):
            return -gradient if self.settings.criterion == "gradient" else weight
        if self.settings.criterion == "gradient":
            return -gradient * sign(weight)
        if free:
            average = self._state(layer).get("momentum")
            return torch.zeros_like(weight) if average is None else -average * weight
        return weight.abs()

    def _state(self, layer: MaskedLayer) -> Mapping[str, Any]:
        """The optimizer's state of a layer's weight, empty before the first update."""
        optimizer = self._optimizer
        return {} if optimizer is None or layer.weight not in optimizer.state else optimizer.state[layer.weight]

    def _forget(self, layer: MaskedLayer, where: Tensor) -> None:
        for value in self._state(layer).values():
            if isinstance(value, Tensor) and value.shape == where.shape:
                value.masked_fill_(where, 0)

    def _rest(self, layer: MaskedLayer) -> None:
        """Leaves nothing of ternary weights outside the mask that could move or flip them."""
        if isinstance(layer.quantizer, TwoLevel):
            return
        self._forget(layer, ~layer.mask)
        if not _without_latents(layer.weight.detach()):
            layer.weight.mul_(layer.mask)


def _without_latents(weight: Tensor) -> bool:
    """Whether all weights are −1 or +1, so that their optimizer keeps no sizes."""
    return bool((weight.abs() == 1).all())

"""What optimizers without latent weights have in common: their weights are ±1 and a step flips some of them."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from signbit.optim.strict import StrictOptimizer
from signbit.params import BinaryOwner
from signbit.quantizers import RankedQuantizer, SignQuantizer, Ternary

__all__ = [
    "LatentFree",
    "Tensors",
    "check_rate",
    "check_signs",
    "check_threshold",
    "count_refused",
    "refuse_latent_domains",
    "use_foreach",
]

Tensors = list[Tensor] | tuple[Tensor, ...]


class LatentFree(StrictOptimizer, ABC):
    """Optimizer of weights that are ±1: it keeps statistics of the gradient and flips signs, without latent weights.

    A weight that is not ±1 is refused by name. Its groups have `lr` and `foreach`.
    """

    @final
    @override
    def _check_weight(self, name: str, weight: Tensor) -> None:
        check_signs(name, weight, type(self).__name__)

    @final
    @torch.no_grad()
    def dead_zone(self) -> dict[Tensor, Tensor]:
        """Counts, for each weight tensor with statistics, the values that the threshold alone kept from flipping.

        Ask after a step, before a scheduler moves the threshold. Counts are int64 scalars on the weight's device.
        """
        return {
            weight: self._refused(group, weight)
            for group in self.param_groups
            for weight in group["params"]
            if self.state.get(weight)
        }

    @abstractmethod
    def _refused(self, group: Mapping[str, Any], weight: Tensor) -> Tensor:
        """Number of a tensor's values in the dead zone 0 < w·r ≤ τ, as an int64 scalar."""


def check_signs(name: str, weight: Tensor, optimizer: str) -> None:
    """Refuses a weight with values other than −1 and +1."""
    if not bool((weight.abs() == 1).all()):
        raise ValueError(
            f"{name}: {optimizer} needs weights of -1 and +1 and found others; "
            "Hybrid(model, binary=...) sets them, or copy signbit.quantizers.sign(weight) into the weight"
        )


def refuse_latent_domains(model: nn.Module, optimizer: LatentFree) -> None:
    """Refuses layers that cannot learn from weights which are ±1, whatever owns them.

    Two levels are found by ranking the weights, which leaves nothing to rank; and where the surrogate gradient of the
    sign is 0 at ±1, no gradient ever arrives.
    """
    owned = {weight for group in optimizer.param_groups for weight in group["params"]}
    for path, owner in model.named_modules():
        if isinstance(owner, BinaryOwner) and not owned.isdisjoint(owner.parameters(recurse=False)):
            reason = _needs_latents(getattr(owner, "weight_quantizer", None))
            if reason is not None:
                raise ValueError(
                    f"{path or type(owner).__name__}: its weight quantizer {reason}, and {type(optimizer).__name__} "
                    "keeps only signs; use Latent(...) or BAMSProd, the quantizer 'sign', or for ternary weights "
                    "'ternary(surrogate=sign)' with masks (sparsity.method set, rigl, flips or static)"
                )


def _needs_latents(quantizer: object) -> str | None:
    if isinstance(quantizer, Ternary) and quantizer.mask is not None and not quantizer.ranked:
        quantizer = quantizer.estimator  # the mask says which weights are 0, and their signs are all that is left
    if isinstance(quantizer, RankedQuantizer):
        return f"{type(quantizer).__name__} tells weights apart by their size"
    if isinstance(quantizer, SignQuantizer):
        device = next((buffer.device for buffer in quantizer.buffers()), None)
        if not bool(quantizer.surrogate(torch.tensor([-1.0, 1.0], device=device)).any()):
            return f"{type(quantizer).__name__} passes no gradient at -1 and +1"
    return None


def count_refused(pull: Tensor, bound: Tensor | float) -> Tensor:
    """Number of values with 0 < pull ≤ bound, an int64 scalar.

    Args:
        pull: m·w, of any shape. A step turns the sign of what it flips, so that after it only those it refused remain.
        bound: ≥ 0, a number or in the shape of `pull`.
    """
    return torch.count_nonzero(pull > 0) - torch.count_nonzero(pull > bound)


def use_foreach(choice: bool | None, weights: list[Tensor]) -> bool:
    """Whether to update all tensors by few kernels: as chosen, else wherever a launch costs more than the cache."""
    return weights[0].device.type != "cpu" if choice is None else choice


def check_rate(name: str, value: float, *, scheduled: bool) -> None:
    """Refuses the rate of an average outside (0, 1]; a scheduled one may be 0, which freezes it."""
    if not (0 < value <= 1 or (scheduled and value == 0)):
        raise ValueError(f"{name} must be in {'[0' if scheduled else '(0'}, 1], got {value}")


def check_threshold(value: float) -> None:
    """Refuses a threshold below 0 or not finite."""
    if not 0 <= value < math.inf:
        raise ValueError(f"threshold must be >= 0 and finite, got {value}")

"""Latent weights: any torch optimizer on real weights of which the network sees the signs."""

from collections.abc import Callable
from functools import partial
from typing import Any, final

import torch
from torch.optim import Optimizer
from typing_extensions import override

from signbit.optim.checks import check_gradients, check_saved

__all__ = ["Latent"]


@final
class Latent(Optimizer):
    """Any torch optimizer, its parameters clipped to [−clip, clip] after each step (BinaryConnect, 1511.00363).

    Without the clip, latent weights run away to where the surrogate gradient of their sign is zero. Groups, state and
    state dict are those of the wrapped optimizer. A gradient that is not finite is refused by name and leaves all as it
    was.

    Args:
        optimizer: the optimizer of the latent weights.
        clip: bound > 0, usually the window of the weight quantizer's surrogate gradient.
    """

    def __init__(self, optimizer: Optimizer, clip: float = 1.0) -> None:
        if not clip > 0:
            raise ValueError(f"clip must be > 0, got {clip}")
        super().__init__(optimizer.param_groups, optimizer.defaults)
        self.optimizer = optimizer
        self.clip = clip
        self._share()

    @override
    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "optimizer": self.optimizer, "clip": self.clip}

    @override
    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._share()

    def _share(self) -> None:
        self._steps = 0
        self.param_groups = self.optimizer.param_groups
        self.state = self.optimizer.state

    @override
    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Does one update of the wrapped optimizer, then clips.

        Args:
            closure: evaluates the model again and returns the loss, as in torch.
        """
        self._steps += 1
        if closure is None:
            check_gradients(self, self._steps)
            loss = self.optimizer.step()
        else:
            loss = self.optimizer.step(partial(self._evaluate, closure))
        for group in self.param_groups:
            for weight in group["params"]:
                weight.clamp_(-self.clip, self.clip)
        return loss

    def _evaluate(self, closure: Callable[[], Any]) -> Any:
        loss = closure()
        check_gradients(self, self._steps)
        return loss

    @override
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        if "optimizer" in self.__dict__:
            self.optimizer.add_param_group(param_group)
        else:
            super().add_param_group(param_group)

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what `state_dict` gave.

        Raises:
            ValueError: the state belongs to another optimizer or to tensors of another shape; nothing is restored.
        """
        check_saved(self.optimizer, state_dict)
        self.optimizer.load_state_dict(state_dict)
        self._share()

    @override
    def __repr__(self) -> str:
        return f"Latent({self.optimizer!r}, clip={self.clip})"

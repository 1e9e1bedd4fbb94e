"""Where a network first computes something that is no finite number."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["nonfinite_tensor", "origin_of_nonfinite"]


def nonfinite_tensor(named: Iterable[tuple[str, Tensor]]) -> str | None:
    """Name of the first tensor with a value that is not finite."""
    return next((name for name, tensor in named if not torch.isfinite(tensor).all()), None)


@torch.no_grad()
def origin_of_nonfinite(model: nn.Module, images: Tensor) -> str:
    """Runs `images` through `model` again and says which weight or layer is the first that is not finite."""
    parameter = nonfinite_tensor(model.named_parameters())
    if parameter is not None:
        return f"{parameter} is not finite after the last update"
    found: list[str] = []

    def watch(name: str) -> Any:
        def look(module: nn.Module, inputs: Any, output: Any) -> None:
            if not found and _finite(inputs) and not _finite((output,)):
                found.append(f"layer {name} ({type(module).__name__}) was the first to give values that are not finite")

        return look

    leaves = [(name, module) for name, module in model.named_modules() if not any(module.children())]
    handles = [module.register_forward_hook(watch(name)) for name, module in leaves]
    try:
        model(images)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else "every layer is finite, only the loss of the scores is not"


def _finite(values: Iterable[Any]) -> bool:
    return all(bool(torch.isfinite(value).all()) for value in values if isinstance(value, Tensor))

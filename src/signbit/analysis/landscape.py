"""The loss around trained weights, along two filter-normalised random directions (Li et al. 2018, 1712.09913)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = ["Direction", "loss_surface", "random_direction"]

Direction = dict[str, Tensor]
"""Change of each parameter, by name."""


@torch.no_grad()
def random_direction(model: nn.Module, *, seed: int) -> Direction:
    """A random direction as long, filter by filter, as the weights: d ← d/‖d‖ · ‖w‖ of each filter.

    So a step of one length means the same in networks whose filters are of different sizes, which batch norms make
    equal. Parameters with fewer than two dimensions (norms, biases, shifts) stand still, as in the authors' figures.

    Args:
        model: whose parameters are meant.
        seed: of the normal numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    return {name: _like(weight, generator) for name, weight in model.named_parameters()}


def _like(weight: Tensor, generator: torch.Generator) -> Tensor:
    if weight.dim() < 2:
        return torch.zeros_like(weight)
    random = torch.randn(weight.shape, generator=generator).to(weight.device, weight.dtype)
    lengths = [tensor.flatten(1).norm(dim=1).view(-1, *(1,) * (weight.dim() - 1)) for tensor in (weight, random)]
    return random * (lengths[0] / lengths[1])


@torch.no_grad()
def loss_surface(
    model: nn.Module,
    loss: Callable[[nn.Module], float],
    directions: tuple[Direction, Direction],
    *,
    reach: float = 1.0,
    steps: int = 21,
) -> Tensor:
    """Loss of the weights w + a·d₁ + b·d₂ on a grid of a and b; the model is as it was afterwards.

    Put it into eval mode: batch norms then keep the statistics of the weights in the middle, as in the authors' code.
    Binary weights change only where the sum changes its sign: those that are ±1, at a step of 1, one in six.

    Args:
        model: with the weights in the middle.
        loss: what is drawn, such as the mean loss over some thousand training images, always the same.
        directions: d₁ and d₂, as `random_direction` gives them.
        reach: a and b go from −reach to reach; > 0.
        steps: points along each, ≥ 2; an odd number has the weights themselves in the middle.

    Returns:
        Losses, shape (steps, steps), a along the rows.
    """
    if not reach > 0:
        raise ValueError(f"reach must be > 0, got {reach}")
    if steps < 2:
        raise ValueError(f"steps must be >= 2, got {steps}")
    parameters = dict(model.named_parameters())
    for direction in directions:
        if direction.keys() != parameters.keys():
            raise ValueError("directions: they name other parameters than the model has; make them for this model")
    middle = {name: parameter.clone() for name, parameter in parameters.items()}
    axis = torch.linspace(-reach, reach, steps).tolist()
    surface = torch.empty(steps, steps)
    try:
        for row, a in enumerate(axis):
            for column, b in enumerate(axis):
                for name, parameter in parameters.items():
                    parameter.copy_(middle[name] + a * directions[0][name] + b * directions[1][name])
                surface[row, column] = loss(model)
    finally:
        for name, parameter in parameters.items():
            parameter.copy_(middle[name])
    return surface

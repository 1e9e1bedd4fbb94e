"""SevenSeg-noise: a procedural task that tells right optimizers of binary weights from wrong ones in seconds.

A seven-segment digit, 14 × 8 with strokes of two pixels, lies somewhere on a 20 × 20 canvas of −1; every pixel's sign
is flipped with probability 0.12. The network is 400-256-256-10 with binary weights, batch norm after each product and
signs between (specs/optimizers.md §7.1).
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from signbit.nn import BinaryLinear
from signbit.optim import FlipCounter, Hybrid, HyperparameterScheduler
from signbit.params import named_binary_parameters

SEGMENTS = {
    "A": (slice(0, 2), slice(0, 8)),
    "B": (slice(0, 8), slice(6, 8)),
    "C": (slice(6, 14), slice(6, 8)),
    "D": (slice(12, 14), slice(0, 8)),
    "E": (slice(6, 14), slice(0, 2)),
    "F": (slice(0, 8), slice(0, 2)),
    "G": (slice(6, 8), slice(0, 8)),
}
DIGITS = ("ABCDEF", "BC", "ABGED", "ABGCD", "FGBC", "AFGCD", "AFGECD", "ABC", "ABCDEFG", "ABCDFG")


@dataclass(frozen=True)
class Result:
    accuracy: float
    flip_rates: list[float]
    """Flips per weight and step, averaged over each epoch."""


def draw(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draws images (count, 400) of ±1 and their digits."""
    glyphs = -torch.ones(10, 14, 8)
    for digit, segments in enumerate(DIGITS):
        for segment in segments:
            glyphs[digit][SEGMENTS[segment]] = 1
    digits = torch.randint(10, (count,), generator=generator)
    rows = torch.randint(7, (count,), generator=generator)
    columns = torch.randint(13, (count,), generator=generator)
    canvas = -torch.ones(count, 20, 20)
    for image, digit, row, column in zip(canvas, digits, rows, columns, strict=True):
        image[row : row + 14, column : column + 8] = glyphs[digit]
    noise = torch.rand(count, 20, 20, generator=generator) < 0.12
    return torch.where(noise, -canvas, canvas).flatten(1), digits


@cache
def data() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return *draw(8000, generator), *draw(2000, generator)


def network(*, norm: bool = True) -> nn.Sequential:
    widths = (400, 256, 256, 10)
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layer = BinaryLinear(inputs, outputs)
        nn.init.uniform_(layer.weight, -0.1, 0.1)
        layers += [layer, nn.BatchNorm1d(outputs)] if norm else [layer]
    return nn.Sequential(*layers)


def train(
    binary: Callable[[list[tuple[str, nn.Parameter]]], Optimizer],
    *,
    linear: bool,
    epochs: int = 10,
    seed: int = 0,
    norm: bool = True,
    schedules: Callable[[int], Mapping[str, Callable[[int], float]]] | None = None,
) -> Result:
    """Trains with `binary` on the weights and Adam 0.01, linear to 0, on the batch norms.

    Args:
        binary: makes the optimizer of the binary weights.
        linear: whether its rate falls linearly to 0 too.
        epochs: passes over the 8000 training images.
        seed: of initial weights and order.
        norm: whether there are batch norms.
        schedules: steps of the run → schedules of the binary weights' optimizer; Adam's rate is constant then.
    """
    torch.manual_seed(seed)
    images, digits, test_images, test_digits = data()
    model = network(norm=norm)
    optimizer = Hybrid(model, binary=binary, real=(lambda pairs: Adam(pairs, lr=1e-2)) if norm else None)
    watch = FlipCounter(optimizer, named_binary_parameters(model))
    steps = epochs * len(images) // 100
    rates = [group["lr"] for group in optimizer.param_groups]
    real = optimizer.group_indices("real") if norm else ()
    falling = [schedules is None and (linear or index in real) for index in range(len(rates))]
    scheduler = HyperparameterScheduler(
        optimizer, {} if schedules is None else schedules(steps), groups=optimizer.group_indices("binary")
    )
    flip_rates, step = [], 0
    for _ in range(epochs):
        total = 0.0
        for batch in torch.randperm(len(images)).split(100):
            for group, rate, falls in zip(optimizer.param_groups, rates, falling, strict=True):
                if falls:
                    group["lr"] = rate * (1 - step / steps)
            optimizer.zero_grad()
            F.cross_entropy(model(images[batch]), digits[batch]).backward()
            optimizer.step()
            scheduler.step()
            total += watch.rate()
            step += 1
        flip_rates.append(total / (len(images) // 100))
    model.eval()
    with torch.no_grad():
        accuracy = (model(test_images).argmax(1) == test_digits).float().mean().item()
    return Result(accuracy, flip_rates)

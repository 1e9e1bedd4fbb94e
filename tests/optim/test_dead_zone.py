"""The dead zone 0 < w·r ≤ τ, against sequences whose every ratio is known (optimizers.md 2.4 and 3.5)."""

import pytest
import torch

from signbit.optim import Bop, Bop2ndOrder, LatentFree
from signbit.optim.strict import BLOCK

G = [0.5, -1, 2, 1, 1, -3, -1, -1]


def refused(optimizer: LatentFree, weight: torch.nn.Parameter, gradients: list[float]) -> list[int]:
    """How many of the weights the threshold refuses, after each step."""
    seen = []
    for gradient in gradients:
        weight.grad = torch.full_like(weight, gradient)
        optimizer.step()
        seen.append(optimizer.dead_zone()[weight].item())
    return seen


def test_bop() -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    assert refused(Bop([weight], lr=0.5, threshold=0.3), weight, [0.4, 0.8, -0.2, 1, -2, -2]) == [1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("correction", "threshold", "expected"),
    [
        ("none", 0.3, [1, 0, 1, 1, 0, 1, 1, 1]),
        ("reference", 0.3 * 0.2**0.5 / 0.1, [1, 0, 1, 1, 0, 1, 1, 1]),
        ("adam", 0.3, [0, 0, 0, 0, 0, 1, 1, 1]),
    ],
)
def test_bop2ndorder(correction: str, threshold: float, expected: list[int]) -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = Bop2ndOrder([weight], lr=0.1, sigma=0.2, threshold=threshold, correction=correction)
    assert refused(optimizer, weight, G) == expected


def test_the_threshold_itself_refuses_and_zero_asks_for_nothing() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, 1.0, -1.0]))
    optimizer = Bop([weight], lr=0.5, threshold=0.5)
    assert optimizer.dead_zone() == {}
    weight.grad = torch.tensor([1.0, 0.0, 1.0])
    optimizer.step()
    assert optimizer.dead_zone()[weight].item() == 1


@pytest.mark.parametrize("kind", [Bop, Bop2ndOrder])
def test_large_tensors_are_counted_whole(kind: type[LatentFree]) -> None:
    weight = torch.nn.Parameter(torch.ones(5, BLOCK // 2 + 1))
    optimizer = kind([weight], lr=0.5, threshold=1e3)  # type: ignore[call-arg]
    assert refused(optimizer, weight, [1.0, -2.0]) == [weight.numel(), 0]

import pytest
import torch
from torch import nn
from torch.optim import SGD

from signbit.optim import Bop, FlipCounter, Latent


def test_counts_the_flips_of_the_last_step():
    weight = nn.Parameter(torch.ones(10))
    optimizer = Bop([weight], lr=1.0, threshold=0.0)
    watch = FlipCounter(optimizer, [("w", weight)])
    assert watch.counts == {}
    for flips in (3, 0, 7):
        weight.grad = torch.cat([weight.detach()[:flips], -weight.detach()[flips:]])
        optimizer.step()
        assert watch.counts["w"].item() == flips
        assert watch.rate() == flips / 10
    watch.remove()
    weight.grad = weight.detach().clone()
    optimizer.step()
    assert (watch.counts["w"].item(), watch.steps) == (7, 3)


def test_latent_weights_count_by_sign_and_zero_is_positive():
    weight = nn.Parameter(torch.tensor([0.5, 0.0, -0.5]))
    optimizer = Latent(SGD([weight], lr=0.5))
    watch = FlipCounter(optimizer, [("w", weight)])
    weight.grad = torch.tensor([1.0, 1.0, -1.0])
    optimizer.step()
    assert weight.tolist() == [0.0, -0.5, 0.0]
    assert watch.counts["w"].item() == 2


def test_every_so_many_steps():
    weight = nn.Parameter(torch.ones(2))
    optimizer = Bop([weight], lr=1.0, threshold=0.0)
    watch = FlipCounter(optimizer, [("w", weight)], every=3)
    seen = []
    for agree in (True, False, False, False, True):
        weight.grad = weight.detach().clone() if agree else -weight.detach()
        optimizer.step()
        seen.append(watch.counts["w"].item())
    assert seen == [2, 2, 2, 0, 0]
    with pytest.raises(ValueError, match="every must be >= 1, got 0"):
        FlipCounter(optimizer, [], every=0)

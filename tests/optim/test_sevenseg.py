"""Right optimizers learn SevenSeg-noise, wrong ones do not (specs/optimizers.md §7.1, §7.2)."""

from functools import partial

import pytest
import torch
from torch.optim import Adam, Optimizer

from optim.sevenseg import train
from signbit.optim import Bop, Bop2ndOrder, Latent


@pytest.mark.parametrize(
    ("binary", "first", "last"),
    [
        (partial(Bop, lr=1e-2, threshold=1e-6), 1.4e-2, 1.7e-4),
        (partial(Bop2ndOrder, lr=1e-3, sigma=1e-3, threshold=1e-2), 1.5e-2, 1.2e-5),
        (lambda pairs: Latent(Adam(pairs, lr=1e-2)), 7.4e-3, 5.6e-4),
    ],
    ids=["bop", "bop2ndorder", "latent-adam"],
)
def test_right_optimizers_learn_with_healthy_flip_rates(binary, first, last):
    result = train(binary, linear=True)
    assert result.accuracy >= 0.65
    assert 1e-3 < result.flip_rates[0] < 4e-2
    assert result.flip_rates[-1] < result.flip_rates[0] / 10
    # The rates of the specification's own runs, within a factor of two.
    assert first / 2 < result.flip_rates[0] < first * 2
    assert last / 2 < result.flip_rates[-1] < last * 2


def inverted(weight, momentum):
    return -weight * momentum > 1e-6


def without_sign_test(weight, momentum):
    return momentum.abs() > 1e-6


def right(weight, momentum):
    return weight * momentum > 1e-6


class WrongBop(Optimizer):
    """Bop with γ and the flip test given, written a second time so that it can be wrong."""

    def __init__(self, params, *, gamma, flips):
        super().__init__(params, {"lr": 1.0})
        self.gamma, self.flips = gamma, flips

    @torch.no_grad()
    def step(self, closure=None):
        for weight in self.param_groups[0]["params"]:
            if weight not in self.state:
                weight.copy_(torch.where(weight < 0, -1.0, 1.0))
                self.state[weight] = torch.zeros_like(weight)
            momentum = self.state[weight]
            momentum.lerp_(weight.grad, self.gamma)
            weight.copy_(torch.where(self.flips(weight, momentum), -weight, weight))


@pytest.mark.parametrize(
    ("gamma", "flips"),
    [(1e-3, inverted), (1e-3, without_sign_test), (1 - 1e-3, right)],
    ids=["inverted", "no-sign-test", "gamma-swapped"],
)
def test_wrong_variants_do_not_learn(gamma, flips):
    result = train(partial(WrongBop, gamma=gamma, flips=flips), linear=False)
    assert result.accuracy <= 0.25


def test_the_wrong_variants_frame_is_right_otherwise():
    assert train(partial(WrongBop, gamma=1e-3, flips=right), linear=False, epochs=2).accuracy > 0.4

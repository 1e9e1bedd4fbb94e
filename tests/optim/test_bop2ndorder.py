import math

import pytest
import torch

from signbit.optim import Bop2ndOrder
from signbit.optim.bop import bop_update
from signbit.optim.bop2ndorder import bop2ndorder_update, bop2ndorder_update_foreach, corrected

G = [0.5, -1, 2, 1, 1, -3, -1, -1]
M = [0.05, -0.055, 0.1505, 0.23545, 0.311905, -0.0192855, -0.11735695, -0.20562126]
V = [0.05, 0.24, 0.992, 0.9936, 0.99488, 2.595904, 2.2767232, 2.02137856]
BIASED = [0.223607, -0.112268, 0.151106, 0.236207, 0.312707, -0.011970, -0.077777, -0.144625]
REFERENCE = [1, -0.502079, 0.675765, 1.056350, 1.398466, -0.053531, -0.347831, -0.646784]
ADAM = [1, -0.354531, 0.389512, 0.527757, 0.626124, -0.021944, -0.132533, -0.231658]


def signs(size, generator):
    return torch.where(torch.rand(size, generator=generator) < 0.5, -1.0, 1.0)


def run(correction, threshold, gradients=G, *, lr=0.1, sigma=0.2):
    """Steps at which one weight, +1 at first, has flipped, and the averages after each step."""
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = Bop2ndOrder([weight], lr=lr, sigma=sigma, threshold=threshold, correction=correction)
    flips, averages, previous = [], [], 1.0
    for step, gradient in enumerate(gradients, start=1):
        weight.grad = torch.tensor([float(gradient)])
        optimizer.step()
        if weight.item() != previous:
            flips.append(step)
            previous = weight.item()
        state = optimizer.state[weight]
        averages.append((state["momentum"].item(), state["second_moment"].item()))
    return flips, averages, optimizer.state[weight]


def test_averages_and_ratios():
    _, averages, state = run("none", 0.3)
    assert [m for m, _ in averages] == pytest.approx(M, rel=1e-5)
    assert [v for _, v in averages] == pytest.approx(V, rel=1e-5)
    for step, (m, v) in enumerate(averages, start=1):
        adam = (m / (1 - 0.9**step)) / math.sqrt(v / (1 - 0.8**step))
        assert m / math.sqrt(v) == pytest.approx(BIASED[step - 1], abs=1e-5)
        assert (m / 0.1) / math.sqrt(v / 0.2) == pytest.approx(REFERENCE[step - 1], abs=1e-5)
        assert adam == pytest.approx(ADAM[step - 1], abs=1e-5)
    assert state["momentum_mass"] == pytest.approx(1 - 0.9**8)
    assert state["second_moment_mass"] == pytest.approx(1 - 0.8**8)


@pytest.mark.parametrize(
    ("correction", "threshold", "flips"),
    [("none", 0.3, [5]), ("reference", 0.3 * math.sqrt(0.2) / 0.1, [5]), ("adam", 0.3, [1, 2, 3])],
)
def test_flips(correction, threshold, flips):
    assert run(correction, threshold)[0] == flips


def test_thresholds_just_around_the_ratio():
    # The corrections act exactly where their ratio crosses the threshold.
    assert run("none", 0.3127)[0] == [5]
    assert run("none", 0.3128)[0] == []
    assert run("reference", 1.39846)[0] == [5]
    assert run("reference", 1.39848)[0] == []
    assert run("adam", 0.3545)[0] == [1, 2, 3]
    assert run("adam", 0.3546)[0] == [1]


def test_ratio_under_a_constant_gradient():
    weight, momentum, second = torch.ones(1).double(), torch.zeros(1).double(), torch.zeros(1).double()
    ratios = {}
    for step in range(1, 101):
        bop2ndorder_update(
            weight, torch.ones(1).double(), momentum, second, gamma=0.1, sigma=0.2, threshold=1e9, eps=0.0
        )
        ratios[step] = (momentum / second.sqrt()).item()
    expected = {1: 0.223607, 2: 0.316667, 3: 0.387935, 10: 0.689383, 100: 0.999973}
    assert {step: ratios[step] for step in expected} == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("gamma", [0.01, 0.1])
def test_noise_gives_ratios_of_the_size_that_a_threshold_must_have(gamma):
    generator = torch.Generator().manual_seed(0)
    weight, momentum, second = torch.ones(20_000), torch.zeros(20_000), torch.ones(20_000)
    for _ in range(int(5 / gamma)):
        gradient = torch.randn(20_000, generator=generator)
        bop2ndorder_update(weight, gradient, momentum, second, gamma=gamma, sigma=1e-3, threshold=1e9, eps=0.0)
    assert (momentum / second.sqrt()).std().item() == pytest.approx(math.sqrt(gamma / (2 - gamma)), rel=0.05)


def test_gradient_scale_does_not_matter():
    generator = torch.Generator().manual_seed(0)
    start = signs(10_000, generator)
    weights, momenta, seconds = [start.clone(), start.clone()], torch.zeros(2, 10_000), torch.zeros(2, 10_000)
    flips = 0
    for _ in range(10):
        gradient = torch.randn(10_000, generator=generator)
        before = weights[0].clone()
        for index, scale in enumerate((1, 1024)):
            bop2ndorder_update(
                weights[index], gradient * scale, momenta[index], seconds[index],
                gamma=0.1, sigma=0.2, threshold=0.3, eps=0.0,
            )  # fmt: skip
        assert torch.equal(*weights)
        flips += int((before != weights[0]).sum())
    assert flips > 2000


def trained(correction, threshold, eps, *, steps=50):
    generator = torch.Generator().manual_seed(0)
    weight = torch.nn.Parameter(signs((40, 50), generator))
    optimizer = Bop2ndOrder([weight], lr=0.01, sigma=0.04, threshold=threshold, correction=correction, eps=eps)
    history = []
    for _ in range(steps):
        weight.grad = torch.randn(40, 50, generator=generator)
        optimizer.step()
        history.append(weight.detach().clone())
    return torch.stack(history)


def test_reference_correction_is_the_biased_one_with_another_threshold():
    biased, reference = trained("none", 0.05, 1e-3), trained("reference", 0.05 * 0.2 / 0.01, 1e-3 / 0.2)
    assert torch.equal(biased, reference)
    assert not torch.equal(biased[0], biased[-1])
    assert not torch.equal(biased, trained("adam", 0.05, 1e-3))


def test_frozen_second_moment_is_bop():
    generator = torch.Generator().manual_seed(0)
    start = signs(2000, generator)
    bop, mine = start.clone(), start.clone()
    bop_momentum, momentum, second = torch.zeros(2000), torch.zeros(2000), torch.full((2000,), 4.0)
    for _ in range(100):
        gradient = torch.randn(2000, generator=generator)
        bop_update(bop, gradient, bop_momentum, gamma=0.1, threshold=0.2)
        bop2ndorder_update(mine, gradient, momentum, second, gamma=0.1, sigma=0.0, threshold=0.1, eps=0.0)
        assert torch.equal(bop, mine)
    assert not torch.equal(bop, start)


def test_sigma_one_compares_with_the_last_gradient():
    momentum, second = torch.tensor([0.1]), torch.tensor([7.0])
    bop2ndorder_update(
        torch.ones(1), torch.tensor([-3.0]), momentum, second, gamma=0.5, sigma=1.0, threshold=1.0, eps=0.0
    )
    assert second.sqrt().item() == 3.0


@pytest.mark.parametrize("sigma", [1e-3, 0.5, 1.0])
def test_without_threshold_is_bop_without_threshold(sigma):
    generator = torch.Generator().manual_seed(0)
    start = signs(2000, generator)
    bop, mine = start.clone(), start.clone()
    bop_momentum, momentum, second = torch.zeros(3, 2000)
    for _ in range(50):
        gradient = torch.randn(2000, generator=generator)
        bop_update(bop, gradient, bop_momentum, gamma=0.1, threshold=0.0)
        bop2ndorder_update(mine, gradient, momentum, second, gamma=0.1, sigma=sigma, threshold=0.0, eps=1e-10)
        assert torch.equal(bop, mine)


def test_first_step_flips_whatever_agrees_with_the_gradient():
    generator = torch.Generator().manual_seed(0)
    start, gradient = signs(2000, generator), torch.randn(2000, generator=generator)
    gradient[::10] = 0
    weight = torch.nn.Parameter(start.clone())
    weight.grad = gradient
    Bop2ndOrder([weight]).step()
    assert torch.equal(weight.detach(), torch.where(start * gradient > 0, -start, start))


def test_the_product_decides_as_the_published_ratio_does():
    generator = torch.Generator().manual_seed(0)
    size, threshold, eps = 100_000, 0.2, 1e-10
    start, gradient = signs(size, generator), torch.randn(size, generator=generator)
    weight, momentum, second = start.clone(), torch.randn(size, generator=generator), torch.rand(size) * 9
    bop2ndorder_update(weight, gradient, momentum, second, gamma=0.1, sigma=0.2, threshold=threshold, eps=eps)
    ratio = start.double() * momentum.double() / (second.double().sqrt() + eps)
    differ = (weight != start) != (ratio > threshold)
    assert (ratio[differ] - threshold).abs().max().item() < 1e-6 if differ.any() else True
    assert (weight != start).sum() > 1000


def test_foreach_equals_plain():
    generator = torch.Generator().manual_seed(0)
    shapes, limits = [(65,), (64, 63), (3, 1, 3, 3)], [(0.2, 1e-10), (0.3, 1e-3), (0.0, 0.0)]
    plain = [signs(shape, generator) for shape in shapes]
    fast = [weight.clone() for weight in plain]
    momenta = [[torch.zeros(shape) for shape in shapes] for _ in range(2)]
    seconds = [[torch.zeros(shape) for shape in shapes] for _ in range(2)]
    for _ in range(30):
        gradients = [torch.randn(shape, generator=generator) for shape in shapes]
        gradients[0][:5] = 0
        for *tensors, (threshold, eps) in zip(plain, gradients, momenta[0], seconds[0], limits, strict=True):
            bop2ndorder_update(*tensors, gamma=0.1, sigma=0.2, threshold=threshold, eps=eps)
        thresholds, eps = zip(*limits, strict=True)
        bop2ndorder_update_foreach(
            fast, gradients, momenta[1], seconds[1], gamma=0.1, sigma=0.2, thresholds=thresholds, eps=eps
        )
        assert all(map(torch.equal, plain, fast))
        assert all(map(torch.equal, *momenta))
        assert all(map(torch.equal, *seconds))


@pytest.mark.parametrize("correction", ["adam", "reference"])
@pytest.mark.parametrize("foreach", [False, True])
def test_a_second_moment_frozen_from_the_start_lets_nothing_flip(correction, foreach):
    weight = torch.nn.Parameter(torch.ones(65))
    optimizer = Bop2ndOrder([weight], threshold=0.0, correction=correction, foreach=foreach)
    optimizer.param_groups[0]["sigma"] = 0.0
    weight.grad = torch.ones(65)
    optimizer.step()
    assert torch.equal(weight, torch.ones(65))


def test_adams_correction_at_a_rate_that_float32_cannot_tell_from_zero():
    """At 1e-7, float32 has 1.19e-7 for 1 − (1 − γ); the base point flips as the rule does in float64."""
    gamma, sigma, threshold, eps = 1e-7, 1e-3, 1e-6, 1e-10
    generator = torch.Generator().manual_seed(0)
    weight = torch.nn.Parameter(signs(2000, generator))
    plain, momentum, second = (torch.zeros(2000, dtype=torch.float64) for _ in range(3))
    plain += weight.detach()
    optimizer = Bop2ndOrder([weight], lr=gamma, sigma=sigma, threshold=threshold, eps=eps, correction="adam")
    for step in range(1, 101):
        weight.grad = 5e-5 * torch.randn(2000, generator=generator)
        optimizer.step()
        momentum += gamma * (weight.grad.double() - momentum)
        second += sigma * (weight.grad.double() ** 2 - second)
        first_mass, second_mass = (-math.expm1(step * math.log1p(-rate)) for rate in (gamma, sigma))
        ratio = momentum / first_mass / ((second / second_mass).sqrt() + eps)
        plain = torch.where(plain * ratio > threshold, -plain, plain)
        assert torch.equal(weight.detach().double(), plain)
    assert optimizer.state[weight]["momentum_mass"] == pytest.approx(first_mass, rel=1e-12)
    assert optimizer.state[weight]["second_moment_mass"] == pytest.approx(second_mass, rel=1e-12)


def test_corrected():
    assert corrected(0.3, 1e-2, 0.1, 0.04) == pytest.approx((0.3 * 0.1 / 0.2, 1e-2 * 0.2))
    assert corrected(0.3, 1e-2, 1.0, 1.0) == (0.3, 1e-2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0}, r"lr must be in \(0, 1\], got 0"),
        ({"sigma": 0}, r"sigma must be in \(0, 1\], got 0"),
        ({"sigma": 2}, r"sigma must be in \(0, 1\], got 2"),
        ({"threshold": -1}, "threshold must be >= 0 and finite, got -1"),
        ({"eps": -1}, "eps must be >= 0 and finite, got -1"),
        ({"correction": "unbiased"}, "correction must be one of none, adam, reference, got 'unbiased'"),
    ],
)
def test_refuses_hyperparameters(options, message):
    with pytest.raises(ValueError, match=message):
        Bop2ndOrder([torch.nn.Parameter(torch.ones(3))], **options)

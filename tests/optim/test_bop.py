import math

import pytest
import torch

from signbit.optim import Bop
from signbit.optim.bop import bop_update, bop_update_foreach


def scalar(value):
    return torch.tensor([float(value)], dtype=torch.float64)


def run(gradients, *, gamma, threshold, start=1.0):
    """Averages and weights after each step, in float64."""
    weight, momentum, trace = scalar(start), scalar(0), []
    for gradient in gradients:
        bop_update(weight, scalar(gradient), momentum, gamma=gamma, threshold=threshold)
        trace.append((momentum.item(), weight.item()))
    return [list(column) for column in zip(*trace, strict=True)]


def test_constant_then_reversed_gradient():
    momenta, weights = run([1] * 5 + [-1] * 8, gamma=0.1, threshold=0.25)
    expected = [0.1, 0.19, 0.271, 0.3439, 0.40951, 0.268559, 0.1417031, 0.02753279]
    expected += [-0.075220489, -0.16769844, -0.250928596, -0.325835736, -0.393252163]
    assert momenta == pytest.approx(expected, abs=1e-8)
    assert weights == [1, 1, *[-1] * 8, 1, 1, 1]


def test_mixed_gradients():
    momenta, weights = run([0.4, 0.8, -0.2, 1, -2, -2], gamma=0.5, threshold=0.3)
    assert momenta == pytest.approx([0.2, 0.5, 0.15, 0.575, -0.7125, -1.35625])
    assert weights == [1, -1, -1, -1, 1, 1]


@pytest.mark.parametrize(
    ("gamma", "threshold", "gradient", "step"), [(1e-4, 1e-8, 1e-3, 1), (1e-4, 1e-8, 1e-5, 11), (1e-3, 1e-6, 1e-4, 11)]
)
def test_first_flip_under_a_constant_gradient(gamma, threshold, gradient, step):
    assert math.floor(math.log(1 - threshold / gradient) / math.log(1 - gamma)) + 1 == step
    _, weights = run([gradient] * 20, gamma=gamma, threshold=threshold)
    assert weights.index(-1) + 1 == step


def test_a_gradient_below_the_threshold_never_flips():
    _, weights = run([0.25] * 500, gamma=0.1, threshold=0.25)
    assert set(weights) == {1}


def test_flips_strictly_above_the_threshold():
    assert run([0.5], gamma=0.5, threshold=0.25)[1] == [1]
    assert run([0.0], gamma=0.5, threshold=0.0, start=-1)[1] == [-1]


def test_without_threshold_is_latent_sgd_with_weight_decay():
    generator = torch.Generator().manual_seed(0)
    rate, decay = 0.1, 0.2
    weight = torch.where(torch.rand(500, generator=generator) < 0.5, -1.0, 1.0).double()
    momentum, latent = torch.zeros(500).double(), torch.zeros(500).double()
    for _ in range(2000):
        gradient = torch.randn(500, generator=generator, dtype=torch.float64)
        bop_update(weight, gradient, momentum, gamma=rate * decay, threshold=0.0)
        latent = (1 - rate * decay) * latent - rate * gradient
        assert torch.equal(weight > 0, latent > 0)
        torch.testing.assert_close(latent, -momentum / decay, rtol=0, atol=1e-14)


@pytest.mark.parametrize("scale", [1024.0, 2.0**-20])
def test_gradient_and_threshold_scale_together(scale):
    generator = torch.Generator().manual_seed(0)
    weight = torch.where(torch.rand(10_000, generator=generator) < 0.5, -1.0, 1.0)
    mine, scaled, alone = weight.clone(), weight.clone(), weight.clone()
    momenta = torch.zeros(3, 10_000)
    for _ in range(10):
        gradient = torch.randn(10_000, generator=generator) * 1e-4
        bop_update(mine, gradient, momenta[0], gamma=1e-3, threshold=1e-7)
        bop_update(scaled, gradient * scale, momenta[1], gamma=1e-3, threshold=1e-7 * scale)
        bop_update(alone, gradient * scale, momenta[2], gamma=1e-3, threshold=1e-7)
    assert torch.equal(mine, scaled)
    assert not torch.equal(mine, alone)


def test_exact_toy_flips_all_wrong_weights_at_the_predicted_step():
    # Loss ½E(x·(w − w*))²/d with whitened x: every wrong weight sees the gradient 2/d.
    target = torch.where(torch.arange(64) % 7 < 4, 1.0, -1.0)
    weight = torch.where(torch.arange(64) < 37, -target, target)
    momentum, distances = torch.zeros(64), []
    for _ in range(20):
        bop_update(weight, (weight - target) / 64, momentum, gamma=0.1, threshold=0.01)
        distances.append(int((weight != target).sum()))
    assert distances == [37, 37, 37] + [0] * 17


def recover(*, gamma, threshold, steps, update=bop_update):
    """Number of wrong weights after each step of the stochastic toy: 256 weights, batches of 32 inputs of ±1."""
    generator = torch.Generator().manual_seed(0)
    target, weight = torch.where(torch.rand(2, 256, generator=generator) < 0.5, -1.0, 1.0)
    weight, momentum, distances = weight.clone(), torch.zeros(256), []
    for _ in range(steps):
        x = torch.where(torch.rand(32, 256, generator=generator) < 0.5, -1.0, 1.0)
        gradient = x.T @ (x @ (weight - target)) / (32 * 256)
        update(weight, gradient, momentum, gamma=gamma, threshold=threshold)
        distances.append(int((weight != target).sum()))
    return distances


def test_stochastic_toy_recovers_exactly_and_stays():
    distances = recover(gamma=0.01, threshold=1e-3, steps=1000)
    assert distances[0] > 90
    assert max(distances[200:]) == 0


def test_stochastic_toy_a_threshold_above_the_steady_gradient_silences():
    assert recover(gamma=0.1, threshold=0.01, steps=1000)[-1] > 0


def test_stochastic_toy_without_threshold_never_settles():
    distances = recover(gamma=0.1, threshold=0.0, steps=1000)
    assert min(distances[500:]) > 10


def inverted(weight, gradient, momentum, *, gamma, threshold):
    bop_update(weight, -gradient, momentum, gamma=gamma, threshold=threshold)


def without_sign_test(weight, gradient, momentum, *, gamma, threshold):
    momentum.lerp_(gradient, gamma)
    weight.copy_(torch.where(momentum.abs() > threshold, -weight, weight))


def swapped(weight, gradient, momentum, *, gamma, threshold):
    bop_update(weight, gradient, momentum, gamma=1 - gamma, threshold=threshold)


@pytest.mark.parametrize("wrong", [inverted, without_sign_test, swapped])
def test_stochastic_toy_wrong_rules_do_not_recover(wrong):
    assert recover(gamma=0.01, threshold=1e-3, steps=1000, update=wrong)[-1] > 50


def test_a_rate_of_zero_leaves_the_average_alone():
    weight, momentum = torch.ones(3), torch.tensor([0.5, 0.1, -0.5])
    bop_update(weight, torch.ones(3), momentum, gamma=0.0, threshold=0.2)
    assert momentum.tolist() == pytest.approx([0.5, 0.1, -0.5])
    assert weight.tolist() == [-1, 1, 1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_foreach_equals_plain(dtype):
    generator = torch.Generator().manual_seed(0)
    shapes = [(65,), (64, 63), (3, 1, 3, 3), (1,)]
    plain = [torch.where(torch.rand(shape, generator=generator) < 0.5, -1.0, 1.0).to(dtype) for shape in shapes]
    fast = [weight.clone() for weight in plain]
    momenta = [[torch.zeros(shape) for shape in shapes] for _ in range(2)]
    start = [weight.clone() for weight in plain]
    for _ in range(30):
        gradients = [torch.randn(shape, generator=generator) for shape in shapes]
        gradients[0][:5] = 0
        for tensors in zip(plain, gradients, momenta[0], strict=True):
            bop_update(*tensors, gamma=0.1, threshold=0.2)
        bop_update_foreach(fast, gradients, momenta[1], gamma=0.1, threshold=0.2)
        assert all(map(torch.equal, plain, fast))
        assert all(map(torch.equal, *momenta))
    assert not torch.equal(plain[1], start[1])


@pytest.mark.parametrize("foreach", [False, True])
def test_the_class_keeps_the_state(foreach):
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = Bop([weight], lr=0.1, threshold=0.25, foreach=foreach)
    weights = []
    for gradient in [1] * 5 + [-1] * 8:
        weight.grad = torch.tensor([float(gradient)])
        optimizer.step()
        weights.append(weight.item())
    assert weights == [1, 1, *[-1] * 8, 1, 1, 1]
    assert optimizer.state[weight]["momentum"].item() == pytest.approx(-0.393252163)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0}, r"lr must be in \(0, 1\], got 0"),
        ({"lr": 1.5}, r"lr must be in \(0, 1\], got 1.5"),
        ({"lr": math.nan}, r"lr must be in \(0, 1\], got nan"),
        ({"threshold": -1e-9}, "threshold must be >= 0 and finite, got -1e-09"),
        ({"threshold": math.inf}, "threshold must be >= 0 and finite, got inf"),
    ],
)
def test_refuses_hyperparameters(options, message):
    weight = torch.nn.Parameter(torch.ones(3))
    with pytest.raises(ValueError, match=message):
        Bop([weight], **options)
    with pytest.raises(ValueError, match=message):
        Bop([{"params": [weight], **options}])

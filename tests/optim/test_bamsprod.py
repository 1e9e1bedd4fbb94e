import copy
import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR

from optim.sevenseg import train
from signbit.nn import BinaryLinear
from signbit.optim import BAMSProd, Bop, Hybrid, Latent
from signbit.optim.bamsprod import bamsprod_update, binarisation_error, gradient_bound

ELEMENTWISE = {"error": "mean_abs", "granularity": "element", "scale": "none"}
OPTIONS = [
    {},
    {"granularity": "layer"},
    {"error": "mean_abs"},
    {"error": "mean_abs", "granularity": "layer", "scale": "none"},
    ELEMENTWISE,
    {"bias_correction": True},
]
every_option = pytest.mark.parametrize("options", OPTIONS)


def latents(*shapes, dtype=torch.float32):
    torch.manual_seed(0)
    return [nn.Parameter(torch.empty(shape, dtype=dtype).uniform_(-1, 1)) for shape in shapes]


def advance(optimizer, parameters, steps, *, seed=0):
    for step in range(steps):
        generator = torch.Generator().manual_seed(seed + step)
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
        optimizer.step()


def zeros(*shape):
    return tuple(torch.zeros(shape, dtype=torch.float64) for _ in range(3))


@pytest.mark.parametrize(
    ("bias_correction", "expected"),
    [(True, [0.9, 0.936561, 0.950239, 0.910955, 0.879280]), (False, [0.9, 0.949243, 0.970751, 0.902694, 0.844102])],
)
def test_without_bound_is_amsgrad(bias_correction, expected):
    weight = nn.Parameter(torch.ones(1))
    lr = 0.1 if bias_correction else 0.1 * math.sqrt(0.01) / 0.1
    optimizer = BAMSProd([weight], lr=lr, betas=(0.9, 0.99), kappa=math.inf, bias_correction=bias_correction)
    trace = []
    for gradient in [1, -2, 0.5, 3, -0.1]:
        weight.grad = torch.tensor([float(gradient)])
        optimizer.step()
        trace.append(weight.item())
    assert trace == pytest.approx(expected, abs=1e-6)


@every_option
def test_without_bound_is_torchs_amsgrad(options):
    mine, theirs = latents((65, 3)), latents((65, 3))
    optimizer = BAMSProd(mine, lr=0.05, **{**options, "kappa": math.inf, "bias_correction": True})
    twin = Latent(Adam(theirs, lr=0.05, amsgrad=True))
    for step in range(30):
        advance(optimizer, mine, 1, seed=step)
        advance(twin, theirs, 1, seed=step)
    torch.testing.assert_close(mine[0], theirs[0], rtol=0, atol=1e-6)


@every_option
def test_range_maximum_and_latents_are_bounded(options):
    parameters = latents((6, 4, 3, 3))
    (weight,) = parameters
    choices = {"error": "relative_l2", "granularity": "filter", "scale": "mean"} | options
    choices.pop("bias_correction", None)
    optimizer = BAMSProd(parameters, lr=0.2, betas=(0.0, 0.9), kappa=0.7, **options)
    maximum, bounded = torch.zeros_like(weight), 0
    for step in range(40):
        error = binarisation_error(weight.detach(), **choices)
        bound = gradient_bound(maximum, error, kappa=0.7, mass=1 - 0.9**step)
        advance(optimizer, parameters, 1, seed=step)
        state = optimizer.state[weight]
        # With β₁ = 0 the momentum is the gradient that was let through.
        assert torch.equal(state["momentum"], weight.grad.clamp(-bound, bound))
        assert bool((state["momentum"].abs() <= bound).all())
        assert bool((state["maximum"] >= maximum).all())
        assert bool((weight.abs() <= 1).all())
        bounded += int((weight.grad.abs() > bound).sum())
        maximum = state["maximum"].clone()
    assert 0 < bounded < 40 * weight.numel()


def test_first_gradient_of_every_weight_passes():
    weight = nn.Parameter(torch.tensor([[0.3, -0.4]]))
    optimizer = BAMSProd([weight], lr=1e-3, betas=(0.0, 0.9), kappa=0.1)
    for gradient in ([5.0, 0.0], [0.0, 7.0]):
        weight.grad = torch.tensor([gradient])
        optimizer.step()
    assert optimizer.state[weight]["momentum"].tolist() == [[0.0, 7.0]]


def squared_error(weight, **options):
    choices = {"error": "relative_l2", "granularity": "layer", "scale": "mean"} | options
    return binarisation_error(weight, **choices).square()


def test_values_of_the_relative_error():
    assert squared_error(torch.tensor([1.0, 2, 3])).item() == pytest.approx(1 / 7)
    assert squared_error(torch.tensor([0.3, -0.3, 0.3])).item() == pytest.approx(0, abs=1e-14)
    assert squared_error(torch.zeros(3)).item() == 0
    generator = torch.Generator().manual_seed(0)
    size = 1_000_000
    normal = torch.randn(size, generator=generator)
    assert squared_error(normal).item() == pytest.approx(1 - 2 / math.pi, abs=2e-3)
    uniform = torch.rand(size, generator=generator) * 2 - 1
    assert squared_error(uniform).item() == pytest.approx(0.25, abs=2e-3)


def test_error_by_measure_scale_and_granularity():
    weight = torch.tensor([[1.0, 2, 3], [0.5, -0.5, 0.5]])
    per_filter = squared_error(weight, granularity="filter")
    assert per_filter.shape == (2, 1)
    assert per_filter.flatten().tolist() == pytest.approx([1 / 7, 0])
    whole = squared_error(weight)
    assert whole.shape == (1, 1)
    assert whole.item() == pytest.approx(1 - 7.5**2 / (6 * 14.75))
    means = binarisation_error(weight, error="mean_abs", granularity="filter", scale="mean")
    assert means.flatten().tolist() == pytest.approx([2 / 3, 0])
    ones = binarisation_error(weight, error="mean_abs", granularity="filter", scale="none")
    assert ones.flatten().tolist() == pytest.approx([1, 0.5])
    each = binarisation_error(weight, **ELEMENTWISE)
    assert each.tolist() == [[0, 1, 2], [0.5, 0.5, 0.5]]
    kernel = torch.arange(1.0, 37).view(2, 2, 3, 3)
    split = torch.stack([squared_error(part).squeeze() for part in kernel])
    torch.testing.assert_close(squared_error(kernel, granularity="filter").flatten(), split)


@pytest.mark.parametrize(
    ("spike", "kappa", "expected"), [(False, math.inf, -3.1413), (True, math.inf, -0.4909), (True, 3.0, -3.1106)]
)
def test_one_wild_gradient_does_not_slow_the_weight_for_ever(spike, kappa, expected):
    # The step is a tenth of the specification's 10⁻³, which keeps the weight, linear in it, within ±1.
    weight, error, clipped = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64), 0
    momentum, second_moment, maximum = zeros(1)
    for step in range(1, 2001):
        gradient = torch.full_like(weight, -10 if spike and step == 100 else 0.01)
        bound = gradient_bound(maximum, error, kappa=kappa, mass=1 - 0.999 ** (step - 1))
        clipped += int(gradient.abs() > bound)
        bamsprod_update(
            weight,
            gradient,
            momentum,
            second_moment,
            maximum,
            bound=bound,
            rate=1e-4,
            beta1=0.9,
            beta2=0.999,
            eps=1e-8,
        )
    assert weight.item() * 10 == pytest.approx(expected, abs=1e-4)
    assert clipped == int(kappa == 3)


def test_learns_sevenseg_as_the_specification_says():
    result = train(partial(BAMSProd, lr=1e-2), linear=True)
    assert result.accuracy == pytest.approx(0.764, abs=3 * 0.008)
    assert 7.5e-3 / 2 < result.flip_rates[0] < 7.5e-3 * 2
    assert 5.6e-4 / 2 < result.flip_rates[-1] < 5.6e-4 * 2


def test_serves_a_hybrid_and_keeps_its_latent_weights():
    model = nn.Sequential(BinaryLinear(5, 4), nn.BatchNorm1d(4))
    before = model[0].weight.detach().clone()
    optimizer = Hybrid(model, binary=partial(BAMSProd, lr=1e-2), real=Adam)
    assert torch.equal(model[0].weight, before)

    def closure():
        optimizer.zero_grad()
        loss = model(torch.randn(8, 5)).square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() > 0
    assert not torch.equal(model[0].weight, before)
    assert "BAMSProd(lr=0.01, betas=(0.9, 0.999)" in repr(optimizer)
    assert optimizer.param_groups[0]["param_names"] == ["0.weight"]


def test_groups_and_a_scheduled_rate():
    first, second = latents((4, 4), (4, 4))
    optimizer = BAMSProd([{"params": [first], "lr": 1.0}, {"params": [second], "lr": 0.5}], betas=(0.0, 0.0))
    scheduler = LambdaLR(optimizer, lambda index: (index + 1) ** -0.5)
    advance(optimizer, [first, second], 1)
    scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([2**-0.5, 0.5 * 2**-0.5])
    assert first.abs().max() <= 1
    optimizer.param_groups[0]["lr"] = 0.0
    before = first.detach().clone()
    advance(optimizer, [first, second], 1)
    assert torch.equal(first, before)
    assert optimizer.state[first]["step"] == 1


@every_option
def test_continues_from_a_state_dict(options, tmp_path):
    parameters = latents((65, 3), (5, 2, 3, 3))
    optimizer = BAMSProd(parameters, **options)
    advance(optimizer, parameters, 3)
    torch.save({"o": optimizer.state_dict(), "w": [p.detach() for p in parameters]}, tmp_path / "state.pt")
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    twins = [nn.Parameter(weight) for weight in saved["w"]]
    resumed = BAMSProd(twins)
    resumed.load_state_dict(saved["o"])
    copied = copy.deepcopy(optimizer)
    advance(optimizer, parameters, 4, seed=50)
    advance(resumed, twins, 4, seed=50)
    advance(copied, copied.param_groups[0]["params"], 4, seed=50)
    assert all(map(torch.equal, parameters, twins))
    assert all(map(torch.equal, parameters, copied.param_groups[0]["params"]))


def test_state_is_float32_and_stays_so_after_loading():
    parameters = latents((65, 3), dtype=torch.bfloat16)
    optimizer, twin = BAMSProd(parameters), BAMSProd(parameters)
    advance(optimizer, parameters, 3)
    twin.load_state_dict(optimizer.state_dict())
    for key in ("momentum", "second_moment", "maximum"):
        value = twin.state[parameters[0]][key]
        assert value.dtype == torch.float32
        assert torch.equal(value, optimizer.state[parameters[0]][key])


def test_slices_change_nothing(monkeypatch):
    whole, sliced = latents((65, 7, 3)), latents((65, 7, 3))
    advance(BAMSProd(whole, kappa=0.5), whole, 5)
    monkeypatch.setattr("signbit.optim.strict.BLOCK", 100)
    advance(BAMSProd(sliced, kappa=0.5), sliced, 5)
    assert torch.equal(whole[0], sliced[0])


@pytest.mark.parametrize("shape", [(0,), (1,), (63,), (64,), (65,), (0, 3), (3, 0), ()])
@every_option
def test_sizes(shape, options):
    parameters = latents(shape)
    advance(BAMSProd(parameters, **options), parameters, 2)
    assert bool(parameters[0].isfinite().all())


def test_foreign_states_are_refused_and_change_nothing():
    parameters, others = latents((4, 4)), latents((4, 5))
    optimizer, other = BAMSProd(parameters), BAMSProd(others)
    advance(other, others, 1)
    signs = [nn.Parameter(torch.ones(4, 4))]
    for foreign in (Adam(parameters, amsgrad=True), Bop(signs)):
        with pytest.raises(ValueError, match="BAMSProd cannot load the state of another optimizer: a saved group has"):
            optimizer.load_state_dict(foreign.state_dict())
    with pytest.raises(ValueError, match=r"momentum has shape \(4, 5\), its weight \(4, 4\)"):
        optimizer.load_state_dict(other.state_dict())
    assert not optimizer.state


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_what_is_not_finite_is_named_and_nothing_is_written(bad):
    parameters = latents((4, 4), (5, 5))
    optimizer = BAMSProd([("first", parameters[0]), ("second", parameters[1])])
    advance(optimizer, parameters, 2)
    before = copy.deepcopy([[p.detach() for p in parameters], [dict(optimizer.state[p]) for p in parameters]])
    parameters[1].grad[2, 3] = bad
    with pytest.raises(ValueError, match="second: its gradient is not finite"):
        optimizer.step()
    after = [[p.detach() for p in parameters], [dict(optimizer.state[p]) for p in parameters]]
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    parameters[1].grad.zero_()
    with torch.no_grad():
        parameters[1][0, 0] = bad
    with pytest.raises(ValueError, match="second: a latent weight is not finite"):
        optimizer.step()


def test_sparse_and_complex_gradients_are_refused():
    (weight,) = latents((4, 4))
    weight.grad = torch.eye(4).to_sparse()
    with pytest.raises(ValueError, match="parameter 0: the gradient must be dense and real"):
        BAMSProd([weight]).step()
    unit = nn.Parameter(torch.ones(3, dtype=torch.complex64))
    unit.grad = torch.ones(3, dtype=torch.complex64)
    with pytest.raises(ValueError, match="must be dense and real"):
        BAMSProd([unit]).step()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0}, "lr must be > 0 and finite, got 0"),
        ({"lr": math.nan}, "lr must be > 0 and finite, got nan"),
        ({"betas": (0.9, 1.0)}, r"betas must be two values in \[0, 1\), got \(0.9, 1.0\)"),
        ({"betas": (-0.1, 0.9)}, "betas must be two values"),
        ({"betas": (0.9,)}, "betas must be two values"),
        ({"eps": -1e-8}, "eps must be >= 0 and finite, got -1e-08"),
        ({"kappa": 0}, "kappa must be > 0, got 0; inf turns the bound off"),
        ({"kappa": math.nan}, "kappa must be > 0, got nan"),
        ({"error": "l2"}, "error must be one of relative_l2, mean_abs, got 'l2'"),
        ({"granularity": "channel"}, "granularity must be one of filter, layer, element, got 'channel'"),
        ({"scale": 1}, "scale must be one of none, mean, got 1"),
        ({"scale": "none"}, "error 'relative_l2' has no bound with scale 'none'; use error='mean_abs'"),
        ({"granularity": "element"}, "granularity 'element' has no error with scale 'mean'; use scale='none'"),
    ],
)
def test_refuses_hyperparameters(options, message):
    parameters = latents((3,))
    with pytest.raises(ValueError, match=message):
        BAMSProd(parameters, **options)
    with pytest.raises(ValueError, match=message):
        BAMSProd([{"params": parameters, **options}])


def test_a_scheduled_rate_may_reach_zero_but_not_pass_it():
    parameters = latents((3, 2))
    optimizer = BAMSProd(parameters)
    optimizer.param_groups[0]["lr"] = -1e-3
    with pytest.raises(ValueError, match=r"lr must be >= 0 and finite, got -0\.001"):
        advance(optimizer, parameters, 1)

import copy
import pickle

import pytest
import torch

from signbit.quantizers import TwoLevel, at_most_split, create_quantizer, exact_split, free_split, schedule_quantizers
from signbit.quantizers.budget import density_at


def weights(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def quantizer(weight, **options):
    made = TwoLevel(**options)
    made.attach(weight)
    return made


OPTIONS = {
    "free": {},
    "exact": {"density": 0.05},
    "both tails": {"density": 0.05, "tails": "both"},
    "at most": {"density": 0.3, "budget": "at_most", "tails": "both"},
    "zero free": {"values": "zero"},
    "zero": {"values": "zero", "density": 0.1, "tails": "both"},
    "learned": {"values": "learned"},
    "learned sparse": {"values": "learned", "density": 0.1},
    "zero one": {"values": "zero_one"},
    "zero one sparse": {"values": "zero_one", "density": 0.1},
    "signs": {"values": "signs"},
    "signs sparse": {"values": "signs", "density": 0.1},
}


@pytest.mark.parametrize("granularity", ["layer", "filter"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_code_bits_and_levels(options, granularity):
    weight = weights(6, 8, 3, 3)
    made = quantizer(weight, **options, granularity=granularity)
    code, (low, high) = made(weight), made.levels(weight)
    assert code.abs().unique().tolist() == [1]
    assert code.shape == weight.shape
    assert torch.equal(made.bits(weight), code < 0)
    assert low.shape == high.shape == (6,)
    assert (low < high).all()
    if granularity == "layer":
        assert len(low.unique()) == len(high.unique()) == 1
    for row, signs in zip(*((weight, code) if granularity == "filter" else (weight[None], code[None])), strict=True):
        assert row[signs > 0].min() >= row[signs < 0].max()
    scale = made.scale(weight)
    assert scale is None if made.symmetric else torch.equal(scale, (high - low) / 2)


@pytest.mark.parametrize(
    ("options", "split"),
    [
        ({}, free_split),
        ({"density": 0.05}, lambda rows: exact_split(rows, round(0.05 * rows.shape[1]), both_tails=False)),
        ({"density": 0.05, "tails": "both"}, lambda rows: exact_split(rows, round(0.05 * rows.shape[1]))),
        (
            {"density": 0.25, "budget": "at_most", "tails": "both"},
            lambda rows: at_most_split(rows, round(0.25 * rows.shape[1])),
        ),
    ],
)
def test_closed_values_are_those_of_the_closed_forms(options, split):
    weight = -weights(6, 8, 3, 3).exp()
    for granularity, rows in (("layer", weight.view(1, -1)), ("filter", weight.flatten(1))):
        made = quantizer(weight, **options, granularity=granularity)
        low, high = made.levels(weight)
        code = made(weight)
        found = torch.where(code > 0, high.view(-1, 1, 1, 1), low.view(-1, 1, 1, 1))
        assert torch.equal(found, split(rows).values().view(weight.shape))


@pytest.mark.parametrize("n", [63, 64, 65, 1290, 4097])
@pytest.mark.parametrize("density", [0.5, 0.1, 0.05, 0.02])
def test_exactly_the_budget_also_with_ties(n, density):
    weight = weights(3, n).mul(2).round()
    for granularity, size in (("layer", 3 * n), ("filter", n)):
        made = quantizer(weight, density=density, granularity=granularity)
        ones = (made(weight) > 0).view(-1, size).sum(1).unique()
        assert len(ones) == 1
        assert abs(ones.item() - density * size) <= 0.5 + 1e-6


def test_half_precision_keeps_the_budget():
    weight = weights(4, 1000)
    made = quantizer(weight, density=0.05).to(torch.bfloat16)
    assert (made(weight.bfloat16()) > 0).sum() == 200


def test_the_budget_falls_as_a_cubic_to_its_target_and_stays():
    weight = weights(10, 100)
    made = quantizer(weight, density=0.05)
    assert (made(weight) > 0).sum() == 50
    for progress, ones in ((0.0, 500), (0.3, 106), (0.6, 50), (0.8, 50), (1.0, 50)):
        schedule_quantizers(made, progress)
        assert (made(weight) > 0).sum() == ones
    assert density_at(0.15, target=0.05) == pytest.approx(0.05 + 0.45 * 0.75**3)
    assert made.state_dict() == {}


def test_the_estimator_is_scheduled_too():
    made = TwoLevel(surrogate="ede", density=0.1)
    schedule_quantizers(made, 1.0)
    assert made.estimator.temperature.item() == pytest.approx(10)


def test_the_gradient_is_that_of_the_surrogate_around_the_cut():
    weight = weights(4, 16).requires_grad_()
    made = quantizer(weight, density=0.25, surrogate="sign(clip=0.5)")
    upstream = weights(4, 16, seed=1)
    made(weight).backward(upstream)
    cut = weight.detach().flatten().sort(descending=True).values[15]
    torch.testing.assert_close(weight.grad, upstream * ((weight.detach() - cut).abs() <= 0.5))


def test_learned_values_start_at_one_and_get_their_exact_gradient():
    weight = weights(4, 16).requires_grad_()
    made = quantizer(weight, values="learned", surrogate="identity")
    assert {name: value.tolist() for name, value in made.state_dict().items()} == {"spread": [1], "middle": [0]}
    upstream = weights(4, 16, seed=1)
    code, low, high = made.encode(weight)
    ((code * ((high - low) / 2)[:, None] + ((high + low) / 2)[:, None]) * upstream).sum().backward()
    torch.testing.assert_close(made.spread.grad, (upstream * code.detach()).sum()[None])
    torch.testing.assert_close(made.middle.grad, upstream.sum()[None])
    torch.testing.assert_close(weight.grad, upstream)
    assert quantizer(weight, values="learned", granularity="filter").spread.shape == (4,)


def test_threshold_without_budget():
    weight = torch.tensor([[-0.6, -0.0, 0.0, 0.4, 0.5, 0.6]])
    assert TwoLevel(values="signs")(weight).tolist() == [[-1, 1, 1, 1, 1, 1]]
    assert TwoLevel(values="zero_one")(weight).tolist() == [[-1, -1, -1, -1, 1, 1]]


def test_above_one_half_the_roles_are_swapped_and_it_says_so():
    weight = weights(10, 100)
    with pytest.warns(UserWarning, match=r"density=0\.7 is above one half, so the roles are swapped: low is the rarer"):
        made = quantizer(weight, density=0.7)
    assert (made(weight) > 0).sum() == 700
    mirrored = quantizer(-weight, density=0.3)
    assert torch.equal(mirrored.bits(-weight), ~made.bits(weight))
    for level, other in zip(made.levels(weight), reversed(mirrored.levels(-weight)), strict=True):
        torch.testing.assert_close(level, -other)


def test_copies_and_pickles():
    weight = weights(4, 16)
    made = quantizer(weight, values="learned", density=0.25)
    for twin in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        twin.schedule(0.0)
        assert (twin(weight) > 0).sum() == 32
    assert (made(weight) > 0).sum() == 16


def test_by_name():
    made = create_quantizer("twolevel(density=0.05, granularity=filter, surrogate='sign(clip=1.25)')")
    assert repr(made).startswith(
        "TwoLevel(\n  values=closed, density=0.05, budget=exact, tails=top, granularity=filter"
    )
    assert made.estimator.clip == 1.25


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"density": 0}, r"density must be in \(0, 1\], got 0"),
        ({"density": 1.5}, r"density must be in \(0, 1\], got 1.5"),
        ({"density": -0.1}, r"density must be in \(0, 1\], got -0.1"),
        ({"density": float("nan")}, r"density must be in \(0, 1\], got nan"),
        ({"density": 0.1, "start": 0}, r"start must be in \(0, 1\], got 0"),
        ({"density": 0.1, "anneal": 2}, r"anneal must be in \(0, 1\], got 2"),
        ({"values": "open"}, "values must be one of closed, learned, zero, zero_one, signs, got 'open'"),
        ({"tails": "bottom"}, "tails must be one of top, both, got 'bottom'"),
        ({"budget": "soft"}, "budget must be one of exact, at_most, got 'soft'"),
        ({"granularity": "kernel"}, "granularity must be one of layer, filter, got 'kernel'"),
        ({"tails": "both"}, "need density="),
        ({"budget": "at_most", "values": "zero", "density": 0.1}, "use values='closed', got 'zero'"),
        ({"tails": "both", "values": "learned", "density": 0.1}, "use 'closed' or 'zero', got 'learned'"),
        ({"surrogate": "sign(scale=mean)"}, "surrogate must name a sign quantizer without scale"),
        ({"surrogate": "twolevel"}, "surrogate must name a sign quantizer without scale"),
    ],
)
def test_refuses_options(options, message):
    with pytest.raises(ValueError, match=message):
        TwoLevel(**options)


def test_refuses_weights():
    with pytest.raises(
        ValueError, match=r"density 0\.05 of the 9 weights of a filter is no weight, which leaves one level"
    ):
        quantizer(weights(4, 1, 3, 3), density=0.05, granularity="filter")
    with pytest.raises(ValueError, match=r"density 1\.0 of the 36 weights of a layer is every weight"):
        quantizer(weights(4, 1, 3, 3), density=1.0)
    with pytest.raises(ValueError, match=r"weight: all 12 values of a layer are 0\.25, which is one level, not two"):
        TwoLevel()(torch.full((3, 4), 0.25))
    weight = weights(3, 4)
    weight[1] = 0
    with pytest.raises(ValueError, match="weight: all 4 values of a filter are 0, which is one level"):
        TwoLevel(granularity="filter", density=0.5)(weight)
    shared = quantizer(weight, values="learned", granularity="filter")
    with pytest.raises(ValueError, match="learned values of 3 filters cannot serve a layer of 5"):
        shared.attach(weights(5, 4))

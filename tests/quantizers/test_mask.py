"""Masks that say which weights take the rarer level."""

import pytest
import torch

from signbit.quantizers import Ternary, TwoLevel, create_quantizer, group_means


def weights(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def masked(spec, weight, mask):
    made = create_quantizer(spec)
    made.attach_mask(weight)
    made.mask.copy_(mask)
    return made


@pytest.mark.parametrize("values", ["closed", "zero", "zero_one", "signs"])
def test_two_levels_are_those_of_the_mask(values):
    weight, mask = weights(6, 10), weights(6, 10, seed=1) > 1
    made = masked(f"twolevel(values={values})", weight, mask)
    code, low, high = made.encode(weight)
    assert torch.equal(code > 0, mask)
    mean_low, mean_high = group_means(weight.view(1, -1), mask.view(1, -1))
    expected = {
        "closed": (mean_low, mean_high),
        "zero": (torch.zeros(1), mean_high),
        "zero_one": (torch.zeros(1), torch.ones(1)),
        "signs": (-torch.ones(1), torch.ones(1)),
    }[values]
    assert torch.equal(low, expected[0].expand(6))
    assert torch.equal(high, expected[1].expand(6))


def test_ternary_signs_stand_inside_the_mask_alone():
    weight, mask = weights(6, 10), weights(6, 10, seed=1) > 1
    made = masked("ternary", weight, mask)
    code, low, high = made.encode(weight)
    assert torch.equal(code, torch.where(mask, weight.sign(), torch.zeros(())))
    torch.testing.assert_close(high, weight[mask].abs().mean().expand(6))
    assert torch.equal(low, -high)


def test_a_mask_of_the_largest_is_what_the_quantizer_finds_itself():
    for kind in ("twolevel", "ternary"):
        weight, upstream = weights(6, 10).requires_grad_(), weights(6, 10, seed=1)
        own = create_quantizer(f"{kind}(density=0.2)")
        own(weight).backward(upstream)
        expected, weight.grad = weight.grad, None
        ranking = own.ranking(weight.detach())
        made = masked(kind, weight, ranking >= ranking.flatten().topk(12).values[-1])
        made.ranked = True
        found, reference = made.encode(weight), own.encode(weight)
        assert all(torch.equal(a, b) for a, b in zip(found, reference, strict=True))
        found.code.backward(upstream)
        assert torch.equal(weight.grad, expected)


def test_gradients_where_the_mask_is_given():
    weight, upstream = (2 * weights(4, 16)).requires_grad_(), weights(4, 16, seed=1)
    mask = weights(4, 16, seed=2) > 0
    made = masked("ternary(surrogate=sign)", weight, mask)
    for dense in (False, True):
        made.dense_gradient = dense
        weight.grad = None
        made(weight).backward(upstream)
        window = (weight.detach().abs() <= 1).float()
        torch.testing.assert_close(weight.grad, upstream * torch.where(mask, window, float(dense)))
    weight.grad = None
    masked("twolevel", weight, mask)(weight).backward(upstream)
    assert torch.equal(weight.grad, upstream)


def test_the_mask_is_in_the_state_dict():
    weight, mask = weights(4, 16), weights(4, 16, seed=2) > 0
    made = masked("ternary", weight, mask)
    assert list(made.state_dict()) == ["mask"]
    other = Ternary()
    assert other.state_dict() == {}
    other.attach_mask(weight)
    other.load_state_dict(made.state_dict())
    assert torch.equal(other(weight), made(weight))


def test_refuses():
    weight = weights(4, 16)
    with pytest.raises(ValueError, match=r"TwoLevel keeps density=0\.1 itself; leave that out"):
        TwoLevel(density=0.1).attach_mask(weight)
    with pytest.raises(ValueError, match=r"granularity='filter', and masks are of layers; use 'layer'"):
        Ternary(granularity="filter").attach_mask(weight)
    made = Ternary()
    made.attach_mask(weight)
    with pytest.raises(ValueError, match="has a mask already; give each layer its own quantizer"):
        made.attach_mask(weight)

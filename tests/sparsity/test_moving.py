"""Exchanges of a mask, and how much they explore: sparse.md §2.4, checks 2 and 3."""

from itertools import pairwise

import pytest
import torch

from signbit.sparsity import drop_rate, expected_explored
from signbit.sparsity.moving import exchange


def rates(updates):
    return [drop_rate(q, updates) for q in range(1, updates + 1)]


@pytest.mark.parametrize(
    ("density", "updates", "expected"),
    [(0.05, 58, 0.5515), (0.05, 20, 0.260), (0.02, 58, 0.269), (0.02, 200, 0.647), (0.1, 58, 0.812)],
)
def test_expected_explored_fraction(density, updates, expected):
    assert expected_explored(density, rates(updates)) == pytest.approx(expected, abs=1e-3)


def test_the_formula_is_what_random_growth_explores():
    random = torch.Generator().manual_seed(0)
    mask = torch.zeros(200_000, dtype=torch.bool)
    mask[:10_000] = True
    fired = mask.clone()
    for rate in rates(20):
        importance, growth = torch.rand((2, mask.numel()), generator=random)
        mask = exchange(mask, importance, growth, rate, generator=random)
        assert mask.sum() == 10_000
        fired |= mask
    assert fired.float().mean().item() == pytest.approx(expected_explored(0.05, rates(20)), abs=0.005)


def test_the_rate_falls_from_its_start_to_its_end():
    found = rates(58)
    assert all(a > b for a, b in pairwise(found))
    assert found[-1] == pytest.approx(0.005)
    assert drop_rate(0, 58) == pytest.approx(0.5)
    assert drop_rate(29, 58, start=0.3, end=0.1) == pytest.approx(0.2)


def test_the_least_important_leave_and_the_most_promising_enter():
    mask = torch.tensor([True, True, True, True, False, False, False])
    importance = torch.tensor([4.0, 1.0, 3.0, 2.0, 0.0, 0.0, 0.0])
    growth = torch.tensor([9.0, 0.0, 9.0, 0.0, 1.0, 3.0, 2.0])
    after = exchange(mask, importance, growth, 0.5, generator=torch.Generator())
    assert after.tolist() == [True, False, True, False, False, True, True]
    # A weight that has just left is eligible again; a whole mask has nowhere to go.
    assert exchange(mask, importance, -importance, 0.25, generator=torch.Generator()).sum() == 4
    assert exchange(torch.ones(4, dtype=torch.bool), importance[:4], growth[:4], 0.5, generator=torch.Generator()).all()

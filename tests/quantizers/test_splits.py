"""The closed forms of sparse.md §1.3 against its golden values (§1.11) and against every assignment there is."""

from itertools import product

import pytest
import torch

from signbit.quantizers import at_most_split, exact_split, free_split, group_means, ternary_split, zero_split
from signbit.quantizers.splits import largest

W = torch.tensor([0.9, -0.1, -0.2, 0.05, -0.3, 1.1, -0.15, -0.25], dtype=torch.float64)


def error(weight, values):
    return (weight - values).square().sum(-1)


def vectors(count, seed=0):
    """Normal, Laplace, shifted exponential, uniform and tied vectors of length 2..10."""
    generator = torch.Generator().manual_seed(seed)
    for i in range(count):
        n = 2 + i % 9
        normal = torch.randn(n, generator=generator, dtype=torch.float64)
        uniform = torch.rand(n, generator=generator, dtype=torch.float64)
        yield (
            normal,
            normal.sign() * -uniform.log(),
            -uniform.log() - 0.7,
            uniform - 0.5,
            (3 * normal).round() / 2,
        )[i % 5]


def assignments(n):
    return torch.tensor(list(product([False, True], repeat=n)))


def two_level_errors(weight):
    """J and number of ones of every assignment; the ones are the group that `assignments` marks."""
    masks = assignments(len(weight))
    rows = weight.expand(len(masks), -1)
    low, high = group_means(rows, masks)
    return error(rows, torch.where(masks, high[:, None], low[:, None])), masks.sum(1)


@pytest.mark.parametrize(
    ("split", "low", "high", "expected"),
    [
        (lambda w: free_split(w), -0.158333, 1.0, 0.0970833),
        (lambda w: exact_split(w, 1), -0.0071429, 1.1, 1.0371429),
        (lambda w: exact_split(w, 3, both_tails=False), -0.2, 0.683333, 0.646667),
        (lambda w: at_most_split(w, 5), -0.158333, 1.0, 0.0970833),
        (lambda w: at_most_split(w, 1), -0.0071429, 1.1, 1.0371429),
    ],
)
def test_golden_values(split, low, high, expected):
    found = split(W)
    assert found.low.item() == pytest.approx(low, abs=1e-6)
    assert found.high.item() == pytest.approx(high, abs=1e-6)
    assert error(W, found.values()).item() == pytest.approx(expected, abs=1e-6)


def test_golden_values_of_given_assignments():
    smallest_two = torch.tensor([False, False, False, False, True, False, False, True])
    rest, bottom = group_means(W, smallest_two)
    assert (bottom.item(), rest.item()) == (pytest.approx(-0.275), pytest.approx(0.266667, abs=1e-6))
    assert error(W, torch.where(smallest_two, bottom, rest)).item() == pytest.approx(1.669583, abs=1e-6)
    threshold_zero = group_means(W, W > 0)
    assert [value.item() for value in threshold_zero] == pytest.approx([-0.2, 0.683333], abs=1e-6)
    assert error(W, W.abs().mean() * torch.where(W < 0, -1, 1)).item() == pytest.approx(1.0846875, abs=1e-6)


def test_golden_values_of_the_papers_symbols():
    found = free_split(W)
    assert (found.upper.sum(), (found.high - found.low).item()) == (2, pytest.approx(1.158333, abs=1e-6))
    spread, middle = (found.high - found.low) / 2, (found.high + found.low) / 2
    assert (spread.item(), middle.item()) == (pytest.approx(0.579167, abs=1e-6), pytest.approx(0.420833, abs=1e-6))
    assert torch.equal(found.upper, middle < W)
    mean, centred = W.mean(), (W - W.mean()).abs().mean()
    assert (mean.item(), centred.item()) == (pytest.approx(0.13125), pytest.approx(0.434375))
    shortcut = mean + centred * torch.where(mean > W, -1, 1)
    assert error(W, shortcut).item() == pytest.approx(0.600234, abs=1e-6)


def test_free_split_is_the_best_of_all_assignments():
    for weight in vectors(150):
        errors, _ = two_level_errors(weight)
        torch.testing.assert_close(error(weight, free_split(weight).values()), errors.min(), rtol=1e-9, atol=1e-12)


def test_splits_with_a_budget_are_the_best_of_all_assignments():
    for weight in vectors(150, seed=1):
        errors, ones = two_level_errors(weight)
        for k in range(1, len(weight) + 1):
            exact, at_most = exact_split(weight, k), at_most_split(weight, k)
            torch.testing.assert_close(error(weight, exact.values()), errors[ones == k].min(), rtol=1e-9, atol=1e-12)
            torch.testing.assert_close(error(weight, at_most.values()), errors[ones <= k].min(), rtol=1e-9, atol=1e-12)
            assert int(exact.upper.sum()) in (k, len(weight) - k)


def test_the_largest_as_ones_are_the_best_with_a_higher_level():
    for weight in vectors(100, seed=2):
        masks = assignments(len(weight))
        errors, ones = two_level_errors(weight)
        low, high = group_means(weight.expand(len(masks), -1), masks)
        for k in range(1, len(weight) + 1):
            found = exact_split(weight, k, both_tails=False)
            best = errors[(ones == k) & (high >= low - 1e-12)].min()
            torch.testing.assert_close(error(weight, found.values()), best, rtol=1e-9, atol=1e-12)
            assert found.upper.sum() == k


def test_zero_and_beta_are_the_best_of_all_assignments():
    for weight in vectors(100, seed=3):
        masks = assignments(len(weight))[1:]
        ones = masks.sum(1)
        beta = (masks * weight).sum(1) / ones
        errors = error(weight, masks * beta[:, None])
        torch.testing.assert_close(error(weight, zero_split(weight).values()), errors.min(), rtol=1e-9, atol=1e-12)
        for k in range(1, len(weight) + 1):
            found = error(weight, zero_split(weight, k).values())
            torch.testing.assert_close(found, errors[ones == k].min(), rtol=1e-9, atol=1e-12)
            top = zero_split(weight, k, both_tails=False)
            assert (top.low, top.upper.sum()) == (0, k)
            torch.testing.assert_close(top.high, weight.sort(descending=True).values[:k].mean())


def test_ternary_is_the_best_of_all_assignments():
    for weight in vectors(50, seed=4):
        weight = weight[:6]
        codes = torch.tensor(list(product([-1.0, 0.0, 1.0], repeat=len(weight))), dtype=torch.float64)
        kept = codes.abs().sum(1)
        codes, kept = codes[kept > 0], kept[kept > 0]
        scale = ((codes * weight).sum(1) / kept).clamp(min=0)
        errors = error(weight, codes * scale[:, None])
        found = ternary_split(weight)
        torch.testing.assert_close(error(weight, found.values()), errors.min(), rtol=1e-9, atol=1e-12)
        for k in range(1, len(weight) + 1):
            found = ternary_split(weight, k)
            assert found.code.abs().sum() == k
            torch.testing.assert_close(error(weight, found.values()), errors[kept == k].min(), rtol=1e-9, atol=1e-12)


SPLITS = {
    "free": free_split,
    "exact": lambda w: exact_split(w, 2),
    "top": lambda w: exact_split(w, 2, both_tails=False),
    "at most": lambda w: at_most_split(w, 2),
}


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS.keys())
def test_shifted_weights_have_shifted_levels(split):
    for weight in vectors(40, seed=5):
        found, shifted = split(weight), split(weight + 3)
        torch.testing.assert_close(shifted.low, found.low + 3)
        torch.testing.assert_close(shifted.high, found.high + 3)


@pytest.mark.parametrize("name", ["free", "exact", "at most"])
def test_negated_weights_have_the_same_error(name):
    for weight in vectors(40, seed=6):
        split = SPLITS[name]
        torch.testing.assert_close(error(weight, split(weight).values()), error(-weight, split(-weight).values()))


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS.keys())
def test_constant_weights_have_two_equal_levels(split):
    found = split(torch.full((3, 5), 0.7))
    torch.testing.assert_close(found.values(), torch.full((3, 5), 0.7))
    assert torch.equal(found.low, found.high)


def test_one_weight_is_its_own_level():
    weight = torch.tensor([0.3])
    for found in (free_split(weight), exact_split(weight, 1), at_most_split(weight, 1), zero_split(weight, 1)):
        assert found.values().tolist() == weight.tolist()


def test_filters_are_split_one_by_one():
    weight = torch.randn(4, 65, generator=torch.Generator().manual_seed(0))
    calls = {**SPLITS, "zero": zero_split, "zero with a budget": lambda w: zero_split(w, 3)}
    for split in calls.values():
        together = split(weight)
        for i, row in enumerate(weight):
            for found, alone in zip(together, split(row), strict=True):
                assert torch.equal(found[i], alone)
    for found, alone in zip(ternary_split(weight, 5), ternary_split(weight[2], 5), strict=True):
        assert torch.equal(found[2], alone)


@pytest.mark.parametrize("n", [1, 63, 64, 65])
def test_ties_leave_exactly_the_number_of_ones_and_selection_equals_sorting(n):
    generator = torch.Generator().manual_seed(n)
    weight = torch.randint(-2, 3, (3, n), generator=generator).float()
    for k in {1, max(1, n // 20), max(1, n // 2), n}:
        selected, sorted_ = largest(weight, k), largest(weight, torch.tensor(k))
        assert selected.upper.sum(1).tolist() == [k] * 3
        for a, b in zip(selected, sorted_, strict=True):
            assert torch.equal(a, b)
        assert torch.equal(selected.upper & (weight < selected.cut[:, None]), torch.zeros(3, n, dtype=torch.bool))


@pytest.mark.parametrize("ones", [0, -1, 9])
@pytest.mark.parametrize("split", [exact_split, at_most_split, zero_split, ternary_split])
def test_refuses_a_number_of_ones_out_of_range(split, ones):
    with pytest.raises(ValueError, match=rf"ones must be in 1\.\.8, the number of weights, got {ones}"):
        split(W, ones)

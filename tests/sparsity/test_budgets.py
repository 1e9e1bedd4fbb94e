"""How a density is shared out among layers: sparse.md §2.4, check 1."""

from math import ceil, floor

import pytest
import torch

from signbit.sparsity import erk
from signbit.sparsity.budgets import global_counts, layer_densities, three_digits

RESNET18 = (
    [(64, 64, 3, 3)] * 4
    + [(128, 64, 3, 3)] + [(128, 128, 3, 3)] * 3
    + [(256, 128, 3, 3)] + [(256, 256, 3, 3)] * 3
    + [(512, 256, 3, 3)] + [(512, 512, 3, 3)] * 3
)  # fmt: skip
SIZES = [torch.Size(shape).numel() for shape in RESNET18]


@pytest.mark.parametrize(
    ("density", "expected"),
    [
        (0.05, (0.2725, 0.2013, 0.1332, 0.0991, 0.0658, 0.0492, 0.0327)),
        (0.10, (0.5449, 0.4026, 0.2664, 0.1982, 0.1317, 0.0984, 0.0654)),
    ],
)
def test_erk_on_resnet18(density, expected):
    found = erk(RESNET18, density)
    assert [found[i] for i in (0, 4, 5, 8, 9, 12, 13)] == pytest.approx(list(expected), abs=1e-4)
    total = sum(share * size for share, size in zip(found, SIZES, strict=True))
    assert total / sum(SIZES) == pytest.approx(density, abs=1e-12)
    if density == 0.05:
        assert found[0] / ((64 + 64 + 3 + 3) / SIZES[0]) == pytest.approx(74.9555, abs=1e-4)


def test_erk_caps_and_shares_the_rest_out_again():
    shapes = [(8, 8, 3, 3), (64, 64, 3, 3), (256, 256, 3, 3)]
    sizes = [torch.Size(shape).numel() for shape in shapes]
    for most in (1.0, 0.5):
        found = erk(shapes, 0.2, most=most)
        assert found[0] == most
        assert max(found) <= most
        assert sum(d * n for d, n in zip(found, sizes, strict=True)) / sum(sizes) == pytest.approx(0.2, abs=1e-12)
    assert erk(shapes, 1.0) == pytest.approx([1.0, 1.0, 1.0])


def test_global_counts_rank_all_layers_together():
    rankings = [torch.arange(10.0), torch.arange(5.0, 25.0).view(4, 5)]
    assert global_counts(rankings, 1 / 3) == [1, 9]  # of 10 in all, none of the first, which keeps one
    assert global_counts([torch.arange(10.0), torch.arange(10.0)], 0.5) == [5, 5]
    assert global_counts([torch.zeros(4), torch.ones(4)], 0.5) == [1, 3]


def test_global_counts_give_the_whole_budget_and_no_more():
    rankings = [torch.zeros(4), torch.ones(30), torch.full((6,), 2.0)]
    for count in range(3, 41):
        found = global_counts(rankings, count / 40)
        assert (sum(found), min(found) >= 1) == (count, True)
        assert found == [max(1, count - 36), min(30, max(1, count - 7)), min(6, count - 2)]
    for count in range(3, 38):
        found = global_counts(rankings, count / 40, all_allowed=False)
        assert sum(found) == count
        assert all(1 <= n < ranking.numel() for n, ranking in zip(found, rankings, strict=True))
    assert global_counts([torch.zeros(2), torch.zeros(2)], 0.5, all_allowed=False) == [1, 1]


def test_global_counts_share_equal_weights_out():
    assert global_counts([torch.ones(100), torch.ones(10, 30)], 0.1) == [10, 30]
    assert global_counts([torch.ones(7), torch.ones(7), torch.ones(7)], 11 / 21) == [4, 4, 3]
    mixed = torch.cat([torch.full((5,), 2.0), torch.ones(5)])
    assert global_counts([mixed, torch.ones(20)], 0.5) == [7, 8]
    for count in range(4, 45):
        sizes = [1, 3, 12, 30]
        found = global_counts([torch.zeros(size) for size in sizes], count / 46)
        assert sum(found) == count
        assert all(1 <= n <= size for n, size in zip(found, sizes, strict=True))


def test_global_counts_leave_out_what_is_never_chosen():
    few = torch.full((10,), -torch.inf)
    few[:2] = 1
    assert global_counts([few, torch.zeros(10)], 0.5) == [2, 8]
    assert global_counts([few, torch.zeros(10)], 1.0) == [2, 10]
    assert global_counts([few, torch.zeros(10)], 1.0, all_allowed=False) == [2, 9]


def test_densities_and_their_refusals():
    shapes = {"a": (10, 10), "b": (4, 25)}
    assert layer_densities(shapes, 0.05) == [0.05, 0.05]
    with pytest.raises(
        ValueError, match=r"density 0\.004 \(uniform\) is no weight of the 100 of a, .* raise the density"
    ):
        layer_densities(shapes, 0.004)
    with pytest.raises(
        ValueError, match=r"density 1\.0 \(uniform\) is every weight of the 100 of a, .* lower the density"
    ):
        layer_densities(shapes, 1.0, all_allowed=False)
    assert layer_densities(shapes, 1.0) == [1.0, 1.0]


def test_global_asks_for_one_weight_of_each_layer_and_no_more():
    shapes = {"a": (10, 10), "b": (100, 100)}
    assert layer_densities(shapes, 0.0002, distribution="global") == [0.0002, 0.0002]
    with pytest.raises(ValueError, match=r"density 0\.0001 \(global\) is 1 of the 10100 .* raise it to 0\.000199"):
        layer_densities(shapes, 0.0001, distribution="global")
    assert layer_densities(shapes, 0.000199, distribution="global")
    assert layer_densities(shapes, 1.0, distribution="global")
    for density in (1.0, 0.9999):
        with pytest.raises(
            ValueError, match=r"\(global\) is 10\d+ of the 10100 .* one of the other kind; lower it to 0\.999$"
        ):
            layer_densities(shapes, density, distribution="global", all_allowed=False)
    assert layer_densities(shapes, 10098 / 10100, distribution="global", all_allowed=False)


def test_bounds_of_three_digits_are_within():
    assert (three_digits(2 / 10100, ceil), three_digits(2 / 10100, floor)) == ("0.000199", "0.000198")
    assert (three_digits(0.25, ceil), three_digits(0.25, floor)) == ("0.25", "0.25")

"""The largest weights: exact numbers, ties, N:M and blocks."""

import pytest
import torch

from signbit.sparsity import largest_mask, parse_pattern


@pytest.mark.parametrize("n", [1, 63, 64, 65])
def test_exactly_as_many_as_asked_also_with_ties(n):
    scores = torch.randn(3, n, generator=torch.Generator().manual_seed(0)).round()
    for count in {0, 1, n, 3 * n}:
        for generator in (None, torch.Generator().manual_seed(1)):
            mask = largest_mask(scores, count, generator=generator)
            assert mask.sum() == count
            assert count in (0, 3 * n) or scores[mask].min() >= scores[~mask].max()


def test_ties_are_broken_at_random_and_always_alike():
    scores = torch.zeros(100, 100)
    found = [largest_mask(scores, 1000, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(found[0], found[1])
    assert 50 < (found[0] & found[2]).sum() < 200
    assert largest_mask(scores, 1000).flatten()[:1000].all()


def test_n_of_m_consecutive_weights():
    scores = torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    mask = largest_mask(scores, 144, pattern=parse_pattern("2:4"))
    groups, chosen = scores.view(-1, 4), mask.view(-1, 4)
    assert (chosen.sum(1) == 2).all()
    for group, bits in zip(groups, chosen, strict=True):
        assert group[bits].min() > group[~bits].max()
    # On the way to 1:4, three of four.
    assert (largest_mask(scores, 216, pattern=parse_pattern("1:4")).view(-1, 4).sum(1) == 3).all()


def test_blocks_leave_and_stay_as_wholes():
    scores = torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    blocks = largest_mask(scores, 60, pattern=parse_pattern("block:12")).view(-1, 12)
    assert set(blocks.sum(1).tolist()) == {0, 12}
    assert blocks.all(1).sum() == 5
    assert scores.view(-1, 12).sum(1)[blocks.all(1)].min() > scores.view(-1, 12).sum(1)[~blocks.all(1)].max()
    assert largest_mask(scores, 1, pattern=parse_pattern("block:12")).sum() == 12


def test_patterns_and_their_refusals():
    for text in ("4:2", "0:4", "2:2", "block:1", "block:", "8", "a:b", ":4"):
        with pytest.raises(ValueError, match=rf"sparsity\.pattern must be N:M .* got '{text}'"):
            parse_pattern(text)
    with pytest.raises(
        ValueError, match="conv: a filter has 9 weights, less than one block of 16; take a size that div"
    ):
        parse_pattern("block:16").check("conv", torch.Size((4, 1, 3, 3)), 0.5)
    with pytest.raises(ValueError, match="conv: a filter has 9 weights, which is not whole groups of 4"):
        parse_pattern("2:4").check("conv", torch.Size((4, 1, 3, 3)), 0.5)
    parse_pattern("block:9").check("conv", torch.Size((4, 1, 3, 3)), 0.5)


def test_a_budget_of_less_than_one_block_is_refused():
    shape = torch.Size((4, 1, 3, 3))
    with pytest.raises(
        ValueError, match=r"conv: density 0\.2 of its 36 weights is less than one block of 9; raise .* 0\.25"
    ):
        parse_pattern("block:9").check("conv", shape, 0.2)
    parse_pattern("block:9").check("conv", shape, 0.25)

import pytest
import torch

from signbit.analysis import InitialSigns, Shares


def test_the_value_of_the_spec() -> None:
    # optimizers.md 4.3: the formula as printed, with its ½, would give .75.
    weight = torch.tensor([0.1, -0.2, 0.3, -0.4])
    signs = InitialSigns({"w": weight})
    weight.copy_(torch.tensor([-0.1, -0.2, 0.3, 0.4]))
    assert signs.kept() == Shares(0.5, {"w": 0.5})


def test_zero_is_positive() -> None:
    weight = torch.tensor([0.0, -1.0])
    signs = InitialSigns({"w": weight})
    weight.copy_(torch.tensor([1.0, -0.0]))
    assert signs.kept().total == 0.5


@pytest.mark.parametrize("size", [1, 7, 8, 9, 63, 64, 65])
def test_sizes_and_what_is_saved(size: int) -> None:
    weight = torch.ones(size)
    signs = InitialSigns({"w": weight, "other": torch.ones(3)})
    saved = signs.state_dict()
    assert saved["w"].dtype == torch.uint8
    assert len(saved["w"]) == -(-size // 8)
    weight[: size // 2 + 1] = -1
    later = InitialSigns({"w": weight, "other": torch.ones(3)})
    assert later.kept().total == 1
    later.load_state_dict(saved)
    assert later.kept() == signs.kept() == Shares((size // 2 + (size % 2) - 1 + 3) / (size + 3), later.kept().layers)


def test_the_layout_in_memory_does_not_matter() -> None:
    weight = torch.randn(5, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    signs = InitialSigns({"w": weight})
    same = InitialSigns({"w": weight.clone(memory_format=torch.channels_last).bfloat16()})
    same.load_state_dict(signs.state_dict())
    assert same.kept().total == 1

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from signbit.models.parts import make_activation, make_norm, make_shortcut
from signbit.quantizers import sign

X = torch.arange(2 * 3 * 4 * 4, dtype=torch.float32).view(2, 3, 4, 4)


@pytest.mark.parametrize("kind", ["conv", "binary", "slice", "average", "repeat"])
def test_same_shape_is_the_identity(kind):
    assert isinstance(make_shortcut(kind, 3, 3), nn.Identity)


def test_slices_with_new_channels_on_both_sides():
    result = make_shortcut("slice", 3, 8, stride=2)(X)
    assert torch.equal(result[:, 2:5], X[:, :, ::2, ::2])
    assert result.shape == (2, 8, 2, 2)
    assert torch.count_nonzero(result[:, :2]) == torch.count_nonzero(result[:, 5:]) == 0


def test_averages_with_new_channels():
    result = make_shortcut("average", 3, 6, stride=2)(X)
    assert torch.equal(result[:, 1:4], F.avg_pool2d(X, 2))
    assert torch.count_nonzero(result[:, [0, 4, 5]]) == 0


def test_repeats_channels_and_cuts_the_rest():
    assert torch.equal(make_shortcut("repeat", 3, 6)(X), torch.cat([X, X], dim=1))
    assert torch.equal(make_shortcut("repeat", 3, 7, stride=1)(X), torch.cat([X, X, X[:, :1]], dim=1))


def test_pool_then_convolution_then_norm():
    shortcut = make_shortcut("conv", 3, 5, stride=2, norm="layer")
    assert list(dict(shortcut.named_children())) == ["pool", "conv", "norm"]
    assert torch.equal(shortcut(X), shortcut.norm(F.conv2d(F.avg_pool2d(X, 2), shortcut.conv.weight)))


def test_a_binary_shortcut_is_a_product_of_signs():
    shortcut = make_shortcut("binary", 3, 5, stride=2, quantizer="sign")
    assert list(dict(shortcut.named_children())) == ["pool", "conv", "norm"]
    weight = shortcut.conv.weight
    scaled = sign(weight) * weight.abs().flatten(1).mean(1).view(-1, 1, 1, 1)
    torch.testing.assert_close(shortcut.conv(X - 40), F.conv2d(sign(X - 40), scaled))
    assert shortcut(X).shape == (2, 5, 2, 2)
    twin = make_shortcut("binary", 3, 5, stride=2, quantizer=None)
    assert type(twin.conv) is nn.Conv2d


def test_layer_norm_standardises_each_position():
    torch.manual_seed(0)
    norm, x = make_norm("layer", 65), torch.randn(2, 65, 3, 3) * 4 + 1
    result = norm(x)
    torch.testing.assert_close(result.mean(1), torch.zeros(2, 3, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(result.var(1, unbiased=False), torch.ones(2, 3, 3), atol=1e-4, rtol=0)
    torch.testing.assert_close(make_norm("layer", 65, flat=True)(x[:, :, 0, 0]), result[:, :, 0, 0])


def test_activations_start_as_their_papers_say():
    x = torch.tensor([-2.0, -0.5, 0.5, 2.0]).view(1, 1, 2, 2)
    expected = {
        "none": x,
        "hardtanh": x.clamp(-1, 1),
        "relu": x.clamp(min=0),
        "prelu": torch.where(x < 0, x / 4, x),
        "rprelu": torch.where(x < 0, x / 4, x),
        "two-slope": torch.where(x < 0, x / 4, x),
    }
    for name, result in expected.items():
        assert torch.equal(make_activation(name, 1)(x), result)

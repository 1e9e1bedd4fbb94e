import torch
from torch import nn

from signbit.nn import ChannelNorm


def test_is_layer_norm_of_the_channels_of_every_position():
    torch.manual_seed(0)
    norm, plain = ChannelNorm(65, eps=1e-3), nn.LayerNorm(65, eps=1e-3)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    plain.load_state_dict(norm.state_dict())
    x = torch.randn(2, 65, 3, 4)
    torch.testing.assert_close(norm(x), plain(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
    assert torch.equal(norm(x[:, :, 0, 0]), plain(x[:, :, 0, 0]))


def test_agrees_with_the_formula_channels_last_or_not():
    torch.manual_seed(0)
    x = torch.randn(2, 7, 5, 5) * 3 + 1
    expected = (x - x.mean(1, keepdim=True)) / torch.sqrt(x.var(1, unbiased=False, keepdim=True) + 1e-5)
    torch.testing.assert_close(ChannelNorm(7)(x), expected)
    torch.testing.assert_close(ChannelNorm(7)(x.to(memory_format=torch.channels_last)), expected)

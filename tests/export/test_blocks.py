"""Blocks of published networks: shortcuts, concatenation, gates."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from export.compare import IMAGE, assert_close, ops, scramble
from signbit import nn as binary


class Residual(nn.Module):
    """B-RES: y = act(BN(conv(sign x)) + shortcut)."""

    def __init__(self, cin: int, cout: int, stride: int, act: nn.Module, shortcut: str) -> None:
        super().__init__()
        self.conv = binary.BinaryConv2d(cin, cout, 3, stride, 1, weight_quantizer="sign(scale=mean)")
        self.norm = nn.BatchNorm2d(cout)
        self.act = act
        self.kind = shortcut
        if shortcut == "conv":
            self.down = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(cin, cout, 1, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.conv(x))
        match self.kind:
            case "conv":
                x = self.down(x)
            case "slice":
                x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 4, 4))
            case "average":
                x = F.pad(F.avg_pool2d(x, 2), (0, 0, 0, 0, 8, 0), "constant", 0)
            case "duplicate":
                x = F.avg_pool2d(x, 2)
                x = torch.cat([x, x], 1)
        y = y + x
        return self.act(y)


SQUARE = type(IMAGE)(height=8, width=8, mean=IMAGE.mean, std=IMAGE.std)


@pytest.mark.parametrize("shortcut", ["conv", "slice", "average", "duplicate"])
@pytest.mark.parametrize("act", [nn.Identity(), binary.RPReLU(16), nn.Hardtanh(), binary.TwoSlopePReLU(16)])
def test_residual_blocks(shortcut, act):
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        Residual(8, 8, 1, nn.Identity(), "identity"),
        Residual(8, 16, 2, copy.deepcopy(act), shortcut),
        binary.RSign(16),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    graph = assert_close(scramble(model), SQUARE)
    assert "Sign" in ops(graph)
    assert "Threshold" not in ops(graph)


def test_residual_block_without_float_sums_is_exact_in_its_bits():
    """The sign of a one-bit layer goes through the integers even where its real value feeds a shortcut."""

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.norm_a = binary.BinaryConv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16)
            self.b, self.norm_b = binary.BinaryConv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16)

        def forward(self, x):
            x = self.norm_a(self.a(x))
            return x + self.norm_b(self.b(x))

    found = ops(assert_close(scramble(Block())))
    assert sorted(found) == ["Add", "Affine", "Affine", "BinaryConv", "BinaryConv", "Threshold", "Threshold"]


def test_reactnet_block_with_two_point_convolutions():
    class Widening(nn.Module):
        def __init__(self):
            super().__init__()
            self.sign1, self.conv = binary.RSign(8), binary.BinaryConv2d(8, 8, 3, 2, 1)
            self.norm, self.act1 = nn.BatchNorm2d(8), binary.RPReLU(8)
            self.pool, self.sign2 = nn.AvgPool2d(2), binary.RSign(8)
            self.points = nn.ModuleList(binary.BinaryConv2d(8, 8, 1) for _ in range(2))
            self.norms = nn.ModuleList(nn.BatchNorm2d(8) for _ in range(2))
            self.act2 = binary.RPReLU(16)

        def forward(self, x):
            y = self.act1(self.norm(self.conv(self.sign1(x))) + self.pool(x))
            bits = self.sign2(y)
            return self.act2(torch.cat([n(p(bits)) + y for p, n in zip(self.points, self.norms, strict=True)], dim=1))

    graph = assert_close(scramble(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), Widening())), SQUARE)
    assert ops(graph).count("Sign") == 2


def test_dense_concatenation_with_norm_before_sign():
    class Dense(nn.Module):
        def __init__(self, channels: int):
            super().__init__()
            self.norm, self.conv = (
                nn.BatchNorm2d(channels),
                binary.BinaryConv2d(channels, 8, 3, padding=1, pad_value=-1),
            )

        def forward(self, x):
            return torch.cat([x, self.conv(self.norm(x))], dim=1)

    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), Dense(8), Dense(16), nn.MaxPool2d(2), nn.ReLU())
    assert_close(scramble(model))


@pytest.mark.parametrize("opening", [nn.Sigmoid(), nn.Hardsigmoid(), nn.Identity()])
def test_gate(opening):
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.conv = nn.BatchNorm2d(8), binary.BinaryConv2d(8, 8, 3, padding=1)
            self.gate = nn.Sequential(
                nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 2, 1), nn.ReLU(inplace=True), nn.Conv2d(2, 8, 1), opening
            )
            self.act = nn.PReLU(8)

        def forward(self, x):
            a = self.norm(x)
            return self.act(self.conv(a) * self.gate(a)) + x

    graph = assert_close(scramble(nn.Sequential(nn.Conv2d(3, 8, 3), Gated())))
    function = {"Sigmoid": "sigmoid", "Hardsigmoid": "hardsigmoid", "Identity": "identity"}[type(opening).__name__]
    assert next(node for node in graph.nodes if type(node).__name__ == "Gate").function == function


@pytest.mark.parametrize("form", ["view", "index", "ellipsis"])
def test_squeeze_and_excitation_of_vectors(form):
    class Excitation(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Sequential(nn.Linear(8, 2), nn.ReLU(), nn.Linear(2, 8), nn.Sigmoid())

        def forward(self, x):
            gate = self.fc(x.mean((2, 3)))
            match form:
                case "view":
                    gate = gate.view(x.size(0), x.shape[1], 1, 1)
                case "index":
                    gate = gate[:, :, None, None]
                case "ellipsis":
                    gate = gate[..., None, None]
            return x * gate

    graph = assert_close(scramble(nn.Sequential(nn.Conv2d(3, 8, 3), Excitation())))
    assert ops(graph)[-1] == "Gate"

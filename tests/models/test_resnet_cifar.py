import numpy as np
import pytest
import torch
from torch import nn

from models.counts import counts
from signbit.export import to_graph, verify
from signbit.models import create_model
from signbit.packed import ImagePreparation
from signbit.packed.report import inspect
from signbit.params import named_binary_parameters


def test_counts_of_resnet20():
    net = counts("resnet20_cifar")
    assert (net.parameters, net.binary_weights, net.real_parameters) == (269_850, 267_264, 2_586)
    assert (net.binary_macs, net.mixed_macs, net.float_macs) == (40_108_032, 0, 443_008)
    assert net.ops == 40_108_032 / 64 + 443_008
    assert round(net.ops / 1e8, 4) == 0.0107
    assert round(net.mebibytes * 2**20 / 1000) == 44


def test_layers_of_resnet20():
    assert list(counts("resnet20_cifar").layers.values()) == [
        (432, 442_368),
        *[(2_304, 2_359_296)] * 6,
        (4_608, 1_179_648),
        *[(9_216, 2_359_296)] * 5,
        (18_432, 1_179_648),
        *[(36_864, 2_359_296)] * 5,
        (640, 640),
    ]


def test_counts_of_resnet18():
    net = counts("resnet18_cifar")
    assert (net.parameters, net.binary_weights, net.real_parameters) == (11_001_162, 10_985_472, 15_690)
    assert (net.binary_macs, net.mixed_macs, net.float_macs) == (547_356_672, 0, 1_774_592)
    assert net.ops == 547_356_672 / 64 + 1_774_592
    assert round(net.ops / 1e8, 3) == 0.103
    assert round(net.mebibytes, 2) == 1.37


def test_layers_of_resnet18():
    same = 36_864 * 32**2
    assert list(counts("resnet18_cifar").layers.values()) == [
        (1_728, 1_769_472),
        *[(36_864, same)] * 4,
        (73_728, same // 2),
        *[(147_456, same)] * 3,
        (294_912, same // 2),
        *[(589_824, same)] * 3,
        (1_179_648, same // 2),
        *[(2_359_296, same)] * 3,
        (5_120, 5_120),
    ]


def test_batch_norm_stands_before_the_classifier():
    names = list(dict(create_model("resnet20_cifar").named_children()))
    assert names == ["stem", "stage1", "stage2", "stage3", "pool", "flatten", "norm", "fc"]


def test_hardtanh_behind_every_block_but_not_in_the_float_twin():
    def number(model):
        return sum(isinstance(module, nn.Hardtanh) for module in model.modules())

    assert number(create_model("resnet20_cifar")) == 18
    assert number(create_model("resnet20_cifar", binary=False)) == 0


SHORTCUTS = {"slice": (0, 0, 0), "repeat": (0, 0, 0), "conv": (172_032, 0, 1_792), "binary": (0, 172_032, 1_792)}


@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_what_shortcuts_hold(shortcut):
    """Real, one-bit and norm parameters of the three shortcuts of ResNet-18 (sparse.md §1.6)."""
    real, bits, norms = SHORTCUTS[shortcut]
    model = create_model("resnet18_cifar", shortcut=shortcut)
    binary = sum(parameter.numel() for _, parameter in named_binary_parameters(model))
    assert binary == 10_985_472 + bits
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_001_162 + real + bits + norms


@pytest.mark.parametrize(
    ("shortcut", "dense", "stored"), [("conv", "float32", 4), ("conv", "int8", 1), ("binary", "float32", 1 / 8)]
)
def test_bytes_of_shortcuts_and_that_they_verify(shortcut, dense, stored):
    """An eighth of the width; three layers of 8→16, 16→32 and 32→64 channels."""
    torch.manual_seed(0)
    model = create_model("resnet18_cifar", shortcut=shortcut, widths=(8, 16, 32, 64), depths=(1, 1, 1, 1)).eval()
    image = ImagePreparation(height=32, width=32)
    images = np.random.default_rng(0).integers(0, 256, (16, 3, 32, 32), dtype=np.uint8)
    graph = to_graph(model, image=image, dense=dense, calibration=images)
    rows = {row.name: row for row in inspect(graph).rows if row.weights and "shortcut" in row.name}
    assert [row.weights for row in rows.values()] == [128, 512, 2048]
    assert [row.bytes for row in rows.values()] == [int(row.weights * stored) for row in rows.values()]
    assert verify(graph, model=model, batch=images).passed

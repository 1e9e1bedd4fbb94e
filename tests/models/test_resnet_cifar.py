from torch import nn

from models.counts import counts
from signbit.models import create_model


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

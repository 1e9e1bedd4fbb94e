"""Feature maps, and what every network of real size must survive."""

import copy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from export.compare import assert_close
from models.counts import NAMES, counts, side, small
from signbit.models import FeatureMaps, create_model
from signbit.optim import Bop, FlipCounter, Hybrid
from signbit.packed import ImagePreparation
from signbit.params import named_binary_parameters

EXPECTED = {
    "binarynet": ([128, 128, 256, 512], [1, 2, 4, 8]),
    "binarynet_valid": ([128, 128, 256, 512], [1, 2, 4, 8]),
    "vgg_small": ([128, 128, 256, 512], [1, 2, 4, 8]),
    "resnet20_cifar": ([16, 16, 32, 64], [1, 1, 2, 4]),
    "resnet18_cifar": ([64, 64, 128, 256, 512], [1, 1, 2, 4, 8]),
    **dict.fromkeys(
        ("birealnet18", "birealnet34", "react_resnet18", "react_resnet34"),
        ([64, 64, 128, 256, 512], [2, 4, 8, 16, 32]),
    ),
    **dict.fromkeys(("binary_alexnet", "xnornet_alexnet", "xnornet_alexnet_larq"), ([8, 16, 16], [8, 16, 32])),
    **dict.fromkeys(("reactnet_a", "reactnet_b", "reactnet_c"), ([8, 16, 32], [2, 2, 4])),
    **dict.fromkeys(("quicknet_small", "quicknet", "quicknet_large"), ([16, 16, 32, 64], [4, 4, 8, 16])),
}
UNPADDED = {
    "binarynet_valid": [30, 15, 7, 3],
    "binary_alexnet": [7, 3, 1],
    "xnornet_alexnet": [7, 3, 1],
    "xnornet_alexnet_larq": [7, 3, 1],
}


def images(name: str, count: int = 2) -> torch.Tensor:
    size = 64 if side(name) == 224 else 32
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def calibrated(name: str, **options: object) -> nn.Module:
    """In eval mode, with norms of random scale and offset, of both signs, and the statistics of a batch."""
    torch.manual_seed(0)
    model = create_model(name, **{**small(name), **options})
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.LayerNorm) and module.weight is not None:
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias, std=0.3)
            module.momentum = None  # running statistics are then those of the batch; the default keeps 90 % of 0 and 1
    with torch.no_grad():
        model(images(name, 8))
    return model.eval()


@pytest.mark.parametrize("name", NAMES)
def test_feature_maps(name):
    torch.manual_seed(0)
    features = create_model(name, features_only=True, **small(name)).eval()
    assert isinstance(features, FeatureMaps)
    channels, reduction = EXPECTED[name]
    assert features.feature_info.channels() == channels
    assert features.feature_info.reduction() == reduction
    x = images(name, 1)
    with torch.no_grad():
        maps = features(x)
    assert [m.shape[1] for m in maps] == channels
    sizes = UNPADDED.get(name, [x.shape[2] // r for r in reduction])
    assert [m.shape[2:] for m in maps] == [(size, size) for size in sizes]


def test_feature_maps_are_those_of_the_whole_network():
    torch.manual_seed(0)
    model = create_model("resnet20_cifar").eval()
    features = FeatureMaps(model)
    x = images("resnet20_cifar")
    last = features(x)[-1]
    assert torch.equal(model(x), model.fc(model.norm(last.mean(dim=(2, 3)))))
    assert set(features.state_dict()) < set(model.state_dict())
    assert features.feature_info.module_name() == ["stem", "stage1", "stage2", "stage3"]


def test_a_network_without_stages_has_no_feature_maps():
    with pytest.raises(ValueError, match="mnist_mlp has no stages"):
        create_model("mnist_mlp", features_only=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_flips_some_weights_of_every_layer(name):
    torch.manual_seed(0)
    model = create_model(name, num_classes=10, **small(name))
    optimizer = Hybrid(model, binary=partial(Bop, lr=1.0, threshold=0.0), real=partial(torch.optim.SGD, lr=0.1))
    flips = FlipCounter(optimizer, named_binary_parameters(model))
    F.cross_entropy(model(images(name, 4)), torch.arange(4)).backward()
    optimizer.step()
    sizes = {key: parameter.numel() for key, parameter in named_binary_parameters(model)}
    assert flips.counts.keys() == sizes.keys()
    assert all(0 < int(count) < sizes[key] for key, count in flips.counts.items())


@pytest.mark.parametrize("name", NAMES)
def test_copies_and_states_compute_the_same(name):
    torch.manual_seed(0)
    model, x = create_model(name, **small(name)).eval(), images(name)
    with torch.no_grad():
        expected = model(x)
        assert torch.equal(model(x), expected)
        assert torch.equal(copy.deepcopy(model)(x), expected)
        fresh = create_model(name, **small(name)).eval()
        assert not torch.equal(fresh(x), expected)
        fresh.load_state_dict(model.state_dict())
        assert torch.equal(fresh(x), expected)


@pytest.mark.parametrize("name", NAMES)
def test_float_twin_has_the_same_topology_and_only_torch_layers(name):
    twin = create_model(name, binary=False, **small(name))
    layers = [m for m in twin.modules() if not any(True for _ in m.children()) and list(m.parameters())]
    own = [m for m in layers if not type(m).__module__.startswith("torch.nn")]
    assert len(own) == {"react_resnet18": 16, "react_resnet34": 32}.get(name, 6 if name.startswith("reactnet") else 0)
    assert not list(named_binary_parameters(twin))
    model, real = counts(name, **small(name)), counts(name, binary=False, **small(name))
    assert real.layers == model.layers
    assert real.float_macs == model.binary_macs + model.mixed_macs + model.float_macs


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("react")])
def test_state_dict_is_that_of_torch_layers(name):
    model, twin = (create_model(name, binary=binary, **small(name)) for binary in (True, False))
    shapes = [{key: value.shape for key, value in net.state_dict().items()} for net in (model, twin)]
    assert shapes[0] == shapes[1]
    assert all(isinstance(m, nn.Conv2d | nn.Linear) for m in model.modules() if hasattr(m, "binary_parameters"))


@pytest.mark.parametrize(
    ("name", "binary"), [(name, True) for name in NAMES] + [(name, False) for name in NAMES if "34" not in name]
)
def test_packed_network_computes_the_same(name, binary):
    size = 32 if side(name) == 32 else 64
    model = calibrated(name, num_classes=10, binary=binary)
    assert_close(model, ImagePreparation(height=size, width=size), count=2)


@pytest.mark.parametrize("options", [{"norm": "layer"}, {"pad_value": 0}, {"pad_value": -1}, {"quantizer": None}])
@pytest.mark.parametrize(
    ("name", "reduced"),
    [("binarynet", {"widths": (16, 32), "hidden": (64,)}), ("resnet20_cifar", {"depths": (2, 1, 1)})],
)
def test_packed_variants_compute_the_same(name, reduced, options):
    model = calibrated(name, **reduced, **options)
    assert_close(model, ImagePreparation(height=32, width=32), count=2)


@pytest.mark.parametrize("options", [{"norm": "layer"}, {"pad_value": 0}, {"pad_value": -1}, {"quantizer": None}])
@pytest.mark.parametrize("name", ["xnornet_alexnet", "reactnet_b"])
def test_packed_variants_of_large_networks_compute_the_same(name, options):
    assert_close(calibrated(name, **options), ImagePreparation(height=64, width=64), count=2)

"""Whole networks with weights of every domain: they export, run and verify, and their files follow the density."""

import pytest
import torch
from torch import nn

from export.compare import scramble
from signbit import nn as binary
from signbit.export import to_graph, verify
from signbit.models import create_model
from signbit.packed import ImagePreparation
from signbit.packed.container import dumps
from signbit.packed.report import inspect

DOMAINS = [
    "twolevel",
    "twolevel(density=0.05)",
    "twolevel(density=0.1,granularity=filter,tails=both)",
    "twolevel(density=0.2,budget=at_most,tails=both)",
    "twolevel(values=learned)",
    "twolevel(values=zero,density=0.05)",
    "twolevel(values=zero_one,density=0.05)",
    "twolevel(values=signs,density=0.05)",
    "ternary",
    "ternary(density=0.05,granularity=filter)",
    "subbit(bits=0.44)",
    "subbit(bits=0.44,scale=none,codebook=frequent)",
    "subbit(bits=0.67,values=closed)",
    "subbit(bits=0.67,density=0.1,granularity=filter)",
    "subbit(bits=0.67,density=0.1,values=signs)",
]
COLOUR = ImagePreparation(height=16, width=16, mode="RGB")
GREY = ImagePreparation(height=28, width=28, mode="L")


def trained(name, image, **options):
    """A network after two steps, so that weights and statistics are no longer those of the start."""
    torch.manual_seed(0)
    model = create_model(name, **options)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        scores = model(torch.randn(4, *image.shape))
        torch.nn.functional.cross_entropy(scores, torch.arange(4)).backward()
        optimizer.step()
    return model.eval()


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_network_on_bits_is_equal_end_to_end(domain):
    model = trained("mnist_mlp", GREY, widths=(64, 64), weight_quantizer=domain)
    graph = to_graph(model, image=GREY)
    found = verify(graph, model=model, samples=32)
    assert found.passed, found.table()
    assert found.network.promise == "equal"
    assert inspect(graph).unpacked == ()


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_residual_network_verifies(domain):
    options = {"widths": (8, 16), "depths": (2, 2), "shortcut": "repeat", "weight_quantizer": domain}
    model = trained("resnet18_cifar", COLOUR, **options)
    found = verify(to_graph(model, image=COLOUR), model=model, samples=16)
    assert found.passed, found.table()


@pytest.mark.parametrize("form", ["twolevel(density={})", "ternary(density={})", "twolevel(values=signs,density={})"])
def test_files_shrink_with_the_density(form):
    sizes = []
    for density in (0.2, 0.1, 0.05, 0.02):
        model = trained("mnist_mlp", GREY, widths=(128, 128), weight_quantizer=form.format(density))
        sizes.append(len(dumps(to_graph(model, image=GREY))))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.55 * sizes[0]


def test_with_swapped_roles_the_other_level_is_listed():
    with pytest.warns(UserWarning, match="the roles are swapped"):
        model = trained("mnist_mlp", GREY, widths=(64,), weight_quantizer="twolevel(density=0.95)")
    graph = to_graph(model, image=GREY)
    assert verify(graph, model=model, samples=16).passed
    rows = [row for row in inspect(graph).rows if row.density is not None]
    assert [row.density for row in rows] == pytest.approx([0.05, 0.05], abs=0.002)


def pooled(weight_quantizer):
    """A max-pool before a batch norm, of which some scales are negative."""
    convs = [
        binary.BinaryConv2d(channels, 16, 3, input_quantizer="sign", weight_quantizer=weight_quantizer)
        for channels in (16, 16)
    ]
    norms = [nn.BatchNorm2d(16), nn.BatchNorm2d(16), nn.BatchNorm2d(16)]
    return nn.Sequential(nn.Conv2d(3, 16, 1), norms[0], convs[0], nn.MaxPool2d(2), norms[1], convs[1], norms[2])


NETWORKS = {
    "mnist_mlp": (GREY, {"widths": (64, 64)}),
    "resnet18_cifar": (COLOUR, {"widths": (8, 16), "depths": (2, 2), "shortcut": "repeat"}),
    "quicknet_small": (ImagePreparation(height=64, width=64), {}),
    "pooled": (COLOUR, {}),
}


@pytest.mark.parametrize("domain", ["twolevel(density=0.1,granularity=filter)", "twolevel", "ternary(scale=none)"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_dense_file_beside_it_is_that_of_signs(name, domain):
    image, options = NETWORKS[name]

    def graph(weights):
        if name == "pooled":
            return to_graph(scramble(pooled(weights)), image=image)
        return to_graph(create_model(name, weight_quantizer=weights, **options).eval(), image=image)

    report, signs = inspect(graph(domain)), inspect(graph("sign"))
    # What turns signs takes the name of the sign behind it, which is then longer.
    spare = 8 if name == "pooled" and "twolevel" in domain else 0
    for size in ("dense_bytes", "int8_bytes", "fp32_bytes"):
        assert 0 <= getattr(report, size) - getattr(signs, size) <= spare
    assert signs.dense_bytes == signs.file_bytes

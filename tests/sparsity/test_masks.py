"""Pruning of torch on top of ours, through training, export and verify."""

from dataclasses import replace

import pytest
import torch
from torch.nn.utils import prune

from signbit.export import to_graph, verify
from signbit.optim import Hybrid, Latent
from signbit.packed import ImagePreparation
from signbit.packed.report import inspect
from signbit.sparsity import Sparsifier, SparsityConfig, adopt_pruning, masked_layers
from sparsity.nets import network, train

IMAGE = ImagePreparation(height=8, width=8, mode="L")


def adam(parameters):
    return torch.optim.Adam(parameters, 1e-2)


def pruned(quantizer, amount=0.9):
    model = network(quantizer)
    for layer in (model[2], model[6]):
        prune.l1_unstructured(layer, "weight", amount)
    return model


def expect_packed(model, density):
    graph = to_graph(model.eval(), image=IMAGE)
    found = verify(graph, model=model, samples=16)
    assert found.passed, found.table()
    assert sum(row.density is not None for row in inspect(graph).rows) >= 2
    for layer in masked_layers(model):
        weight = layer.owner.weight.detach()
        rare = layer.quantizer(weight) == 1 if "Two" in type(layer.quantizer).__name__ else layer.quantizer(weight) != 0
        assert rare.float().mean().item() == pytest.approx(density, abs=2e-3)


@pytest.mark.parametrize("removed", [False, True])
@pytest.mark.parametrize("quantizer", ["ternary", "twolevel", "twolevel(values=learned)"])
def test_torchs_masks_become_ours(quantizer, removed):
    model = pruned(quantizer)
    assert adopt_pruning(model) == ["2", "6"]
    if removed:
        for layer in (model[2], model[6]):
            prune.remove(layer, "weight")
    train(model, Hybrid(model, binary=lambda p: Latent(adam(p)), real=adam), 5)
    expect_packed(model, 0.1)


@pytest.mark.parametrize("method", ["topk", "rigl", "set", "static"])
@pytest.mark.parametrize("quantizer", ["ternary", "twolevel"])
def test_pruned_weights_never_enter(quantizer, method):
    model = pruned(quantizer, 0.5)
    found = Sparsifier(model, SparsityConfig(density=0.1, method=method, every=5), steps=30)
    optimizer = Hybrid(model, binary=lambda p: Latent(adam(p)), real=adam)
    found.follow(optimizer)

    def check():
        assert not any((layer.mask & ~layer.allowed).any() for layer in found.layers)

    train(model, optimizer, 30, watch=check)
    expect_packed(model, 0.1)


@pytest.mark.parametrize("method", ["topk", "static", "set", "rigl"])
@pytest.mark.parametrize("distribution", ["uniform", "erk", "global"])
def test_more_than_pruning_leaves_is_refused(method, distribution):
    settings = SparsityConfig(density=0.05, method=method, distribution=distribution, every=5)
    with pytest.raises(
        ValueError, match=r"torch\.nn\.utils\.prune leaves \d+ for them; prune less, or lower"
    ) as refusal:
        Sparsifier(pruned("ternary", 0.97), settings, steps=30)
    most = float(str(refusal.value).split()[-1])
    found = Sparsifier(pruned("ternary", 0.97), replace(settings, density=most), steps=30)
    assert 0.02 < found.reached() <= 0.15


@pytest.mark.parametrize("distribution", ["uniform", "erk", "global"])
@pytest.mark.parametrize("quantizer", ["ternary", "twolevel"])
def test_a_layer_of_which_pruning_leaves_nothing_is_named(quantizer, distribution):
    model = network(quantizer)
    prune.custom_from_mask(model[6], "weight", torch.zeros_like(model[6].weight))
    with pytest.raises(
        ValueError, match=r"^6: density 0\.05 takes \d+ of its 8192 weights, and torch\S+ leaves 0 .*; prune less$"
    ):
        Sparsifier(model, SparsityConfig(density=0.05, distribution=distribution), steps=30)


@pytest.mark.filterwarnings("ignore:.* above one half")
@pytest.mark.parametrize("quantizer", ["ternary", "twolevel"])
def test_a_global_budget_is_met_whatever_pruning_leaves(quantizer):
    model = network(quantizer)
    prune.l1_unstructured(model[2], "weight", 2303)
    settings = SparsityConfig(density=0.5, distribution="global", method="static")
    found = Sparsifier(model, settings, steps=30)
    assert [int(layer.mask.sum()) for layer in found.layers] == [1, round(0.5 * 10496) - 1]
    full = 8193 if quantizer == "ternary" else 8192
    assert Sparsifier(model, replace(settings, density=full / 10496), steps=30).reached() == full / 10496
    with pytest.raises(ValueError, match=rf"all layers: .* leaves {full} for them; prune less, or lower .* to 0\.78"):
        Sparsifier(model, replace(settings, density=(full + 1) / 10496), steps=30)


def test_a_pattern_that_pruning_breaks_is_refused():
    settings = SparsityConfig(density=0.25, method="static", pattern="1:4")
    with pytest.raises(
        ValueError, match=r"density 0\.25 takes 576 of its 2304 weights, .* leaves \d+ for them; prune less$"
    ):
        Sparsifier(pruned("ternary"), settings, steps=30)


def test_pruned_ternary_weights_stay_zero_without_us():
    model = pruned("ternary")
    train(model, Hybrid(model, binary=lambda p: Latent(adam(p)), real=adam), 5)
    assert not model[2].weight_quantizer(model[2].weight)[model[2].weight_mask == 0].any()
    assert verify(to_graph(model.eval(), image=IMAGE), model=model, samples=16).passed


def test_refuses():
    with pytest.raises(ValueError, match=r"no layer with weights of two or three levels is pruned; call torch\.nn"):
        adopt_pruning(network("ternary"))
    model = network("ternary")
    prune.custom_from_mask(model[2], "weight", torch.zeros_like(model[2].weight))
    with pytest.raises(ValueError, match="2: all 2304 weights are pruned; leave some"):
        adopt_pruning(model)
    with pytest.raises(ValueError, match=r"2: Ternary keeps density=0\.2 itself"):
        adopt_pruning(pruned("ternary(density=0.2)"))

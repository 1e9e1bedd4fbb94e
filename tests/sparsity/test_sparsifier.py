"""Masks that move with the training: every method, both kinds of weights, optimizers with latents and without."""

import copy
from functools import partial

import pytest
import torch

from signbit.optim import BAMSProd, Bop, Bop2ndOrder, FlipCounter, Hybrid, Latent
from signbit.params import named_binary_parameters
from signbit.quantizers import schedule_quantizers
from signbit.sparsity import Sparsifier, SparsityConfig, drop_rate, expected_explored
from sparsity.nets import network, train

adam = partial(torch.optim.Adam, lr=1e-2)
FREE = [("ternary", m) for m in ("static", "set", "rigl", "flips")] + [
    ("twolevel", m) for m in ("static", "set", "rigl")
]
BOPS = [partial(Bop, lr=1e-2, threshold=1e-7), partial(Bop2ndOrder, lr=1e-2, sigma=1e-3, threshold=1e-2)]


def latent(parameters):
    return Latent(adam(parameters))


def sparse(quantizer, method, *, steps=40, every=5, binary=latent, density=0.1, **settings):
    model = network(quantizer)
    found = Sparsifier(model, SparsityConfig(density=density, method=method, every=every, **settings), steps=steps)
    optimizer = Hybrid(model, binary=binary, real=adam)
    found.follow(optimizer)
    return model, optimizer, found


@pytest.mark.parametrize(("quantizer", "method"), [*FREE, ("ternary", "topk"), ("twolevel", "topk")])
@pytest.mark.parametrize("distribution", ["uniform", "erk", "global"])
def test_the_budget_holds(quantizer, method, distribution):
    model, optimizer, found = sparse(quantizer, method, distribution=distribution)
    counts = []
    train(model, optimizer, 40, watch=lambda: counts.append([int(layer.mask.sum()) for layer in found.layers]))
    sizes = [layer.mask.numel() for layer in found.layers]
    assert found.reached() == pytest.approx(0.1, abs=1e-3)
    if distribution == "uniform":
        assert counts[-1] == [round(0.1 * n) for n in sizes]
    else:
        assert counts[-1] != [round(0.1 * n) for n in sizes]
    if distribution == "global":
        assert sum(counts[-1]) == round(0.1 * sum(sizes))
    falling = method in ("topk", "flips")
    assert (counts[0] == counts[-1]) is not falling
    assert all(torch.count_nonzero(layer.quantizer(layer.weight) == 1) <= layer.mask.sum() for layer in found.layers)


@pytest.mark.parametrize("method", ["static", "set", "rigl"])
def test_weights_of_one_size_take_a_global_budget_evenly(method):
    model = network("ternary(surrogate=sign)")
    for _, weight in named_binary_parameters(model):
        weight.data = torch.where(weight < 0, -1.0, 1.0)
    found = Sparsifier(model, SparsityConfig(density=0.1, method=method, distribution="global", every=5), steps=40)
    assert [int(layer.mask.sum()) for layer in found.layers] == [231, 819]  # of 2304 and 8192, a largest one each first


@pytest.mark.parametrize("quantizer", ["ternary", "twolevel"])
def test_topk_at_every_update_is_the_budget_of_the_quantizer(quantizer):
    model, optimizer, found = sparse(quantizer, "topk", every=1, steps=20)
    other = network(f"{quantizer}(density=0.1)")
    reference = Hybrid(other, binary=latent, real=adam)
    for step in range(20):
        schedule_quantizers(model, step / 20)
        schedule_quantizers(other, step / 20)
        train(model, optimizer, 1, first=step)
        train(other, reference, 1, first=step)
    schedule_quantizers(other, 1.0)
    expected = dict(named_binary_parameters(other))
    for name, weight in named_binary_parameters(model):
        assert torch.equal(weight, expected[name])
    assert 0.1 < found.explored() < 1


@pytest.mark.parametrize(("quantizer", "method"), [("ternary", "set"), ("ternary", "rigl"), ("twolevel", "rigl")])
def test_dynamic_masks_exchange_weights_at_constant_size(quantizer, method):
    model, optimizer, found = sparse(quantizer, method, until=0.75)
    masks = [found.layers[0].mask.clone()]
    train(model, optimizer, 40, watch=lambda: masks.append(found.layers[0].mask.clone()))
    moved = [step for step in range(1, 41) if not torch.equal(masks[step], masks[step - 1])]
    assert set(moved) <= set(range(5, 31, 5))
    assert len(moved) >= 4
    assert {int(mask.sum()) for mask in masks} == {int(masks[0].sum())}
    assert 0.1 < found.explored() < 0.3


def test_random_growth_explores_what_the_formula_says():
    model, optimizer, found = sparse("ternary", "set", steps=40, every=2, drop=0.5, until=1.0, density=0.05)
    train(model, optimizer, 40)
    expected = expected_explored(0.05, [drop_rate(q, 20) for q in range(1, 21)])
    assert found.explored() == pytest.approx(expected, abs=0.03)


def test_growth_by_gradient_enters_where_the_loss_falls():
    for quantizer in ("ternary", "twolevel"):
        model, optimizer, found = sparse(quantizer, "rigl", every=1, drop=0.05, drop_end=0.05, until=1.0)
        layer = found.layers[0]
        seen = {}

        def keep(_, __, ___, layer=layer, seen=seen):
            seen["gradient"], seen["mask"] = layer.weight.grad.clone(), layer.mask.clone()

        # Hooks run in order, so that this one, put in front, sees what the sparsifier sees.
        optimizer.register_step_pre_hook(keep)
        optimizer._optimizer_step_pre_hooks.move_to_end(next(iter(optimizer._optimizer_step_pre_hooks)))
        train(model, optimizer, 1)
        entered = layer.mask & ~seen["mask"]
        asks = seen["gradient"].abs() if quantizer == "ternary" else -seen["gradient"]
        stayed_out = ~layer.mask & ~seen["mask"]
        assert entered.any()
        assert asks[entered].min() >= asks[stayed_out].max()
        if quantizer == "ternary":
            code = layer.quantizer(layer.weight)
            assert (code[entered] * seen["gradient"][entered] <= 0).all()


def test_by_gradient_what_the_batch_asks_to_leave_leaves():
    for quantizer in ("ternary", "twolevel"):
        _, _, found = sparse(quantizer, "set", every=1, drop=0.2, drop_end=0.2, until=1.0, criterion="gradient")
        layer = found.layers[0]
        weight, before = layer.weight.detach().clone(), layer.mask.clone()
        layer.weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
        asks = layer.weight.grad * weight.sign() if quantizer == "ternary" else layer.weight.grad.clone()
        found._prepare(None, (None,), {})
        left = before & ~layer.mask
        # What has left may enter again at random, so that a few are missing among the first.
        assert left.any()
        assert asks[left].min() >= asks[before].sort(descending=True).values[before.sum() // 5]


@pytest.mark.parametrize("binary", BOPS)
@pytest.mark.parametrize("method", ["static", "set", "rigl", "flips"])
def test_without_latents_a_masked_weight_neither_flips_nor_counts(binary, method):
    spec = "ternary(scale=none,surrogate=sign)"
    model, optimizer, found = sparse(spec, method, binary=binary, every=4, steps=60)
    flips = FlipCounter(optimizer, named_binary_parameters(model))
    before = [layer.weight.detach().clone() for layer in found.layers]
    masks = [layer.mask.clone() for layer in found.layers]

    def check():
        nonlocal before, masks
        zones = optimizer.members["binary"].dead_zone()
        for index, layer in enumerate(found.layers):
            weight, state = layer.weight.detach(), optimizer.state[layer.weight]
            outside = ~(layer.mask | masks[index])
            assert (weight.abs() == 1).all()
            assert torch.equal(weight[outside], before[index][outside])
            assert not any(state[key][~layer.mask].any() for key in state if isinstance(state[key], torch.Tensor))
            assert zones[layer.weight] <= layer.mask.sum()
            assert torch.equal(layer.quantizer(weight) == 0, ~layer.mask)
        before = [layer.weight.detach().clone() for layer in found.layers]
        masks = [layer.mask.clone() for layer in found.layers]

    moved = []
    train(model, optimizer, 60, watch=lambda: (check(), moved.append(flips.rate())))
    assert any(moved)


def test_without_latents_what_wants_to_flip_leaves():
    model, optimizer, found = sparse("ternary(surrogate=sign)", "set", binary=BOPS[0], every=10, steps=20, drop=0.1)
    train(model, optimizer, 9)
    layer = found.layers[1]
    wish, before = optimizer.state[layer.weight]["momentum"] * layer.weight.detach(), layer.mask.clone()
    train(model, optimizer, 1, first=9)
    left = before & ~layer.mask
    assert left.any()
    assert wish[left].min() >= wish[before & layer.mask].max()


def test_flips_drops_what_flips_often():
    model, optimizer, found = sparse("ternary", "flips", every=40, steps=40, binary=lambda p: Latent(adam(p, lr=0.3)))
    layer = found.layers[1]
    counts = torch.zeros_like(layer.mask, dtype=torch.int64)
    before = layer.weight.detach() < 0

    def count():
        nonlocal before
        counts.add_((layer.weight.detach() < 0) ^ before)
        before = layer.weight.detach() < 0

    train(model, optimizer, 39, watch=count)
    train(model, optimizer, 1, first=39)
    assert counts.max() > 3
    assert counts[layer.mask].max() <= counts[~layer.mask].min() + 1


@pytest.mark.parametrize(("quantizer", "method"), [*FREE, ("twolevel", "topk")])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_training_is_taken_up_again_exactly(quantizer, method, accumulate):
    model, optimizer, found = sparse(quantizer, method)
    train(model, optimizer, 23, accumulate=accumulate)
    saved = copy.deepcopy((model.state_dict(), optimizer.state_dict(), found.state_dict()))
    train(model, optimizer, 17, first=23, accumulate=accumulate)

    other, other_optimizer, other_found = sparse(quantizer, method)
    other.load_state_dict(saved[0])
    other_optimizer.load_state_dict(saved[1])
    other_found.load_state_dict(saved[2])
    train(other, other_optimizer, 17, first=23, accumulate=accumulate)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))
    assert found.explored() == other_found.explored()
    assert found.step == other_found.step == 40


def test_accumulated_batches_move_a_mask_once():
    model, optimizer, found = sparse("ternary", "rigl", steps=20)
    train(model, optimizer, 20, accumulate=3)
    assert found.step == 20


def test_a_member_of_a_hybrid_is_followed_where_step_takes_a_closure():
    model = network("ternary")
    found = Sparsifier(model, SparsityConfig(density=0.1, method="rigl", every=2), steps=10)
    optimizer = Hybrid(model, binary=lambda p: BAMSProd(p, lr=1e-3), real=adam)
    found.follow(optimizer.members["binary"])

    def closure():
        optimizer.zero_grad()
        loss = model(torch.randn(4, 1, 8, 8)).square().mean()
        loss.backward()
        return loss

    for _ in range(10):
        optimizer.step(closure)
    assert found.step == 10
    assert found.explored() > 0.1


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # torch compiles its own autograd functions so
@pytest.mark.parametrize(("quantizer", "method"), [("twolevel", "topk"), ("ternary", "rigl")])
def test_a_compiled_network_sees_its_masks_move(quantizer, method):
    states = []
    for compiled in (False, True):
        model, optimizer, _found = sparse(quantizer, method, every=3, steps=9)
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        train(torch.compile(model, backend="aot_eager") if compiled else model, optimizer, 9)
        states.append(model.state_dict())
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("method", ["topk", "static"])
@pytest.mark.parametrize("pattern", ["1:4", "block:8"])
def test_patterns_hold_at_the_end(method, pattern):
    model, optimizer, found = sparse("ternary", method, pattern=pattern, density=0.25)
    train(model, optimizer, 40)
    for layer in found.layers:
        groups = layer.mask.view(-1, int(pattern.split(":")[1])).sum(1)
        assert set(groups.tolist()) == ({1} if pattern == "1:4" else {0, 8})


def test_equal_weights_of_a_finished_training_get_sizes():
    model = network("ternary")
    with torch.no_grad():
        for _, weight in named_binary_parameters(model):
            weight.copy_(weight.sign())
    signs = [weight.detach().sign() for _, weight in named_binary_parameters(model)]
    Sparsifier(model, SparsityConfig(density=0.1), steps=100)
    for (_, weight), sign in zip(named_binary_parameters(model), signs, strict=True):
        assert torch.equal(weight.detach().sign(), sign)
        assert len(weight.detach().abs().unique()) > 100


def test_refuses():
    build = partial(sparse, "twolevel")
    with pytest.raises(
        ValueError, match=r"density 0\.0002 \(uniform\) is no weight of the 2304 of 2, .* raise the density"
    ):
        build("topk", density=0.0002)
    with pytest.raises(
        ValueError, match=r"sparsity\.every 50 leaves no move of the masks after the density has fallen"
    ):
        build("topk", every=50)
    with pytest.raises(ValueError, match=r"sparsity\.every 50 leaves no move of the masks in 40 updates; lower every"):
        build("rigl", every=50)
    with pytest.raises(ValueError, match="flips counts signs, which weights of two levels do not have"):
        build("flips")
    with pytest.raises(ValueError, match="2: a filter has 144 weights, which is not whole blocks of 32"):
        build("topk", pattern="block:32")
    with pytest.raises(ValueError, match="2: its weight quantizer Ternary tells weights apart by their size"):
        sparse("ternary(surrogate=sign)", "topk", binary=BOPS[0])
    with pytest.raises(ValueError, match="TwoLevel tells weights apart by their size"):
        build("rigl", binary=BOPS[0])
    with pytest.raises(ValueError, match=r"2: Ternary keeps density=0\.1 itself; leave that out"):
        sparse("ternary(density=0.1)", "topk")
    with pytest.raises(ValueError, match="no layer has weights that take a mask; set weight_quantizer"):
        sparse("sign", "topk")
    with pytest.warns(UserWarning, match=r"density=0\.8 is above one half, so the roles are swapped"):
        build("topk", density=0.8)
    _model, optimizer, found = build("rigl")
    with pytest.raises(ValueError, match="a closure computes gradients inside of step, where masks cannot follow"):
        optimizer.step(lambda: torch.zeros(()))
    state = found.state_dict() | {"fired": []}
    with pytest.raises(ValueError, match="the saved fired are of other layers"):
        found.load_state_dict(state)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"density": 0.0}, r"sparsity\.density must be in \(0, 1\], got 0\.0"),
        ({"density": 1.5}, r"sparsity\.density must be in \(0, 1\], got 1\.5"),
        ({"drop": 2.0}, r"sparsity\.drop must be in \(0, 1\], got 2\.0"),
        ({"until": 0.0}, r"sparsity\.until must be in \(0, 1\], got 0\.0"),
        ({"every": 0}, r"sparsity\.every must be >= 1 updates, got 0"),
        ({"method": "gradual"}, r"sparsity\.method must be one of topk, flips, static, set, rigl, got 'gradual'"),
        ({"pattern": "4:2"}, r"sparsity\.pattern must be N:M with 1 <= N < M, such as 2:4, or block:SIZE"),
        ({"density": 0.4, "pattern": "2:4"}, r"sparsity\.density 0\.4 is not that of pattern 2:4; set it to 0\.5"),
        ({"pattern": "block:4", "method": "rigl"}, "pattern block:4 goes with method topk or static"),
    ],
)
def test_refuses_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        SparsityConfig(**settings)


def test_topk_ranks_at_every_update_unless_told_otherwise():
    periods = {method: SparsityConfig(density=0.1, method=method).period for method in ("topk", "flips", "set", "rigl")}
    assert periods == {"topk": 1, "flips": 10, "set": 100, "rigl": 100}
    assert SparsityConfig(density=0.1, every=7).period == 7

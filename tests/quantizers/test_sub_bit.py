"""Codebooks of kernels: the checks of sparse.md §3.1, the budget, and the change of codebooks during training."""

import copy
import itertools

import pytest
import torch

from signbit.nn import BinaryConv2d, BinaryLinear
from signbit.optim import Bop, Hybrid
from signbit.quantizers import SubBit, create_quantizer, group_means, schedule_quantizers, sign
from signbit.quantizers.codebooks import budget_cut, draw, frequent, nearest, numbers, patterns


def weights(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def attached(weight, **options):
    torch.manual_seed(0)
    made = SubBit(**options)
    made.attach(weight)
    return made


def kernels_of(code, taps=9):
    return code.detach().reshape(-1, taps)


def test_numbers_name_patterns():
    every = patterns(torch.arange(512), 9)
    assert torch.equal(numbers(every), torch.arange(512))
    assert patterns(torch.tensor([0b101]), 4).tolist() == [[-1, 1, -1, 1]]
    assert numbers(torch.tensor([0.0, -0.0, -1.0])) == 0b100


def test_the_nearest_pattern_is_that_of_a_search():
    kernels, book = weights(200, 9), patterns(draw(32, 9), 9)
    distance = (kernels[:, None] - book).square().sum(2)
    assert torch.equal(nearest(kernels, book), distance.argmin(1))
    shift = weights(200, seed=1)
    distance = (kernels[:, None] - shift[:, None, None] - book).square().sum(2)
    assert torch.equal(nearest(kernels, book, shift), distance.argmin(1))
    twice = torch.cat([book, book])
    assert nearest(kernels, twice).max() < 32


def test_many_kernels_are_compared_in_parts(monkeypatch):
    kernels, book, shift = weights(100, 9), patterns(draw(16, 9), 9), weights(100, seed=1)
    whole = nearest(kernels, book, shift), budget_cut(kernels[None], book[book.sum(1).argsort()], 300)
    monkeypatch.setattr("signbit.quantizers.codebooks._CHUNK", 16 * 7)
    parts = nearest(kernels, book, shift), budget_cut(kernels[None], book[book.sum(1).argsort()], 300)
    assert all(torch.equal(*pair) for pair in zip(whole, parts, strict=True))


@pytest.mark.parametrize("taps", [4, 9, 25])
def test_drawn_patterns_are_distinct_and_new(taps):
    taken = draw(7, taps)
    more = draw(9, taps, taken=taken)
    assert len({*taken.tolist(), *more.tolist()}) == 16
    assert max(more.tolist()) < 2**taps


def test_frequent_patterns_come_first_and_ties_go_to_the_lower():
    kernels = patterns(torch.tensor([5, 5, 5, 2, 2, 7, 1]), 3)
    assert frequent(kernels, 3).tolist() == [5, 2, 1]
    assert sorted(frequent(kernels, 8).tolist()) == list(range(8))


@pytest.mark.parametrize("options", [{}, {"values": "closed"}, {"codebook": "frequent"}, {"density": 0.1}])
@pytest.mark.parametrize(("bits", "size"), [(0.67, 64), (0.56, 32), (0.44, 16)])
def test_every_kernel_is_in_the_codebook(options, bits, size):
    weight = weights(16, 32, 3, 3)
    made = attached(weight, bits=bits, **options)
    book = made.codewords()
    assert book.shape == (size, 9)
    assert len(numbers(book).unique()) == size
    code = made(weight)
    assert code.shape == weight.shape
    assert torch.isin(numbers(kernels_of(code)), numbers(book)).all()
    assert torch.equal(made.bits(weight), code < 0)


@pytest.mark.parametrize("codebook", ["learned", "frequent"])
def test_all_patterns_are_the_plain_sign(codebook):
    weight = weights(8, 16, 3, 3)
    weight[0, 0] = torch.tensor([[1, 1e-30, -1e-30], [0.0, -0.0, 1e10], [-1, -1e-9, 1e-9]])
    made = attached(weight, bits=1, codebook=codebook, scale="none")
    assert torch.equal(made(weight), sign(weight))
    layer = BinaryConv2d(16, 8, 3, weight_quantizer=f"subbit(bits=1,codebook={codebook},scale=none)")
    plain = BinaryConv2d(16, 8, 3)
    plain.load_state_dict({"weight": layer.weight.detach()})
    x = weights(2, 16, 5, 5, seed=1)
    assert torch.equal(layer(x), plain(x))


def test_signs_have_the_mean_magnitude_of_their_filter():
    weight = weights(4, 8, 3, 3)
    made = attached(weight)
    low, high = made.levels(weight)
    torch.testing.assert_close(high, weight.abs().flatten(1).mean(1))
    assert torch.equal(low, -high)
    assert torch.equal(made.scale(weight), high)
    plain = attached(weight, scale="none")
    assert plain.scale(weight) is None
    assert plain.levels(weight)[1].tolist() == [1] * 4


@pytest.mark.parametrize("granularity", ["layer", "filter"])
@pytest.mark.parametrize("density", [0.5, 0.1, 0.05, 0.02])
def test_a_budget_is_met_within_a_kernel(density, granularity):
    weight = weights(8, 64, 3, 3)
    made = attached(weight, density=density, granularity=granularity)
    code, (low, high) = made(weight), made.levels(weight)
    rows = (weight if granularity == "filter" else weight[None]).flatten(1)
    upper = (code if granularity == "filter" else code[None]).flatten(1) > 0
    missing = round(density * rows.shape[1]) - upper.sum(1)
    assert (missing >= 0).all()
    assert (missing < 9).all()
    for found, expected in zip((low, high), group_means(rows, upper), strict=True):
        assert torch.equal(found, expected.expand(8))


def test_a_budget_is_spent_as_well_as_it_can_be():
    """Of all assignments of patterns with as many ones, the chosen one has the largest product with the weights."""
    book = patterns(torch.tensor([7, 6, 4, 1, 0]), 3)
    book = book[book.sum(1).argsort(stable=True)]
    for seed in range(20):
        kernels = weights(1, 4, 3, seed=seed)
        for budget in range(13):
            cut = budget_cut(kernels, book, budget)
            code = book[nearest(kernels[0], book, cut.expand(4))]
            ones = int((code > 0).sum())
            assert ones <= budget
            best = max(
                (kernels[0] * book[list(choice)]).sum().item()
                for choice in itertools.product(range(5), repeat=4)
                if (book[list(choice)] > 0).sum() == ones
            )
            assert (kernels[0] * code).sum().item() == pytest.approx(best, abs=1e-5)


def test_the_budget_is_annealed():
    weight = weights(8, 64, 3, 3)
    made = attached(weight, density=0.05)
    shares = []
    for progress in (0.0, 0.3, 0.6, 1.0):
        schedule_quantizers(made, progress)
        shares.append((made(weight) > 0).float().mean().item())
    assert shares == pytest.approx([0.5, 0.10625, 0.05, 0.05], abs=0.003)
    schedule_quantizers(made, 1.0)
    assert torch.equal(copy.deepcopy(made)(weight), made(weight))


def test_the_gradient_of_the_weight_is_that_of_a_clipped_sign():
    layer = BinaryConv2d(4, 4, 3, weight_quantizer="subbit(bits=0.67)")
    with torch.no_grad():
        layer.weight.mul_(5)
    weight = layer.weight.detach()
    upstream = weights(2, 4, 3, 3, seed=2)
    layer(weights(2, 4, 5, 5)).backward(upstream)
    quantizer = layer.weight_quantizer
    levelled = (quantizer.levels(weight)[1].view(-1, 1, 1, 1) * quantizer(weight).detach()).requires_grad_()
    torch.nn.functional.conv2d(sign(weights(2, 4, 5, 5)), levelled).backward(upstream)
    alpha = weight.abs().flatten(1).mean(1).view(-1, 1, 1, 1)
    torch.testing.assert_close(layer.weight.grad, alpha * levelled.grad * (weight.abs() <= 1))


def test_patterns_receive_the_gradients_of_their_kernels_now_and_then():
    weight = weights(4, 8, 3, 3).mul(0.3).clamp(-1, 1)
    made = attached(weight, bits=0.44, every=3)
    upstream = weights(4, 8, 3, 3, seed=1)
    for forward in range(1, 7):
        made.zero_grad()
        leaf = weight.clone().requires_grad_()
        made.encode(leaf).code.backward(upstream)
        assert torch.equal(leaf.grad, upstream)
        if forward % 3:
            assert made.patterns.grad is None
            continue
        index = nearest(kernels_of(weight), made.codewords())
        expected = torch.zeros(16, 9).index_add(0, index, kernels_of(upstream))
        torch.testing.assert_close(made.patterns.grad, expected)
    assert made.forwards == 6


def test_a_pattern_keeps_its_sign_around_zero():
    weight = weights(4, 8, 3, 3)
    made = attached(weight, bits=0.44)
    before = made.codewords()
    with torch.no_grad():
        made.patterns[0] = before[0] * -9e-4
        made.patterns[1] = before[1] * -1.1e-3
    assert torch.equal(made.codewords()[0], before[0])
    assert torch.equal(made.codewords()[1], -before[1])
    made.encode(weight)
    with torch.no_grad():
        made.patterns[1] = before[1] * 9e-4
    assert torch.equal(made.codewords()[1], -before[1])


def test_duplicates_are_replaced_and_patterns_limited():
    weight = weights(4, 8, 3, 3)
    made = attached(weight, bits=0.44, every=2)
    with torch.no_grad():
        made.patterns[5:9] = made.patterns[3]
        made.patterns[0] *= 50
    kept = made.codewords()
    made.encode(weight)
    assert len(numbers(made.codewords()).unique()) == 12
    made.encode(weight)
    book = made.codewords()
    assert len(numbers(book).unique()) == 16
    assert torch.equal(book[[0, 1, 2, 3, 4, 9]], kept[[0, 1, 2, 3, 4, 9]])
    assert made.patterns.abs().max() == 3


def test_frequent_patterns_follow_the_weights():
    weight = weights(8, 64, 3, 3)
    made = attached(weight, density=0.05, every=4)
    assert numbers(made.codewords())[0] == 511
    assert (made.codewords() > 0).sum(1).diff().min() >= 0
    other = weights(8, 64, 3, 3, seed=1) * torch.linspace(1, 4, 9).view(3, 3)
    books = [made.codewords()]
    for _ in range(4):
        made.encode(other)
        books.append(made.codewords())
    assert not torch.equal(books[0], books[1])
    assert torch.equal(books[1], books[3])
    assert torch.equal(books[3], books[4])
    assert 511 in numbers(books[4])


def test_nothing_changes_outside_of_training():
    weight = weights(8, 16, 3, 3)
    for options in ({"every": 1}, {"every": 1, "density": 0.1}):
        made = attached(weights(8, 16, 3, 3, seed=1), **options)
        state = copy.deepcopy(made.state_dict())
        made.levels(weight), made.scale(weight), made.bits(weight)
        with torch.no_grad():
            made.encode(weight)
        made.eval().encode(weight)
        assert all(torch.equal(value, state[key]) for key, value in made.state_dict().items())
        made.train().encode(weight)
        assert made.forwards == 1


def test_a_linear_layer_and_a_1x1_convolution_group_their_inputs():
    layer = BinaryLinear(64, 8, weight_quantizer="subbit(bits=0.5)")
    assert layer.weight_quantizer.taps == 8
    assert layer.weight_quantizer.codewords().shape == (16, 8)
    code = layer.weight_quantizer(layer.weight).detach()
    assert len(numbers(kernels_of(code, 8)).unique()) <= 16
    assert layer(weights(3, 64)).shape == (3, 8)
    conv = BinaryConv2d(32, 8, 1, weight_quantizer="subbit(bits=0.5,group=16,density=0.1)")
    assert conv.weight_quantizer.codewords().shape == (256, 16)
    assert conv(weights(3, 32, 2, 2)).shape == (3, 8, 2, 2)


def test_state_returns_with_the_layer():
    torch.manual_seed(0)
    first, second = (BinaryConv2d(8, 8, 3, weight_quantizer="subbit(bits=0.44)") for _ in range(2))
    x = weights(2, 8, 5, 5)
    assert not torch.equal(first(x), second(x))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.eval()(x), second.eval()(x))
    assert set(first.state_dict()) == {
        "weight",
        *(f"weight_quantizer.{name}" for name in ("memory", "forwards", "patterns")),
    }


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SubBit(bits=0), r"bits must be in \(0, 1\], got 0"),
        (lambda: SubBit(codebook="random"), "codebook must be one of learned, frequent"),
        (lambda: SubBit(values="zero"), "values must be one of signs, closed"),
        (lambda: SubBit(every=-1), "every must be >= 0"),
        (lambda: SubBit(density=0.1, codebook="learned"), "use 'frequent'"),
        (lambda: SubBit()(weights(2, 2, 3, 3)), "no codebook until a layer"),
        (lambda: BinaryLinear(60, 2, weight_quantizer="subbit"), "kernels of 8 weights do not divide the 60 inputs"),
        (lambda: BinaryConv2d(2, 2, 5, weight_quantizer="subbit"), r"a codebook of 2\^17 patterns; allowed are"),
        (lambda: BinaryConv2d(2, 2, 3, weight_quantizer="subbit(bits=0.01)"), r"a codebook of 2\^0 patterns"),
        (lambda: BinaryConv2d(1, 2, 3, weight_quantizer="subbit(density=0.01)"), "is no weight"),
        (lambda: attached(torch.ones(2, 2, 3, 3), density=0.1)(torch.ones(2, 2, 3, 3)), "which is one level"),
        (lambda: BinaryConv2d(2, 2, 3, input_quantizer="subbit"), "input_quantizer: SubBit is for weights"),
        (lambda: [q := attached(weights(2, 2, 3, 3)), q.attach(weights(2, 2, 3, 3))], "give each layer its own"),
    ],
)
def test_mistakes_are_answered(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_optimizers_of_signs_are_refused_and_patterns_are_real():
    layer = BinaryConv2d(4, 4, 3, weight_quantizer="subbit")
    with pytest.raises(ValueError, match="SubBit tells weights apart by their size"):
        Hybrid(layer, binary=lambda pairs: Bop(pairs, lr=1e-3), real=torch.optim.Adam)
    assert "density=0.05" in repr(create_quantizer("subbit(density=0.05)"))


@pytest.mark.filterwarnings("ignore")  # torch's own, while it traces
@pytest.mark.parametrize("spec", ["subbit", "subbit(density=0.1)"])
def test_what_is_encoded_ahead_compiles_without_a_break(spec):
    layer, x = BinaryConv2d(8, 8, 3, weight_quantizer=spec).eval(), torch.randn(2, 8, 5, 5)
    expected = layer(x)
    layer.weight_quantizer.ahead = layer.weight_quantizer.encode(layer.weight)
    assert torch.equal(torch.compile(layer, backend="eager", fullgraph=True)(x), expected)


def test_patterns_are_those_of_float32_under_autocast():
    layer = BinaryConv2d(32, 32, 3, weight_quantizer="subbit(density=0.1)").eval()
    expected = layer.weight_quantizer.encode(layer.weight).code
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer.weight_quantizer.encode(layer.weight).code, expected)

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from export.compare import IMAGE, pixels, scramble
from export.test_blocks import SQUARE, Residual
from signbit import nn as binary
from signbit import runtime
from signbit.export import to_graph, verify
from signbit.export.verification import Comparison, Ties
from signbit.packed import Graph, reference, save
from signbit.packed import nodes as n


class Engine:
    """The reference, posing as a native engine with one fault: `wrong(graph, value) -> value`."""

    def __init__(self, graph: Graph, threads: int, isa: str | None, wrong) -> None:
        self.graph, self.threads, self.isa = graph, threads, "pretended" if isa is None else isa
        self._wrong = wrong

    def run(self, batch):
        return self._wrong(self.graph, reference.run(self.graph, batch))


@pytest.fixture
def engine(monkeypatch):
    """Sets the fault of the engine that verify gets."""

    def use(wrong=lambda graph, value: value):
        monkeypatch.setattr(runtime, "compile", lambda graph, *, threads, isa: Engine(graph, threads, isa, wrong))

    use()
    return use


def exact_network() -> nn.Module:
    first, second = binary.BinaryConv2d(3, 8, 3, padding=1), binary.BinaryConv2d(8, 16, 3)
    last = nn.Sequential(nn.Flatten(), binary.BinaryLinear(16 * 8 * 7, 5), nn.BatchNorm1d(5))
    return scramble(nn.Sequential(first, nn.BatchNorm2d(8), second, nn.BatchNorm2d(16), *last))


def real_network() -> nn.Module:
    stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
    blocks = nn.Sequential(Residual(8, 8, 1, nn.Identity(), "identity"), Residual(8, 16, 2, binary.RPReLU(16), "conv"))
    return scramble(nn.Sequential(stem, blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5)))


def test_a_right_engine_passes(engine, tmp_path):
    model = exact_network()
    graph = to_graph(model, image=IMAGE)
    found = verify(save(graph, tmp_path / "model.sbit"), model=model, samples=40)
    assert found.passed
    assert found.native
    assert found.network.promise == "equal"
    assert found.network.samples == 40
    assert found.network.largest_difference == 0
    assert found.torch.agreeing == 40
    assert [check.values > 0 for check in found.nodes] == [True] * len(graph.nodes)
    assert "passed" in found.table()
    assert "random pixels" in found.table()
    assert json.loads(json.dumps(found.dict()))["passed"]


def test_the_reference_itself_proves_nothing_native(engine):
    found = verify(to_graph(exact_network(), image=IMAGE), samples=4, isa="reference")
    assert found.passed
    assert not found.native
    assert "nothing native was compared" in found.table()


def test_float_sums_are_bounded_and_stretches_between_them_are_exact(engine):
    model = real_network()
    found = verify(to_graph(model, image=SQUARE), model=model, batch=pixels(SQUARE, 20))
    checks = {check.name: check for check in found.nodes}
    assert found.passed
    assert found.network.promise == "agree"
    assert found.source == "given images"
    assert {name for name, check in checks.items() if not check.exact} == {"0.0", "1.1.down.0", "1.1.down.1", "2", "4"}
    assert {name for name, check in checks.items() if check.stretch == 0} == {"1.0.add", "1.1.act.shift_out"}


def only(op: type[n.Node], change):
    """A fault in the engine's `op`, alone."""

    def wrong(graph: Graph, value):
        return change(value.copy()) if isinstance(graph.nodes[-1], op) and len(graph.nodes) == 1 else value

    return wrong


def one_off(value):
    value[0, ..., 0] += 1
    return value


@pytest.mark.parametrize("op", [n.BinaryConv, n.Affine, n.Add, n.PReLU])
def test_one_wrong_value_fails_its_node(engine, op):
    engine(only(op, one_off))
    found = verify(to_graph(real_network(), image=SQUARE), samples=4)
    wrong = {check.op for check in found.nodes if not check.passed}
    assert wrong == {op.__name__}
    assert not found.passed
    first = next(check.name for check in found.nodes if check.op == op.__name__)
    assert f"FAILED, first at {first} ({op.__name__})" in found.table()


def test_float_sums_may_differ_within_their_bound_only(engine):
    graph = to_graph(real_network(), image=SQUARE)
    engine(only(n.Conv, lambda value: value * np.float32(1 + 2e-7)))
    found = verify(graph, samples=4)
    assert found.passed
    assert max(check.worst for check in found.nodes) > 0
    engine(only(n.Conv, lambda value: value * np.float32(1 + 1e-3)))
    assert not verify(graph, samples=4).passed
    engine(only(n.Conv, lambda value: value * np.float32(np.nan)))
    assert not verify(graph, samples=4).passed


def test_a_fault_of_fusion_shows_in_its_stretch(engine):
    def wrong(graph: Graph, value):
        fused = len(graph.nodes) > 1 and isinstance(graph.nodes[-1], n.Add)
        return one_off(value.copy()) if fused else value

    engine(wrong)
    found = verify(to_graph(real_network(), image=SQUARE), samples=4)
    assert [check.name for check in found.nodes if not check.passed] == ["1.0.add"]
    assert found.nodes[[c.name for c in found.nodes].index("1.0.add")].stretch == 8 * 8 * 4 // 4


def test_a_wrong_end_fails_the_network(engine):
    engine(lambda graph, value: one_off(value.copy()) if len(graph.inputs) == 1 and graph.image else value)
    found = verify(to_graph(exact_network(), image=IMAGE), samples=4)
    assert all(check.passed for check in found.nodes)
    assert not found.network.passed
    assert not found.passed


def test_another_torch_model_fails(engine):
    other = scramble(exact_network(), seed=3)
    found = verify(to_graph(exact_network(), image=IMAGE), model=other, samples=50)
    assert found.network.passed
    assert not found.torch.passed


def test_ties_are_counted(engine):
    """Red minus green is 0 where they are equal, but another summation may leave a rest of either sign."""
    image = replace(SQUARE, mean=(0.4, 0.4, 0.4), std=(0.2, 0.2, 0.2))
    model = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.BatchNorm2d(2), nn.MaxPool2d(2), binary.Sign()).eval()
    model[0].weight.data.view(2, 3).copy_(torch.tensor([[1.0, -1.0, 0.0], [0.0, 0.0, 0.0]]))
    batch = pixels(image, 4) | 128
    batch[:, 1] = batch[:, 0]
    found = verify(to_graph(model, image=image), batch=batch)
    assert [check.ties for check in found.nodes if check.op == "Sign"] == [4 * 64]


def turned(value):
    """The classes of the first sample in another order."""
    value[0] = np.roll(value[0], 1)
    return value


@pytest.mark.parametrize(
    ("samples", "tied", "passed"), [(4, True, True), (9, True, True), (10, False, True), (4, False, False)]
)
def test_one_tie_among_few_samples_is_no_failure(engine, samples, tied, passed):
    image = replace(SQUARE, mean=(0.4, 0.4, 0.4), std=(0.2, 0.2, 0.2))
    stem = nn.Conv2d(3, 64, 1, bias=False)
    model = nn.Sequential(stem, binary.BinaryConv2d(64, 64, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 5))
    scramble(model)
    stem.weight.data[0] = torch.tensor([1.0, -1.0, 0.0]).view(3, 1, 1)
    batch = pixels(image, samples)
    batch[:, 1] = batch[:, 0] // 2
    if tied:
        batch[0, 1] = batch[0, 0]
    graph = to_graph(model, image=image)
    whole = len(graph.nodes)
    engine(lambda graph, value: turned(value.copy()) if len(graph.nodes) == whole else value)
    found = verify(graph, batch=batch, model=model)
    assert all(check.passed for check in found.nodes)
    assert (found.network.agreeing, found.network.tied) == (samples - 1, int(tied))
    assert found.passed == passed
    assert ("(1 of the others tied)" in found.table()) == tied
    assert ("or all but one tie of fewer than 10" in found.table()) == (samples < 10)


def test_two_ties_among_few_samples_are_a_failure():
    outputs = np.eye(4)
    for wrong, passed in ((1, True), (2, False)):
        found = Comparison(promise="agree")
        got = np.concatenate([np.roll(outputs[:wrong], 1, axis=1), outputs[wrong:]])
        found.add(outputs, got, Ties(np.ones(4, bool), np.zeros(1)))
        assert (found.tied, found.passed) == (wrong, passed)


def test_classes_within_the_bound_of_the_outputs_are_a_tie():
    expected, got = np.array([[1.0, 1.1, 0.0]]), np.array([[1.1, 1.0, 0.0]])
    for bound, passed in ((0.05, True), (0.04, False)):
        found = Comparison(promise="agree")
        found.add(expected, got, Ties(np.zeros(1, bool), np.full(1, bound + 1e-9)))
        assert found.passed == passed


def test_what_cannot_be_verified(engine):
    graph = to_graph(exact_network(), image=IMAGE)
    with pytest.raises(ValueError, match="at least one image"):
        verify(graph, samples=0)
    with pytest.raises(ValueError, match="batch has shape"):
        verify(graph, batch=np.zeros((1, 3, 4, 4), np.uint8))
    bare = Graph(graph.inputs, graph.nodes, graph.output)
    with pytest.raises(ValueError, match="says nothing of how images are normalised"):
        verify(bare, model=exact_network(), samples=1)


@pytest.mark.parametrize("isa", [None, "reference"])
def test_the_engine_of_this_machine(isa):
    for model, image in ((exact_network(), IMAGE), (real_network(), SQUARE)):
        found = verify(to_graph(model, image=image), model=model, samples=16, isa=isa)
        assert found.passed, found.table()
        assert found.native == (isa is None and runtime.isas()[0] != "reference")


def test_coded_weights_and_int8_on_the_engine():
    layers = [nn.Conv2d(3, 64, 3, 2), nn.BatchNorm2d(64), binary.BinaryConv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64)]
    model = scramble(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 5)))
    rare = torch.rand(model[2].weight.shape, generator=torch.Generator().manual_seed(0)) < 0.03
    model[2].weight.data = torch.where(rare, -1.0, 1.0)
    batch = pixels(SQUARE, 8)
    graph = to_graph(model, image=SQUARE, stem="int8", dense="int8", calibration=batch)
    assert [type(graph.node("2").weight).__name__, graph.node("0").weight.dtype] == ["Gaps", np.int8]
    found = verify(graph, model=model, batch=batch)
    assert found.passed, found.table()
    assert found.torch.promise == "none"
    assert not any(check.wrong for check in found.nodes)

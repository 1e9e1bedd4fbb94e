from dataclasses import replace

import numpy as np
import pytest

from signbit import packed
from signbit.benchmark.peers import FLOAT, ONNX, Rivals
from signbit.packed import nodes as n
from signbit.packed import reference


@pytest.fixture
def batch():
    return np.random.default_rng(2).integers(0, 256, (5, 1, 8, 8)).astype(np.uint8)


def test_a_network_that_branches_meets_onnx_runtime(branching_graph, batch):
    pytest.importorskip("onnxruntime")
    with Rivals(branching_graph, ("float", "int8"), threads=1) as rivals:
        notes = rivals.check(lambda pixels: reference.run(branching_graph, pixels), batch)
        calls = rivals.calls(batch)
        shapes = {name: np.shape(call()) for name, call in calls.items()}
        assert rivals.empty_calls().keys() == calls.keys()
    assert shapes == {FLOAT: (5, 10), ONNX: (5, 10)}
    assert "branches" in notes[0]
    assert "equals ours on 5 of 5" in notes[1]


def test_a_twin_that_computes_something_else_is_not_timed(branching_graph, batch):
    with Rivals(branching_graph, ("float",), threads=1) as rivals:
        notes = rivals.check(lambda pixels: reference.run(branching_graph, pixels) + 1, batch)
        assert rivals.calls(batch) == rivals.empty_calls() == {}
    assert notes == ("no twin is timed: the fp32 one equals ours on 0 of 5 images only",)


def test_a_network_without_a_float_counterpart_says_so(branching_graph, batch):
    roll = n.Roll(name="roll", inputs=("bits",), shift=np.array([[1, 0]], np.int8))
    first, left, *rest = branching_graph.nodes
    rolled = (first, roll, replace(left, inputs=("roll",)), *rest)
    graph = packed.Graph(branching_graph.inputs, rolled, branching_graph.output)
    with Rivals(graph, ("float", "int8"), threads=1) as rivals:
        notes = rivals.check(lambda pixels: reference.run(graph, pixels), batch)
        assert rivals.calls(batch) == {}
    assert any(note.startswith("no float twin: node 'roll' is a Roll") for note in notes)
    assert any(note.startswith("no int8 twin") for note in notes)


def test_threads_are_given_back(branching_graph):
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    with Rivals(branching_graph, (), threads=before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before

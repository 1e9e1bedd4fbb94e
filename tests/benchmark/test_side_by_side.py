"""Several models in turns, layer by layer."""

import pytest

from signbit import packed
from signbit.benchmark import compare
from signbit.benchmark.side_by_side import layer_times
from signbit.packed import nodes as n
from signbit.packed.edges import Bits


def test_a_layer_that_one_model_lacks_stands_alone():
    def graph(*names):
        flat = [n.Flatten(name=name, inputs=(source,)) for source, name in zip(("x", *names), names, strict=False)]
        return packed.Graph({"x": Bits((4, 1, 1))}, tuple(flat), names[-1])

    graphs = {"dense": graph("a", "b"), "sparse": graph("a.sum", "a", "extra", "b")}
    nodes = {"dense": {"a": 4.0, "b": 0.0}, "sparse": {"a.sum": 1.0, "a": 2.0, "extra": 5.0, "b": 0.0}}
    assert layer_times(graphs, nodes) == {"a": {"dense": 4.0, "sparse": 3.0}, "extra": {"dense": None, "sparse": 5.0}}


def test_inputs_must_be_alike(tiny_graph):
    other = packed.Graph({"input": packed.Image((3, 8, 8))}, (), "input")
    with pytest.raises(ValueError, match="one and two take different inputs; bench each of them alone"):
        compare({"one": tiny_graph, "two": other})

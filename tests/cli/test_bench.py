"""`signbit bench` through the real `main`."""

from dataclasses import replace

import numpy as np
import pytest

from signbit import packed
from signbit.cli.main import main
from signbit.packed import nodes as n
from signbit.packed.weights import encode_gaps


@pytest.fixture
def sparse(tiny_graph, tmp_path):
    """The same network whose first layer is ternary."""
    nodes = []
    for node in tiny_graph.nodes:
        if node.name != "conv":
            nodes.append(node)
            continue
        minus = np.zeros((16, 9), np.uint8)
        minus[:, 0] = 1
        planes = [replace(node, name=f"conv.{name}", weight=encode_gaps(bits)) for name, bits in (
            ("minus", minus), ("plus", 1 - np.roll(minus, 1, axis=1)))]  # fmt: skip
        nodes += [*planes, n.Add(name="conv", inputs=tuple(plane.name for plane in planes))]
    graph = packed.Graph(tiny_graph.inputs, tuple(nodes), "logits", tiny_graph.image, tiny_graph.labels)
    return packed.save(graph, tmp_path / "sparse.sbit")


def test_models_take_turns_and_layers_stand_in_one_row(model, sparse, call, capsys):
    found = call("bench", model, sparse, "--batch", 1, 3, "--seconds", 0.02, "--isa", "reference")
    names = [str(model), str(sparse)]
    assert [(entry["batch"], entry["model"]) for entry in found["calls"]] == [(b, m) for b in (1, 3) for m in names]
    assert found["bytes"] == {str(path): path.stat().st_size for path in (model, sparse)}
    assert not any(layer.startswith("conv.") and layer != "conv.sign" for layer in found["layers"])
    assert all(time > 0 for time in found["layers"]["conv"].values())
    assert main(["bench", *names, "--seconds", "0.02"]) == 0
    told = capsys.readouterr().out
    assert "x as fast" in told
    assert told.splitlines()[-1].startswith("all ")


def test_bench_without_a_model_says_what_it_needs(capsys):
    assert main(["bench"]) == 2
    assert "needs a packed file, a run or a network" in capsys.readouterr().err

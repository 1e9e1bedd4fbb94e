import subprocess
import sys

import numpy as np
import pytest
from PIL import Image as Pillow

from signbit import runtime
from signbit.packed import ImagePreparation, PackedFileError, reference, save
from signbit.packed import nodes as n
from signbit.packed.edges import Bits, Image, Int, Real
from signbit.packed.graph import Graph
from signbit.packed.weights import encode_dense
from signbit.packed.window import Window


def classifier(labels=("cat", "dog", "eel")):
    rng = np.random.default_rng(0)
    whole = Window(kernel=(4, 4))
    weight = encode_dense(rng.integers(0, 2, (3, 48), dtype=np.uint8))
    scale, offset = np.full(3, 0.001, np.float32), np.zeros(3, np.float32)
    return Graph(
        {"input": Image((3, 4, 4))},
        (
            n.BinaryConv(name="conv", inputs=("input",), window=whole, filters=3, weight=weight),
            n.Affine(name="scaled", inputs=("conv",), scale=scale, offset=offset),
            n.Flatten(name="logits", inputs=("scaled",)),
        ),
        "logits",
        ImagePreparation(height=4, width=4),
        labels,
    )


def test_the_reference_is_always_there_and_last():
    assert runtime.isas()[-1] == "reference"


def test_generic_is_there_with_the_extension(native):
    assert native[-1] == "generic"


@pytest.mark.parametrize("isa", runtime.isas())
def test_load_runs_a_file(tmp_path, isa):
    graph = classifier()
    model = runtime.load(save(graph, tmp_path / "m.sbit"), isa=isa, threads=2)
    assert (model.isa, model.threads) == (isa, 2)
    assert [node.name for node in model.plan] == ["conv", "scaled", "logits"]
    x = np.random.default_rng(1).integers(0, 256, (5, 3, 4, 4), dtype=np.uint8)
    np.testing.assert_array_equal(model.run(x), reference.run(graph, x))
    np.testing.assert_array_equal(model.run(x.astype(np.float32) / 255), model.run(x))
    assert model.run(x[:0]).shape == (0, 3)
    times = model.profile(x, repeats=3)
    assert [t.name for t in times] == ["conv", "scaled", "logits"]
    assert times[0].microseconds > 0


@pytest.mark.parametrize("isa", runtime.isas())
def test_predict_ranks_the_classes(tmp_path, isa):
    path = tmp_path / "image.png"
    pixels = np.random.default_rng(2).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Pillow.fromarray(pixels).save(path)
    model = runtime.compile(classifier(), isa=isa)
    predictions = model.predict(path, top=2)
    logits = model.run(pixels.transpose(2, 0, 1)[None])[0].astype(np.float64)
    scores = np.exp(logits) / np.exp(logits).sum()
    assert [p.label for p in predictions] == [("cat", "dog", "eel")[i] for i in np.argsort(-scores)[:2]]
    assert predictions[0].score == pytest.approx(scores.max())
    assert predictions == model.predict(Pillow.open(path), top=2)
    assert len(model.predict(path)) == 3
    assert {p.label for p in runtime.compile(classifier(()), isa=isa).predict(path)} == {0, 1, 2}


def test_predict_refuses_what_is_no_image(tmp_path):
    model = runtime.compile(classifier())
    with pytest.raises(ValueError, match="does not exist"):
        model.predict(tmp_path / "none.png")
    with pytest.raises(ValueError, match="top must be >= 1, got 0"):
        model.predict(tmp_path / "none.png", top=0)
    bare = runtime.compile(Graph({"x": Real((3,))}, (), "x"))
    with pytest.raises(ValueError, match="does not say how to prepare an image"):
        bare.predict(tmp_path / "none.png")


def test_the_environment_forces_an_instruction_set(monkeypatch):
    for isa in runtime.isas():
        monkeypatch.setenv("SIGNBIT_ISA", isa)
        assert runtime.compile(classifier()).isa == isa
    monkeypatch.setenv("SIGNBIT_ISA", "avx513")
    with pytest.raises(ValueError, match=r"SIGNBIT_ISA 'avx513' is not usable here; there is .*reference"):
        runtime.compile(classifier())
    assert runtime.compile(classifier(), isa="reference").isa == "reference"


def test_an_unknown_instruction_set_names_what_there_is():
    with pytest.raises(ValueError, match=r"isa 'referense' is not usable here; there is .*, reference$"):
        runtime.compile(classifier(), isa="referense")


@pytest.mark.parametrize("threads", [0, -1, 257])
def test_threads_are_checked(threads):
    with pytest.raises(ValueError, match=f"threads must be 1..256, got {threads}"):
        runtime.compile(classifier(), threads=threads)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(PackedFileError, match="does not exist"):
        runtime.load(tmp_path / "none.sbit")


@pytest.mark.parametrize("isa", runtime.isas())
def test_inputs_are_checked(isa):
    model = runtime.compile(classifier(), isa=isa)
    with pytest.raises(ValueError, match="expected"):
        model.run(np.zeros((1, 3, 4, 5), np.uint8))
    with pytest.raises(ValueError, match=r"within 0\.\.1"):
        model.run(np.full((1, 3, 4, 4), 7, np.float32))
    with pytest.raises(ValueError, match="takes an array"):
        model.run({"input": [1, 2, 3]})
    with pytest.raises(ValueError, match="no batch for input 'input'"):
        model.run({"x": np.zeros((1, 3, 4, 4), np.uint8)})
    with pytest.raises(ValueError, match="repeats must be >= 1, got 0"):
        model.profile(np.zeros((1, 3, 4, 4), np.uint8), repeats=0)


@pytest.mark.parametrize("isa", runtime.isas())
def test_several_inputs_are_a_mapping(isa):
    graph = Graph({"a": Int((2,), 0, 9), "b": Int((2,), 0, 9)}, (n.Add(name="y", inputs=("a", "b")),), "y")
    model = runtime.compile(graph, isa=isa)
    a = np.array([[1, 2], [3, 4]], np.int32)
    np.testing.assert_array_equal(model.run({"b": a, "a": a}), 2 * a)
    with pytest.raises(ValueError, match="the graph has the inputs a, b; give a mapping"):
        model.run(a)
    with pytest.raises(ValueError, match="differ in batch size"):
        model.run({"a": a, "b": a[:1]})
    with pytest.raises(ValueError, match="input 'a': expected int32"):
        model.run({"a": a.astype(np.int64), "b": a})


@pytest.mark.parametrize("isa", runtime.isas())
def test_the_output_may_be_an_input(isa):
    x = np.array([[1, -1, 1]], np.int8)
    np.testing.assert_array_equal(runtime.compile(Graph({"x": Bits((3,))}, (), "x"), isa=isa).run(x), x)


def test_torch_is_never_loaded():
    code = "import sys, signbit.runtime; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_still_runs(native):
    os = pytest.importorskip("os")
    if not hasattr(os, "fork"):
        pytest.skip("no fork here")
    model = runtime.compile(classifier(), threads=3)
    x = np.random.default_rng(1).integers(0, 256, (64, 3, 4, 4), dtype=np.uint8)
    expected = model.run(x)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(model.run(x), expected) else 1)
    assert os.waitpid(child, 0)[1] == 0

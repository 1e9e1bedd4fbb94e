import json

import numpy as np
import pytest
from PIL import Image

import graphs
from signbit import packed
from signbit.cli.main import main


@pytest.fixture(scope="session")
def tiny_graph():
    return graphs.tiny()


@pytest.fixture
def model(tiny_graph, tmp_path):
    return packed.save(tiny_graph, tmp_path / "tiny.sbit")


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "digit.png"
    pixels = np.random.default_rng(1).integers(0, 256, (8, 8)).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
    """A run directory after one epoch on the digits."""
    pytest.importorskip("lightning")
    pytest.importorskip("sklearn")
    path = tmp_path_factory.mktemp("runs") / "digits"
    words = ["train", "digits", "--epochs", "1", "--threads", "1", "--run", str(path)]
    assert main(words) == 0
    return path


@pytest.fixture
def call(capsys):
    """Runs a command line; returns what it printed as an object."""

    def run(*words, code=0):
        capsys.readouterr()
        assert main([*map(str, words), "--json"]) == code
        return json.loads(capsys.readouterr().out)

    return run

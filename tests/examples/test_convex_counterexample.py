import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "convex_counterexample.py"
spec = importlib.util.spec_from_file_location("convex_counterexample", SCRIPT)
example = importlib.util.module_from_spec(spec)
spec.loader.exec_module(example)
TABLE = {
    "Adam": (0.6667, 1.3333, 5.3333),
    "AMSGrad": (0.0381, 0.0361, 0.0615),
    "SGD": (0.0043, 0.0024, 0.0012),
    "Bop, γ .01": (0.0002, 0.0003, 0.0007),
    "Bop, γ .9": (1.3333, 2.0, 6.6667),
    "AMSGrad, |g| ≤ 1": (0.6667, 1.3333, 5.3333),
    "BAMSProd*, κ 3": (0.0381, 0.0361, 0.0615),
    "BAMSProd*, κ .5": (0.6667, 1.3333, 0.1169),
}


@pytest.fixture
def table(monkeypatch, capsys):
    """Runs the script: method → regret and weight for each C, as it prints them."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
        example.main()
        lines = capsys.readouterr().out.splitlines()
        return {line[:18].strip(): [float(word) for word in line[18:].split()] for line in lines[2:]}

    return run


def test_a_short_run_shows_who_moves(table):
    found = table("--steps", "90")
    assert list(found) == list(TABLE)
    for name, (_, first, _, second, _, third) in found.items():
        assert (first < 0) == (name == "Bop, γ .01")
        stuck = name in ("Adam", "Bop, γ .9", "AMSGrad, |g| ≤ 1")
        assert ((first, second, third) == (1, 1, 1)) == stuck
    assert found["Adam"][::2] == pytest.approx(TABLE["Adam"], abs=1e-4)


def test_the_plot(table, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is absent: install signbit[report]")
    table("--steps", "9", "--plot", str(tmp_path / "plot.png"))
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", TABLE)
def test_the_table(name):
    method = next(method for method in example.METHODS if method.name == name)
    path, regrets = example.play(method, 30_000)
    assert regrets[-1].tolist() == pytest.approx(TABLE[name], abs=1e-4)
    if TABLE[name] == TABLE["AMSGrad"]:
        assert path[-1].tolist() == pytest.approx([-0.9996, -0.9997, -0.9999], abs=1e-4)

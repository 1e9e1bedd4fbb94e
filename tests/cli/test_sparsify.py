"""signbit sparsify: from a dense run to a sparse one and its file, through the real `main`."""

import json
import re
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from signbit import packed, recipes
from signbit.cli import sparsify
from signbit.cli.main import main
from signbit.packed.report import inspect
from signbit.recipes.tuned import bop
from signbit.training import LossConfig


@pytest.mark.parametrize("values", ["ternary", "twolevel", "subbit", "ternary(density=0.1)"])
def test_a_dense_run_becomes_a_sparse_file(digits_run, tmp_path, capsys, values):
    file = tmp_path / "small.sbit"
    words = ["--density", "0.1", "--values", values, "--epochs", "2", "--run", tmp_path / "sparse", "--out", file]
    assert main(["sparsify", *map(str, [digits_run, *words]), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verified"]
    # A budget of kernels is missed by less than one, and the smallest layer has 144 weights.
    assert found["density"] == pytest.approx(0.1, abs=5e-3)
    assert found["bytes"]["sparse"] == file.stat().st_size
    assert found["smaller"] > 1
    assert 0 < found["accuracy"]["sparse"] < 1
    assert found["times"].keys() == {"dense", "sparse"}
    report = inspect(packed.load(file))
    assert max(row.density for row in report.rows if row.density is not None) <= 0.12
    assert (report.dense_bytes, report.file_bytes) == (found["bytes"]["dense"], found["bytes"]["sparse"])
    assert main(["eval", str(tmp_path / "sparse"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == found["accuracy"]["sparse"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "--density is missing: the fraction of the weights that take the rarer level, such as 0.05"),
        (["--density", "1.5"], "sparsity.density must be in (0, 1], got 1.5"),
        (["--density", "0.1", "--method", "gmp"], "--method must be one of topk, flips, static, set, rigl, got 'gmp'"),
        (
            ["--density", "0.1", "--distribution", "all"],
            "--distribution must be one of uniform, global, erk, got 'all'",
        ),
        (["--density", "0.1", "--batch", "0"], "--batch must be at least 1, got 0"),
        (["--density", "0.1", "--batch", f"{10**13}"], "of free memory hold, got 10000000000000"),
        (["--density", "0.1", "--batch", f"{10**20}"], "of free memory hold, got 100000000000000000000"),
        (
            ["--density", "0.1", "--values", "trinary"],
            "values (--values) must be one of twolevel, ternary, signs, subbit, or a quantizer with a budget, got "
            "'trinary': unknown quantizer 'trinary'; did you mean ternary",
        ),
        (["--density", "0.1", "--values", "ede"], "or a quantizer with a budget, got 'ede'"),
        (
            ["--density", "0.1", "--values", "ternary(density=0.2)"],
            "ternary(density=0.2) keeps its budget itself, which takes distribution uniform, method topk and no second "
            "one, got uniform, topk and 0.1",
        ),
        (["--density", "0.1", "--values", "subbit", "--method", "rigl"], "no second one, got uniform, rigl and 0.1"),
        (
            ["--density", "0.1", "--values", "subbit", "--sparsity.every", "5"],
            "--sparsity.every is of masks, and subbit keeps its budget itself; leave it out",
        ),
        (["--density", "0.1", "--sparsity.density", "0.2"], "--sparsity.density is what --density says; leave it out"),
        (["--density", "0.1", "--threads", "0"], "--threads must be 1..256, got 0"),
        (["--density", "0.1", "--out", "/nowhere/x.sbit"], "--out '/nowhere/x.sbit': the folder '/nowhere' does not"),
        (["--density", "0.1", "--out", "/"], "--out '/' is a folder; name a file, such as '/model.sbit'"),
        (["--density", "1e-6"], "density 1e-06 (uniform) is no weight of the"),
        (["--density", "0.1", "--sparsity.pattern", "1:4"], "sparsity.density 0.1 is not that of pattern 1:4"),
        (["--density", "0.1", "--every", "5"], "unknown key 'every'; did you mean"),
    ],
)
def test_one_sentence_for_every_mistake(digits_run, tmp_path, capsys, words, sentence):
    assert main(["sparsify", str(digits_run), *words, "--run", str(tmp_path / "sparse")]) == 2
    told = capsys.readouterr().err.strip()
    assert sentence in told
    assert "\n" not in told
    assert not (tmp_path / "sparse").exists()


def test_what_the_timed_call_lacks_is_said_before_the_training(digits_run, tmp_path, monkeypatch, capsys):
    words = ["sparsify", str(digits_run), "--density", "0.1", "--run", str(tmp_path / "sparse")]

    def told(*more):
        assert main([*words, *more]) == 2
        assert not (tmp_path / "sparse").exists()
        return capsys.readouterr().err

    # 64 pixels and 10 sums of 4 bytes an image.
    monkeypatch.setattr(sparsify, "free_memory", lambda: 1_000_000)
    limit = "signbit: --batch must be 1..9615, as many images as 1.0 MB of free memory hold, got 9616\n"
    assert told("--batch", "9616") == limit
    # As where nothing says what is free.
    monkeypatch.setattr(sparsify, "free_memory", lambda: sys.maxsize)
    assert "--batch 10000000000000 images a call take more memory than there is" in told("--batch", f"{10**13}")
    monkeypatch.setenv("SIGNBIT_ISA", "mmx")
    assert "mmx" in told()


def test_more_than_half_of_the_weights_is_said_as_less(digits_run, tmp_path, capsys):
    made = tmp_path / "of two words"
    words = ["--density", "0.7", "--values", "twolevel", "--epochs", "1", "--run", made, "--out", made / "my.sbit"]
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert main(["sparsify", *map(str, [digits_run, *words])]) == 0
    told = capsys.readouterr()
    assert re.search(r": (29|30)\.\d\d% of the weights take the rarer level, 1 epoch in ", told.out)
    assert "optimizer adam: bop2ndorder keeps weights of ±1, which have no sizes" in told.out
    assert f"signbit inspect '{made / 'my.sbit'}'; " in told.out
    assert (made / "my.sbit").is_file()
    warned = [line for line in told.err.splitlines() if "above one half" in line]
    assert warned == [
        "signbit: warning: density=0.7 is above one half, so the roles are swapped: low is the rarer level, which 0.3 "
        "of the weights take, and which packed files list"
    ]


def test_a_run_that_is_not_there(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["sparsify", "nowhere", "--density", "0.1"]) == 2
    assert "run directory 'nowhere' does not exist" in capsys.readouterr().err


def test_the_recipe_of_a_sparse_run():
    dense, run = recipes.get("digits"), Path("runs/dense")
    assert dense.optim.name == "bop2ndorder"
    made = recipes.sparse_recipe(dense, run, density=0.1)
    assert (made.start, made.epochs, made.optim.name) == ("runs/dense", 15, "adam")
    assert made.optim == recipes.get("digits", "adam").optim
    assert made.model.options["weight_quantizer"] == "ternary"
    kept = recipes.sparse_recipe(dense, run, density=0.1, method="rigl")
    assert kept.optim == dense.optim
    assert kept.model.options["weight_quantizer"] == "ternary(surrogate=sign)"
    kept = recipes.sparse_recipe(dense, run, density=0.1, method="rigl", values="ternary(scale=none)")
    assert kept.model.options["weight_quantizer"] == "ternary(surrogate=sign, scale=none)"
    two = recipes.sparse_recipe(dense, run, density=0.1, method="rigl", values="twolevel", epochs=3)
    assert (two.optim.name, two.epochs) == ("adam", 3)
    budget = recipes.sparse_recipe(dense, run, density=0.1, values="subbit(bits=0.56)")
    assert (budget.sparsity.density, budget.optim.name) == (None, "adam")
    assert budget.model.options["weight_quantizer"] == "subbit(density=0.1, bits=0.56)"
    untuned = replace(dense, name="mine", optim=bop(lr=1e-3, threshold=1e-7), loss=LossConfig(distribution=1.0))
    made = recipes.sparse_recipe(untuned, run, density=0.1, values="twolevel(values=learned)")
    assert (made.optim.options["lr"], made.teacher) == (3e-3, "runs/dense")
    assert made.model.options["weight_quantizer"] == "twolevel(values=learned)"


def test_weights_on_pixels_stay_as_they_are():
    dense = recipes.get("binarynet-small-cifar10")
    assert recipes.sparse_recipe(dense, Path("run"), density=0.1).model.options["stem_quantizer"] == "sign"
    assert "stem_quantizer" not in recipes.sparse_recipe(recipes.get("digits"), Path("run"), density=0.1).model.options
    chosen = replace(dense, model=replace(dense.model, options={"stem_quantizer": "same"}))
    assert recipes.sparse_recipe(chosen, Path("run"), density=0.1).model.options["stem_quantizer"] == "same"

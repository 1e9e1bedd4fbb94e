"""Masks in a recipe: budgets, resuming, hand-over and export."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor

from signbit.export import to_graph, verify
from signbit.params import named_binary_parameters
from signbit.quantizers import sign
from signbit.recipes.tuned import adam, bop
from signbit.sparsity import SparsityConfig, masked_layers
from signbit.training import ModelConfig, Recipe, Result, load_run, override, read_metrics, resume, train
from signbit.training.run import read_checkpoint


@pytest.fixture
def sparse(recipe: Recipe) -> Recipe:
    return replace(
        recipe,
        model=ModelConfig(name="digits_cnn", options={"weight_quantizer": "ternary(surrogate=sign)"}),
        optim=adam(lr=1e-2),
        sparsity=SparsityConfig(density=0.1, method="rigl", distribution="erk", every=5),
    )


class Break(Callback):
    """Ends a training in the midst of an epoch, as a crash would."""

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        if trainer.global_step == 17:
            raise KeyError("crash")


def weights(run: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = read_checkpoint(run / "checkpoints" / "last.ckpt")["state_dict"]
    return found


def expect_verified(path: Path) -> None:
    run = load_run(path)
    assert verify(to_graph(run.model, image=run.image), model=run.model, samples=32).passed


def test_a_run_says_what_it_holds_and_has_explored_and_packs(sparse: Recipe, tmp_path: Path) -> None:
    result = train(sparse, tmp_path / "run", progress=False)
    lines = read_metrics(result.path)
    assert [line["density"] for line in lines] == pytest.approx([0.1, 0.1], abs=1e-3)
    assert 0.1 < lines[0]["explored"] <= lines[1]["explored"] < 0.5
    shares = [layer.mask.float().mean().item() for layer in masked_layers(load_run(result.path).model)]
    assert max(shares) > 1.2 * min(shares)
    expect_verified(result.path)


@pytest.mark.parametrize("method", ["rigl", "set", "topk", "flips"])
def test_a_run_goes_on_exactly(sparse: Recipe, tmp_path: Path, method: Any) -> None:
    whole = replace(
        sparse, sparsity=replace(sparse.sparsity, method=method), checkpoint_steps=6, accumulate=2, batch_size=25
    )
    train(whole, tmp_path / "whole", progress=False)
    with pytest.raises(KeyError, match="crash"):
        train(whole, tmp_path / "broken", progress=False, callbacks=(Break(),))
    resume(tmp_path / "broken", progress=False)
    first, second = weights(tmp_path / "whole"), weights(tmp_path / "broken")
    assert all(torch.equal(first[name], second[name]) for name in first.keys() | second.keys())
    lines = [
        [(line["train_loss"], line["density"], line["explored"]) for line in read_metrics(tmp_path / name)]
        for name in ("whole", "broken")
    ]
    assert lines[0] == lines[1]


@pytest.mark.parametrize("method", ["set", "rigl", "static", "flips"])
def test_bop_trains_ternary_weights(sparse: Recipe, tmp_path: Path, method: Any) -> None:
    settings = SparsityConfig(density=0.2, method=method, every=5)
    result = train(
        replace(sparse, optim=bop(lr=1e-2, threshold=1e-7), sparsity=settings), tmp_path / "run", progress=False
    )
    assert result.metrics["density"] == pytest.approx(0.2, abs=1e-3)
    model = load_run(result.path).model
    for layer in masked_layers(model):
        assert torch.equal(layer.quantizer(layer.weight), sign(layer.weight) * layer.mask)
    assert result.metrics["flip_ratio"] > 0
    expect_verified(result.path)


@pytest.mark.parametrize("quantizer", ["twolevel", "ternary"])
def test_a_dense_run_is_where_a_sparse_one_begins(
    sparse: Recipe, trained: Result, tmp_path: Path, quantizer: str
) -> None:
    later = replace(
        sparse,
        model=ModelConfig(name="digits_cnn", options={"weight_quantizer": quantizer}),
        start=str(trained.path),
        optim=adam(lr=1e-9),
        sparsity=SparsityConfig(density=0.1, every=5),
    )
    result = train(later, tmp_path / "run", progress=False)
    dense = dict(named_binary_parameters(load_run(trained.path).model))
    for name, weight in named_binary_parameters(load_run(result.path).model):
        # The dense run was Bop's, so that sizes are drawn, and signs stay.
        assert torch.equal(sign(weight), dense[name])
    assert result.metrics["density"] == pytest.approx(0.1, abs=1e-3)
    again = replace(sparse, start=str(tmp_path / "run"), model=later.model, sparsity=later.sparsity)
    assert train(again, tmp_path / "again", progress=False).metrics["density"] == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sparsity.density", "1.5"], r"sparsity\.density must be in \(0, 1\], got 1\.5"),
        (["--sparsity.every", "0"], r"sparsity\.every must be >= 1 updates, got 0"),
        (["--sparsity.method", "gmp"], r"sparsity\.method must be one of 'topk', 'flips', .* got gmp"),
        (["--sparsity.drop", "0"], r"sparsity\.drop must be in \(0, 1\], got 0"),
        (["--sparsity.drops", "0.3"], r"unknown key 'sparsity\.drops'; did you mean sparsity\.drop"),
        (["--sparsity.pattern", "4:2", "--sparsity.method", "topk"], r"sparsity\.pattern must be N:M with 1 <= N < M"),
        (["--sparsity.every", "100"], r"sparsity\.every 100 leaves no move of the masks in 48 updates; lower every"),
        (
            ["--sparsity.density", "1e-5"],
            r"density 1e-05 \(erk\) is no weight of the 18432 of stage0.conv, whose density would",
        ),
        (
            ["--model.options.weight_quantizer", "sign"],
            r"sparsity\.density 0\.1: no layer has weights that take a mask",
        ),
        (
            ["--model.options.weight_quantizer", "ternary(density=0.2)"],
            r"sparsity\.density 0\.1: .*: Ternary keeps density=0\.2 itself; leave that out",
        ),
        (
            ["--sparsity.pattern", "block:100", "--sparsity.method", "topk", "--sparsity.distribution", "uniform"],
            r"a filter has 288 weights, which is not whole blocks of 100; take a size that divides 288",
        ),
        (
            ["--sparsity.method", "topk", "--optim.name", "bop", "--optim.options", "{}", "--optim.schedules", "{}"],
            r"its weight quantizer Ternary tells weights apart by their size, and Bop keeps only signs",
        ),
    ],
)
def test_refuses(sparse: Recipe, tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train(override(sparse, words), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_swapped_roles_are_said(sparse: Recipe, tmp_path: Path) -> None:
    words = ["--model.options.weight_quantizer", "twolevel", "--sparsity.density", "0.8", "--sparsity.method", "topk"]
    swapped = override(sparse, [*words, "--sparsity.distribution", "uniform", "--epochs", "1"])
    with pytest.warns(UserWarning, match=r"density=0\.8 is above one half, so the roles are swapped"):
        train(swapped, tmp_path / "run", progress=False)
    expect_verified(tmp_path / "run")

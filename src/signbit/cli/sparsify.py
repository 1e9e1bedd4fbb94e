"""Makes a trained network sparse: a new run that begins with its weights, and a packed file, verified.

The weights become ternary, or take two levels {a, b} of which one is rare (twolevel; signs: -1 and +1; subbit: every
kernel is one of a few patterns of them), and the density falls to its target while the network goes on learning.
Accuracy, bytes and the time of a call are shown beside those of the dense network. Every key of the run's recipe can be
set by its dotted name, such as --sparsity.every 50 or --optim.options.lr 1e-3.
"""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from signbit import packed
from signbit.benchmark import Timing, interleaved
from signbit.cli.errors import UserError, require
from signbit.cli.output import Output, command
from signbit.cli.progress import working
from signbit.cli.sources import RUN_HELP, run_path
from signbit.machine import free_memory
from signbit.packed.bits import Array
from signbit.runtime.model import MAX_THREADS
from signbit.text import count, duration, size, table
from signbit.wording import check_choice

if TYPE_CHECKING:
    from signbit.sparsity import Distribution, Method
    from signbit.training import Recipe

OVERRIDES = "keys of the recipe"
KEYS = {
    "sparsity.density": "--density",
    "sparsity.distribution": "--distribution",
    "sparsity.method": "--method",
    "model.options.weight_quantizer": "--values",
}
"""Keys that have an option of their own here."""


@dataclass(frozen=True, kw_only=True)
class Sparsified:
    """A sparse run and its packed file beside the dense one: what stands for both is by "dense" and "sparse".

    Attributes:
        source: the dense run.
        run: the sparse one.
        file: its packed model.
        density: share of the packed weights that take the rarer level, or are not 0.
        ternary: whether the weights are of three values.
        explored: share of the weights that were ever in use, where masks move.
        optimizer: of the sparse run.
        replaced: the optimizer of the dense run, where the sparse one cannot use it.
        epochs: that were trained.
        seconds: time of training.
        accuracy: of both on the test images.
        bytes: of both packed files.
        times: of a call of both.
        batch: images of a call.
        threads: of a call.
        isa: kernels of a call.
        verified: whether the packed file passed its proof.
    """

    source: Path
    run: Path
    file: Path
    density: float
    ternary: bool
    explored: float | None
    optimizer: str
    replaced: str | None
    epochs: int
    seconds: float
    accuracy: dict[str, float]
    bytes: dict[str, int]
    times: dict[str, Timing]
    batch: int
    threads: int
    isa: str
    verified: bool

    @property
    def smaller(self) -> float:
        """How many times as small the file is."""
        return self.bytes["dense"] / self.bytes["sparse"]

    @property
    def faster(self) -> float:
        """How many times as fast a call is."""
        return self.times["dense"].median / self.times["sparse"].median

    def dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        times = {name: vars(timing) for name, timing in self.times.items()}
        return {**vars(self), "times": times, "smaller": self.smaller, "faster": self.faster}

    def text(self) -> str:
        """Everything, for people."""
        difference = f"{self.accuracy['sparse'] - self.accuracy['dense']:+.2%}"
        call = f"{count(self.batch, 'image')} a call, {self.isa}"
        medians = (duration(timing.median) for timing in self.times.values())
        rows = [
            ("test accuracy", *(f"{value:.2%}" for value in self.accuracy.values()), difference),
            ("bytes", *(size(value) for value in self.bytes.values()), _ratio(self.smaller, "smaller", "larger")),
            (call, *medians, _ratio(self.faster, "faster", "slower")),
        ]
        rare = "are not 0" if self.ternary else "take the rarer level"
        failed = f"failed; {command('verify', self.file, '--run', self.run)} says where"
        following = ("inspect", self.file), ("bench", self.source, self.file), ("compare", self.source, self.run)
        lines = [
            f"{self.run}: {self.density:.2%} of the weights {rare}, "
            f"{count(self.epochs, 'epoch')} in {duration(self.seconds)}",
            table(("", "dense", "sparse", ""), rows),
            f"{self.file}: verify {'passed' if self.verified else failed}",
            f"next: {'; '.join(command(*words) for words in following)}",
        ]
        if self.replaced is not None:
            kept = f"{self.replaced} keeps weights of ±1, which have no sizes"
            lines.insert(1, f"optimizer {self.optimizer}: {kept}")
        return "\n".join(lines)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `signbit sparsify`; all others are keys of the recipe."""
    parser.add_argument("source", metavar="run", help=RUN_HELP)
    parser.add_argument("--density", type=float, help="fraction of the weights that take the rarer level, in (0, 1]")
    # Not `values`, which is a method of jsonargparse's namespaces.
    parser.add_argument(
        "--values",
        dest="levels",
        metavar="VALUES",
        default="ternary",
        help="ternary, twolevel, signs, subbit, or a quantizer such as subbit(bits=0.56)",
    )
    parser.add_argument("--distribution", default="uniform", help="of the density among layers: uniform, erk, global")
    parser.add_argument("--method", default="topk", help="topk, flips, static, set or rigl (docs/sparse.md)")
    parser.add_argument("--epochs", type=int, help="of the new run; default: half of those of the old one")
    parser.add_argument("--run", help="directory to make; default: the next free one under runs/")
    parser.add_argument("--out", help="the packed file to write; default: model.sbit in the new run")
    parser.add_argument("--batch", type=int, default=1, help="random images a call, for the times")
    parser.add_argument("--threads", type=int, default=1, help="threads of a call, for the times")


def run(options: argparse.Namespace) -> Output:
    """The findings of `sparsify` as text."""
    source = run_path(options.source)
    _check(options)
    require("lightning", "training")
    from signbit.cli.train import free_run
    from signbit.sparsity import Distribution, Method

    check_choice("--distribution", options.distribution, Distribution)
    check_choice("--method", options.method, Method)
    target = free_run(f"{source.name}-sparse") if options.run is None else Path(options.run)
    found = sparsify(
        source,
        target,
        density=options.density,
        values=options.levels,
        distribution=options.distribution,
        method=options.method,
        epochs=options.epochs,
        overrides=options.overrides,
        file=options.out,
        batch=options.batch,
        threads=options.threads,
    )
    return Output(found.text(), found.dict(), code=0 if found.verified else 1)


def sparsify(
    source: str | Path,
    target: str | Path,
    *,
    density: float,
    values: str = "ternary",
    distribution: "Distribution" = "uniform",
    method: "Method" = "topk",
    epochs: int | None = None,
    overrides: Sequence[str] = (),
    file: str | Path | None = None,
    batch: int = 1,
    threads: int = 1,
) -> Sparsified:
    """Trains, packs, verifies and compares.

    Args:
        source: the dense run.
        target: directory to make.
        density: share of the weights that take the rarer level, in (0, 1].
        values: ternary, twolevel, signs, subbit, or a quantizer with a budget.
        distribution: of the density among layers: uniform, erk or global.
        method: of the masks: topk, flips, static, set or rigl.
        epochs: of the new run; None takes half of those of the old one.
        overrides: further keys of the recipe as on the command line, such as ("--optim.options.lr", "1e-3").
        file: the packed model; None takes model.sbit in the new run.
        batch: random images of the call that is timed.
        threads: of that call.
    """
    from signbit import export, recipes, training

    source, target = Path(source), Path(target)
    file = target / "model.sbit" if file is None else Path(file)
    _check_writable(file, target)
    dense = training.load_run(source)
    recipe = recipes.sparse_recipe(
        dense.recipe,
        source,
        density=density,
        values=values,
        distribution=distribution,
        method=method,
        epochs=epochs,
    )
    replaced = None if recipe.optim.name == dense.recipe.optim.name else dense.recipe.optim.name
    recipe = _overridden(recipe, overrides, values)
    with working(f"packing and measuring {source}"):
        before = export.to_graph(dense.model, image=dense.image, labels=dense.labels)
        _try_call(before, batch, threads)
        right_before = training.evaluate_run(dense, root=recipe.data.root)
    result = training.train(recipe, target)
    sparse = training.load_run(target)
    with working(f"packing and measuring {target}"):
        after = export.export(sparse.model, file, image=sparse.image, labels=sparse.labels)
        right_after = training.evaluate_run(sparse)
        training.record_result(sparse, "test", right_after)
        proof = export.verify(after, model=sparse.model, batch=training.load_part(recipe.data, "test").images[:256])
    with working("timing both"):
        times, isa = _times(before, after, batch, threads)
    return Sparsified(
        source=source,
        run=target,
        file=file,
        density=_density(after),
        ternary=str(recipe.model.options["weight_quantizer"]).startswith("ternary"),
        explored=result.metrics.get("explored"),
        optimizer=recipe.optim.name,
        replaced=replaced,
        epochs=int(result.metrics["epoch"]),
        seconds=result.seconds,
        accuracy={"dense": right_before.accuracy, "sparse": right_after.accuracy},
        bytes={"dense": len(packed.dumps(before)), "sparse": file.stat().st_size},
        times=times,
        batch=batch,
        threads=threads,
        isa=isa,
        verified=proof.passed,
    )


def _overridden(recipe: "Recipe", overrides: Sequence[str], values: str) -> "Recipe":
    """`recipe` with the keys that the user sets, none of which may be one that an option sets."""
    from signbit import training

    for key, _ in training.split_words(overrides):
        if key in KEYS:
            raise UserError(f"--{key} is what {KEYS[key]} says; leave it out")
        if key.startswith("sparsity.") and recipe.sparsity.density is None:
            raise UserError(f"--{key} is of masks, and {values} keeps its budget itself; leave it out")
    return training.override(recipe, overrides)


def _check(options: argparse.Namespace) -> None:
    """What is known to be wrong before anything is read."""
    if options.density is None:
        raise UserError("--density is missing: the fraction of the weights that take the rarer level, such as 0.05")
    if options.batch < 1:
        raise UserError(f"--batch must be at least 1, got {options.batch}")
    if not 1 <= options.threads <= MAX_THREADS:
        raise UserError(f"--threads must be 1..{MAX_THREADS}, got {options.threads}")


def _check_writable(file: Path, run: Path) -> None:
    """Refuses an --out that could not be written when the training is over; the run's directory will be there."""
    folder = file.parent
    if file.is_dir():
        raise UserError(f"--out {str(file)!r} is a folder; name a file, such as {str(file / 'model.sbit')!r}")
    if folder != run and not (folder.is_dir() and os.access(folder, os.W_OK)):
        what = "is not writable" if folder.is_dir() else "does not exist"
        raise UserError(f"--out {str(file)!r}: the folder {str(folder)!r} {what}; make it, or leave out --out")


def _density(graph: packed.Graph) -> float:
    """Fraction of the weights that a packed file has as its rarer ones, or ternary as not 0."""
    rows = [row for row in packed.inspect(graph).rows if row.packing == "packed"]
    rare = sum(row.density * row.weights for row in rows if row.density is not None)
    return rare / sum(row.weights for row in rows)


def _ratio(gain: float, better: str, worse: str) -> str:
    return f"{gain:.2f}x {better}" if gain >= 1 else f"{1 / gain:.2f}x {worse}"


def _try_call(graph: packed.Graph, batch: int, threads: int) -> None:
    """Makes the call that is to be timed once, so that what it lacks is said before the training and not after it."""
    from signbit import runtime

    each = prod(graph.inputs["input"].shape) + 4 * prod(graph.edges[graph.output].shape)
    if batch * each > (free := free_memory()):
        raise UserError(
            f"--batch must be 1..{free // each}, as many images as {size(free)} of free memory hold, got {batch}"
        )
    try:
        runtime.Model(graph, threads=threads).run(_images(graph, batch))
    except MemoryError:
        raise UserError(f"--batch {batch} images a call take more memory than there is; take fewer") from None


def _times(before: packed.Graph, after: packed.Graph, batch: int, threads: int) -> tuple[dict[str, Timing], str]:
    """Both networks, call by call in turns, on the same random images."""
    from signbit import runtime

    models = {name: runtime.Model(graph, threads=threads) for name, graph in (("dense", before), ("sparse", after))}
    images = _images(before, batch)
    calls = {name: partial(model.run, images) for name, model in models.items()}
    return interleaved(calls, seconds=0.5), models["sparse"].isa


def _images(graph: packed.Graph, batch: int) -> Array:
    return np.random.default_rng(0).integers(0, 256, (batch, *graph.inputs["input"].shape), dtype=np.uint8)

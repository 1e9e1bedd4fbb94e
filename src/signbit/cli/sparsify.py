"""Makes a trained network sparse: a new run that begins with its weights, and a packed file, verified.

The weights become ternary, or take two levels {a, b} of which one is rare (twolevel; signs: -1 and +1; subbit: every
kernel is one of a few patterns of them), and the density falls to its target while the network goes on learning.
Accuracy, bytes and the time of a call are shown beside those of the dense network. Every key of the run's recipe can be
set by its dotted name, such as --sparsity.every 50 or --optim.options.lr 1e-3.
"""

import argparse
import os
from functools import partial
from math import prod
from pathlib import Path

import numpy as np

from signbit import packed
from signbit.benchmark import Timing, interleaved
from signbit.cli.errors import UserError, require
from signbit.cli.output import Output, command
from signbit.cli.progress import working
from signbit.cli.sources import RUN_HELP, run_path
from signbit.machine import free_memory
from signbit.packed import report
from signbit.packed.bits import Array
from signbit.runtime.model import MAX_THREADS
from signbit.text import count, duration, size, table
from signbit.wording import check_choice

OVERRIDES = "keys of the recipe"
KEYS = {
    "sparsity.density": "--density",
    "sparsity.distribution": "--distribution",
    "sparsity.method": "--method",
    "model.options.weight_quantizer": "--values",
}
"""Keys that have an option of their own here."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `signbit sparsify`; all others are keys of the recipe."""
    parser.add_argument("source", metavar="run", help=RUN_HELP)
    parser.add_argument("--density", type=float, help="fraction of the weights that take the rarer level, in (0, 1]")
    # Not `values`, which is a method of jsonargparse's namespaces.
    parser.add_argument(
        "--values",
        dest="levels",
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
    """Trains, packs, verifies and compares; in Python `recipes.sparse_recipe`, then `training.train`."""
    source = run_path(options.source)
    _check(options)
    require("lightning", "training")
    from signbit import export, recipes, training
    from signbit.cli.train import free_run
    from signbit.sparsity import Distribution, Method

    check_choice("--distribution", options.distribution, Distribution)
    check_choice("--method", options.method, Method)
    target = free_run(f"{source.name}-sparse") if options.run is None else Path(options.run)
    file = target / "model.sbit" if options.out is None else Path(options.out)
    _check_writable(file, target)
    dense = training.load_run(source)
    recipe = recipes.sparse_recipe(
        dense.recipe,
        source,
        density=options.density,
        values=options.levels,
        distribution=options.distribution,
        method=options.method,
        epochs=options.epochs,
    )
    changed = ""
    if recipe.optim.name != dense.recipe.optim.name:
        changed = f"optimizer {recipe.optim.name}: {dense.recipe.optim.name} keeps weights of ±1, which have no sizes\n"
    for key, _ in training.split_words(options.overrides):
        if key in KEYS:
            raise UserError(f"--{key} is what {KEYS[key]} says; leave it out")
        if key.startswith("sparsity.") and recipe.sparsity.density is None:
            raise UserError(f"--{key} is of masks, and {options.levels} keeps its budget itself; leave it out")
    recipe = training.override(recipe, options.overrides)
    with working(f"packing and measuring {source}"):
        before = export.to_graph(dense.model, image=dense.image, labels=dense.labels)
        _try_call(before, options.batch, options.threads)
        right_before = training.evaluate_run(dense, root=recipe.data.root)
    result = training.train(recipe, target)
    sparse = training.load_run(target)
    with working(f"packing and measuring {target}"):
        after = export.export(sparse.model, file, image=sparse.image, labels=sparse.labels)
        right_after = training.evaluate_run(sparse)
        training.record_result(sparse, "test", right_after)
        proof = export.verify(after, model=sparse.model, batch=training.load_part(recipe.data, "test").images[:256])
    with working("timing both"):
        times, isa = _times(before, after, options.batch, options.threads)
    sizes = {"dense": len(packed.dumps(before)), "sparse": file.stat().st_size}
    rights = {"dense": right_before.accuracy, "sparse": right_after.accuracy}
    smaller, faster = sizes["dense"] / sizes["sparse"], times["dense"].median / times["sparse"].median
    density = _density(after)
    rare = "are not 0" if recipe.model.options["weight_quantizer"].startswith("ternary") else "take the rarer level"
    call = f"{count(options.batch, 'image')} a call, {isa}"
    rows = [
        ("test accuracy", *(f"{value:.2%}" for value in rights.values()), f"{rights['sparse'] - rights['dense']:+.2%}"),
        ("bytes", *(size(value) for value in sizes.values()), _ratio(smaller, "smaller", "larger")),
        (call, *(duration(times[name].median) for name in rights), _ratio(faster, "faster", "slower")),
    ]
    failed = f"failed; {command('verify', file, '--run', target)} says where"
    following = ("inspect", file), ("bench", source, file), ("compare", source, target)
    text = (
        f"{target}: {density:.2%} of the weights {rare}, "
        f"{count(result.metrics['epoch'], 'epoch')} in {duration(result.seconds)}\n"
        f"{changed}{table(('', 'dense', 'sparse', ''), rows)}\n"
        f"{file}: verify {'passed' if proof.passed else failed}\n"
        f"next: {'; '.join(command(*words) for words in following)}"
    )
    data = {
        "source": source,
        "run": target,
        "file": file,
        "density": density,
        "explored": result.metrics.get("explored"),
        "optimizer": recipe.optim.name,
        "seconds": result.seconds,
        "accuracy": rights,
        "bytes": sizes,
        "times": {name: vars(timing) for name, timing in times.items()},
        "smaller": smaller,
        "faster": faster,
        "batch": options.batch,
        "threads": options.threads,
        "isa": isa,
        "verified": proof.passed,
    }
    return Output(text, data, code=0 if proof.passed else 1)


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
    rows = [row for row in report.inspect(graph).rows if row.packing == "packed"]
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

"""Trains a small one-bit network on handwritten digits, packs it, proves the file, and compares size and speed.

The digits are the 1,797 real scans that ship with scikit-learn. `--data FOLDER` takes MNIST-like idx files instead.
Takes a minute or two; everything it makes stays in the run directory.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from signbit import packed
from signbit.cli.errors import UserError, require
from signbit.cli.output import Output, command
from signbit.cli.progress import note, working
from signbit.packed import report
from signbit.text import size

if TYPE_CHECKING:
    from signbit.benchmark import Bench
    from signbit.data import Dataset
    from signbit.export import Verification
    from signbit.training import Recipe

SAMPLES = 4
BATCHES = (1, 256)


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What the demo found.

    Attributes:
        run: its run directory.
        file: the packed model.
        samples: held-out images, one per class, named by their class.
        images: number of held-out images.
        trained: how many of them the PyTorch network gets right.
        packed: how many the packed model gets right.
        sizes: bytes, weights and operations.
        verification: the proof of the packed file.
        bench: latencies at `BATCHES`.
        seconds: time of training.
    """

    run: Path
    file: Path
    samples: tuple[Path, ...]
    images: int
    trained: int
    packed: int
    sizes: report.Report
    verification: "Verification"
    bench: "Bench"
    seconds: float

    def dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "run": self.run,
            "file": self.file,
            "samples": self.samples,
            "accuracy": {
                "images": self.images,
                "trained": self.trained / self.images,
                "packed": self.packed / self.images,
            },
            "sizes": self.sizes.dict()["totals"],
            "verification": self.verification.dict(),
            "latency": self.bench.dict(),
            "training_seconds": self.seconds,
            "next": self.next_commands(),
        }

    def next_commands(self) -> tuple[str, ...]:
        """What to type now."""
        return (
            command("predict", self.file, self.samples[0]),
            command("inspect", self.file),
            command("bench", self.file, "--against", "float,int8", "--batch", 1, 16, 256),
            command("verify", self.file, "--run", self.run),
            command("train", "digits", "--optim", "bop"),
        )

    def text(self) -> str:
        """Everything, for people."""
        file, fp32, int8 = self.sizes.file_bytes, self.sizes.fp32_bytes, self.sizes.int8_bytes
        macs = self.sizes.binary_macs + self.sizes.mixed_macs + self.sizes.float_macs
        equal = "equal" if self.trained == self.packed else "DIFFERENT"
        lines = [
            f"accuracy  trained {self.trained / self.images:.2%}, packed {self.packed / self.images:.2%} "
            f"({equal}, {self.images:,} held-out images)",
            f"verify    {'passed' if self.verification.passed else 'FAILED'}: see {command('verify', self.file)}",
            f"size      {size(file)} in the file; float32 {size(fp32)} ({fp32 / file:.1f}x), "
            f"int8 {size(int8)} ({int8 / file:.1f}x)",
            f"work      {self.sizes.binary_macs:,} of {macs:,} multiplications an image are XNOR and popcount",
            f"training  {self.seconds:.0f} s; run directory {self.run}",
            "",
            f"latency on {self.bench.cpu}, {self.bench.threads} thread, kernels {self.bench.isa}",
            self.bench.latency_table(),
            self.bench.overhead_line(),
            *self.bench.notes,
            "",
            "next:",
            *(f"  {command}" for command in self.next_commands()),
        ]
        return "\n".join(lines)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `signbit demo`."""
    parser.add_argument("--data", help="folder with MNIST-like idx files; default: scikit-learn's digits")
    parser.add_argument("--run", help="directory to make; default: the next free one of runs/demo, runs/demo-2, ...")
    parser.add_argument("--epochs", type=int, help="passes over the training images; default: the recipe's")
    parser.add_argument("--seconds", type=float, default=0.5, help="how long to time each contender")


def run(options: argparse.Namespace) -> Output:
    """The findings of `demo` as text."""
    for name in ("lightning", "sklearn"):
        require(name, "the demo")
    from signbit.cli.train import free_run

    if not 0 < options.seconds < 3600:
        raise UserError(f"--seconds must lie within 0..3600, got {options.seconds:g}")
    target = free_run("demo") if options.run is None else Path(options.run)
    found = demo(target, data=options.data, epochs=options.epochs, seconds=options.seconds)
    right = found.verification.passed and found.trained == found.packed
    return Output(found.text(), found.dict(), code=0 if right else 1)


def demo(run: str | Path, *, data: str | Path | None = None, epochs: int | None = None, seconds: float = 0.5) -> Demo:
    """Trains, packs, verifies and times.

    Args:
        run: directory to make.
        data: folder with MNIST-like idx files; None takes scikit-learn's digits.
        epochs: passes over the training images; None takes the recipe's.
        seconds: how long to time each contender at each batch size.
    """
    from signbit import benchmark, export, training
    from signbit.cli.eval import accuracy, load_data

    recipe = _recipe(data, epochs)
    held_out = load_data(recipe.data.name, recipe.data.root, "test")
    note(f"1/4 training {recipe.model.name} on {recipe.data.name}: {recipe.epochs} epochs of {recipe.optim.name}")
    result = training.train(recipe, run)
    trained = training.load_run(result.path)
    note("2/4 packing")
    file = result.path / "model.sbit"
    with working("packing"):
        graph = export.export(trained.model, file, image=trained.image, labels=trained.labels)
    note("3/4 proving the packed file against PyTorch and the numpy reference")
    with working("verifying"):
        verification = export.verify(file, model=trained.model, batch=held_out.images[:256])
        right, images = accuracy(packed.load(file), held_out)
    note("4/4 timing it beside float32 and int8")
    return Demo(
        run=result.path,
        file=file,
        samples=save_samples(held_out, graph, result.path / "samples"),
        images=images,
        trained=training.evaluate(trained.model, held_out).correct,
        packed=right,
        sizes=report.inspect(graph),
        verification=verification,
        bench=benchmark.bench(graph, batches=BATCHES, against=benchmark.PEERS, seconds=seconds),
        seconds=result.seconds,
    )


def _recipe(data: str | Path | None, epochs: int | None) -> "Recipe":
    from dataclasses import replace

    from signbit import recipes

    if epochs is not None and epochs < 1:
        raise UserError(f"--epochs must be at least 1, got {epochs}")
    recipe = recipes.get("digits" if data is None else "mnist-mlp")
    if data is not None:
        if not Path(data).is_dir():
            raise UserError(f"--data {str(data)!r} is not a folder")
        recipe = replace(recipe, data=replace(recipe.data, name="idx", root=str(data)), epochs=2)
    return recipe if epochs is None else replace(recipe, epochs=epochs)


def save_samples(dataset: "Dataset", graph: packed.Graph, folder: Path) -> tuple[Path, ...]:
    """Writes the first image of some classes that the packed model gets right as PNG files named by their class."""
    import numpy as np
    from PIL import Image

    from signbit import runtime

    folder.mkdir()
    scores = runtime.compile(graph).run(dataset.images[:256])
    right = scores.reshape(len(scores), -1).argmax(axis=1) == dataset.labels[:256]
    paths = []
    for label, name in list(enumerate(dataset.classes))[:: -(-len(dataset.classes) // SAMPLES)]:
        found = np.flatnonzero(right & (dataset.labels[:256] == label))
        if found.size:
            paths.append(folder / f"{name.replace('/', '-').replace(' ', '-')}.png")
            Image.fromarray(dataset.images[found[0]].transpose(1, 2, 0).squeeze()).save(paths[-1])
    return tuple(paths)

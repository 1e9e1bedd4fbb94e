"""Measures the accuracy of a run or of a packed model on labelled images.

A run knows its data, and keeps the result, which signbit compare shows. For a packed model name them: signbit eval
model.sbit --data mnist --root FOLDER, or --data FOLDER for a folder with MNIST-like idx files, with train.npz and
test.npz, or with a folder of images for each class.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from signbit import packed, runtime
from signbit.cli.errors import UserError, require, unknown
from signbit.cli.output import Output
from signbit.cli.progress import working
from signbit.cli.sources import MODEL_HELP, RUN_HELP, is_run, packed_path, run_path

if TYPE_CHECKING:
    from signbit.data import Dataset

BATCH = 256


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `signbit eval`."""
    parser.add_argument("model", help=f"{MODEL_HELP}, or {RUN_HELP}")
    parser.add_argument("--data", help="data set, or a folder with one; needed for a packed model")
    parser.add_argument("--root", help="folder of the data set; default: the run's, or data")
    parser.add_argument("--split", default="test", help="test or train; for a run also validation or reserve")
    parser.add_argument("--threads", type=int, help="threads for a packed model; default: 1")
    parser.add_argument("--isa", help="kernels to use for a packed model; default: the best this machine has")


def run(options: argparse.Namespace) -> Output:
    """The share of images classified right; the Python calls are `training.evaluate_run` and `accuracy`."""
    for name in ("threads", "isa"):
        if is_run(options.model) and getattr(options, name) is not None:
            raise UserError(f"--{name} is for a packed model; PyTorch evaluates the run {options.model!r}")
    with working(f"evaluating {options.model}"):
        correct, samples, kept = _of_run(options) if is_run(options.model) else (*_of_file(options), "")
    data = {"model": options.model, "split": options.split, "correct": correct, "samples": samples}
    text = f"{correct / samples:.2%}: {correct:,} of {samples:,} {options.split} images right{kept}"
    return Output(text, data | {"accuracy": correct / samples})


def _of_file(options: argparse.Namespace) -> tuple[int, int]:
    path = packed_path(options.model)
    if options.data is None:
        raise UserError(f"{options.model!r} does not say on what to measure it; add --data NAME or --data FOLDER")
    graph = packed.load(path)
    dataset = load_data(options.data, _root(options), options.split, graph.image, graph.labels)
    return accuracy(graph, dataset, threads=1 if options.threads is None else options.threads, isa=options.isa)


def _root(options: argparse.Namespace) -> str:
    return "data" if options.root is None else str(options.root)


def _of_run(options: argparse.Namespace) -> tuple[int, int, str]:
    """Right ones, all, and what to say of the record that `signbit compare` reads."""
    source = run_path(options.model)
    require("torch", "evaluating a run")
    from signbit import training

    trained = training.load_run(source)
    if options.data is None:
        own = trained.recipe.data if options.root is None else replace(trained.recipe.data, root=options.root)
        dataset, images = training.load_part(own, options.split), options.split
    else:
        dataset = load_data(options.data, _root(options), options.split, trained.image, trained.labels)
        images = f"{options.split} of {options.data}"
    # Prepared as in training, whatever this data set would have.
    dataset = replace(dataset, image=trained.image)
    measured = training.evaluate(trained.model, dataset, workers=trained.recipe.data.workers)
    try:
        training.record_result(trained, images, measured)
        kept = ""
    except OSError as error:
        # The figure is what was asked for; a run on a read-only disk can be measured too.
        kept = f" (not recorded in the run: {error.strerror})"
    return measured.correct, measured.samples, kept


def load_data(
    name: str, root: str | Path, split: str, image: packed.ImagePreparation | None = None, labels: tuple[str, ...] = ()
) -> "Dataset":
    """A split of the data set `name`, or of the one in the folder `name`.

    Args:
        name: a data set, or a folder.
        root: folder of a data set.
        split: "test" or "train".
        image: how a model wants image files prepared; data sets in arrays are as they are.
        labels: the model's classes, which folders of images must have.
    """
    from signbit import data

    if name not in data.names():
        if not Path(name).is_dir():
            raise unknown("data set or folder", name, data.names())
        name, root = data.kind(name, split), name
    if name != "image-folder":
        return data.load(name, root, split)
    dataset = data.load(name, root, split, image=image)
    if labels and dataset.classes != labels:
        raise UserError(f"{root} has the classes {', '.join(dataset.classes)}; the model knows {', '.join(labels)}")
    return dataset


def accuracy(graph: packed.Graph, dataset: "Dataset", *, threads: int = 1, isa: str | None = None) -> tuple[int, int]:
    """How many images of `dataset` a packed model classifies right, and how many there are."""
    model = runtime.compile(graph, threads=threads, isa=isa)
    images, labels = dataset.images, dataset.labels
    correct = 0
    for start in range(0, len(images), BATCH):
        scores = model.run(images[start : start + BATCH])
        correct += int(np.sum(scores.reshape(len(scores), -1).argmax(axis=1) == labels[start : start + BATCH]))
    return correct, len(images)

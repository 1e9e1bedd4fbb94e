"""Classifies images with a packed model, from the file alone: it carries labels and image preparation.

signbit predict digits              the shipped model on its shipped sample images
signbit predict model.sbit cat.png  your own
"""

import argparse
from pathlib import Path

from signbit import assets, runtime
from signbit.cli.errors import UserError
from signbit.cli.output import Output
from signbit.cli.sources import MODEL_HELP, packed_path


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `signbit predict`."""
    parser.add_argument("model", help=MODEL_HELP)
    parser.add_argument("images", nargs="*", help="image files; none: the sample images of a shipped model")
    parser.add_argument("--top", type=int, default=3, help="how many classes to name per image")
    parser.add_argument("--threads", type=int, default=1, help="threads to run on")
    parser.add_argument("--isa", help="kernels to use; default: the best this machine has")


def run(options: argparse.Namespace) -> Output:
    """The `top` classes of every image; the Python call is `runtime.load(path).predict(image)`."""
    if options.top < 1:
        raise UserError(f"--top must be at least 1, got {options.top}")
    images = [Path(name) for name in options.images] or list(assets.samples(options.model))
    path = packed_path(options.model)
    if not images:
        raise UserError(f"no images: signbit predict {options.model} IMAGE ...")
    model = runtime.load(path, threads=options.threads, isa=options.isa)
    found = {image: model.predict(image, top=options.top) for image in images}
    rows = {_shown(image): [f"{p.label} {100 * p.score:.1f} %" for p in best] for image, best in found.items()}
    width = max(map(len, rows))
    predictions = [
        {"image": image, "predictions": [{"label": p.label, "score": p.score} for p in best]}
        for image, best in found.items()
    ]
    text = "\n".join(f"{name:{width}}  {'  '.join(best)}" for name, best in rows.items())
    return Output(text, {"model": path, "isa": model.isa, "images": predictions})


def _shown(image: Path) -> str:
    """A shipped image by its place in the package, any other as it was named."""
    return str(image.relative_to(assets.FOLDER) if image.is_relative_to(assets.FOLDER) else image)

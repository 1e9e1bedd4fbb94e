"""Turns a FINN or QONNX file (.onnx, before streamlining) into a packed file (.sbit). Needs the package onnx."""

import argparse
from pathlib import Path

from signbit import packed
from signbit.cli.errors import UserError, require
from signbit.cli.output import Output, command
from signbit.packed import report
from signbit.text import size


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `signbit import`."""
    parser.add_argument("source", help="the .onnx file")
    parser.add_argument("output", nargs="?", help="the file to write; default: the same name ending in .sbit")
    parser.add_argument("--labels", help="class names, separated by commas")


def run(options: argparse.Namespace) -> Output:
    """Writes the packed file; the Python call is `importers.from_finn(path)`."""
    source = Path(options.source)
    if not source.is_file():
        raise UserError(f"{options.source!r} is a folder" if source.is_dir() else f"{options.source!r} does not exist")
    require("onnx", "reading an ONNX file")
    from signbit import importers

    labels = () if options.labels is None else tuple(options.labels.split(","))
    graph = importers.from_finn(source, labels=labels)
    target = source.with_suffix(".sbit") if options.output is None else Path(options.output)
    packed.save(graph, target)
    totals = report.inspect(graph)
    text = (
        f"{target}: {size(totals.file_bytes)}, {totals.of_one_bit()}\n"
        f"next: {command('verify', target)}; {command('inspect', target)}"
    )
    return Output(text, {"source": source, "file": target, **totals.dict()["totals"]})

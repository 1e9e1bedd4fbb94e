"""Compares runs, finished or not: accuracy, flips and time, those that differ in the seed alone as mean and spread.

signbit compare runs/* --figure curves.svg draws accuracy, loss and flips over the epochs; --by-layer draws the flips of
each layer of one run. Accuracies on test images are shown once signbit train or signbit eval has measured them.
"""

import argparse
import io
import shutil
import sys
from typing import TYPE_CHECKING

from signbit import runs
from signbit.cli.errors import UserError, require
from signbit.cli.output import Output
from signbit.cli.sources import RUN_HELP, run_path

if TYPE_CHECKING:
    from rich.table import Table


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `signbit compare`."""
    parser.add_argument("runs", nargs="+", help=f"{RUN_HELP}; several, such as runs/*")
    parser.add_argument("--figure", help="also draw the curves into this file, .svg or .png")
    parser.add_argument("--by-layer", action="store_true", help="the figure shows the flips of each layer of one run")


def run(options: argparse.Namespace) -> Output:
    """The table, and the figure if one is named; in Python `runs.compare`, `runs.draw` and `runs.draw_layers`."""
    if options.by_layer and options.figure is None:
        raise UserError("--by-layer is about a figure; add --figure FILE.svg")
    if options.by_layer and len(options.runs) > 1:
        raise UserError(f"--by-layer draws one run, got {len(options.runs)}")
    comparison = runs.compare([run_path(name) for name in options.runs])
    if options.figure is not None:
        require("matplotlib", "drawing figures")
        if options.by_layer:
            runs.draw_layers(comparison.groups[0].runs[0], options.figure)
        else:
            runs.draw(comparison, options.figure)
    if options.json:
        return Output("", {**comparison.dict(), "figure": options.figure})
    require("rich", "printing the table")
    lines = [_printed(_table(comparison)), *(f"note: {note}" for note in comparison.notes)]
    lines += [f"left out: {sentence}" for sentence in comparison.left_out]
    lines += [f"figure: {options.figure}"] if options.figure is not None else []
    return Output("\n".join(lines), {})


def _table(comparison: runs.Comparison) -> "Table":
    """A row for each group; columns that no group fills are left out."""
    from rich import box
    from rich.table import Table

    columns: dict[str, list[str]] = {}
    previous = None
    validated = any(group.last("validation_accuracy") is not None for group in comparison.groups)
    for group in comparison.groups:
        planned = "" if group.planned is None else f"/{group.planned}"
        done = sorted(set(group.epochs))
        cells = {
            "recipe": "" if group.recipe == previous else group.recipe,
            "settings": ", ".join(group.words),
            "seeds": ",".join(map(str, group.seeds)),
            "epochs": f"{'–'.join(map(str, dict.fromkeys((done[0], done[-1]))))}{planned}",
            "validation best": _percent(group.best("validation_accuracy")),
            "last": _percent(group.last("validation_accuracy")),
            "training": "" if validated else _percent(group.last("train_accuracy")),
            **{images: _percent(group.result(images)) for images in comparison.images},
            "flips": _scientific(group.last("flip_ratio")),
            "time": _time(group.last("seconds")),
        }
        for name, cell in cells.items():
            columns.setdefault(name, []).append(cell)
        previous = group.recipe
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    for name in shown:
        text = name in ("recipe", "settings", "seeds")
        table.add_column(name, justify="left" if text else "right", no_wrap=name != "settings")
    for row in zip(*shown.values(), strict=True):
        table.add_row(*row)
    return table


def _printed(table: "Table") -> str:
    """The table as text, as wide as the terminal; without colours, because it may go into a file."""
    from rich.console import Console

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 160
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines() if line.strip())


def _percent(spread: runs.Spread | None) -> str:
    if spread is None:
        return ""
    return f"{spread.mean:.2%}" if spread.deviation is None else f"{spread.mean:.2%} ± {100 * spread.deviation:.2f}"


def _scientific(spread: runs.Spread | None) -> str:
    return "" if spread is None else f"{spread.mean:.1e}"


def _time(spread: runs.Spread | None) -> str:
    if spread is None:
        return ""
    return f"{spread.mean:.0f} s" if spread.mean < 120 else f"{spread.mean / 60:.1f} min"

"""Draws docs/figures/bit-planes.svg: how a binary layer is computed on bit-planes (docs/engine.md).

python benchmarks/bitplane_figure.py [docs/figures/bit-planes.svg]
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, Rectangle

INK, SOFT = "#24292f", "#8c959f"
BUCKETS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2")
LANES, PLANES = 12, 8


def strip(axes: Axes, x: float, y: float, bits: np.ndarray, *, colour: str, cell: float = 0.22) -> None:
    """A register: one cell per lane, filled where the bit is 1."""
    for i, bit in enumerate(bits):
        face = colour if bit else "white"
        axes.add_patch(Rectangle((x + i * cell, y), cell, cell, facecolor=face, edgecolor=colour, linewidth=0.6))


def box(axes: Axes, x: float, y: float, width: float, text: str, *, colour: str = INK, height: float = 0.42) -> None:
    """A labelled step."""
    axes.add_patch(Rectangle((x, y), width, height, facecolor="white", edgecolor=colour, linewidth=1.1))
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=8, color=INK)


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], *, colour: str = SOFT) -> None:
    """From one step to the next."""
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=8, linewidth=0.9, color=colour))


def note(axes: Axes, x: float, y: float, text: str, *, size: float = 8, **style: object) -> None:
    """Text from its upper left corner."""
    axes.text(x, y, text, va="top", fontsize=size, color=INK, **style)


def heading(axes: Axes, x: float, title: str, text: str) -> None:
    """Names a step and says what it does."""
    note(axes, x, 4.75, title, size=9.5, weight="bold")
    note(axes, x, 4.45, text)


def draw(axes: Axes) -> None:
    """The four steps, left to right."""
    rng = np.random.default_rng(3)
    planes = rng.integers(0, 2, (PLANES, LANES))
    patterns = rng.permutation([0, 0, 1, 1, 2, 2, 3, 3])

    heading(axes, 0, "1  Planes of a tile", "a register holds one input bit\n(tap, channel) of 512 positions")
    for i, bits in enumerate(planes):
        strip(axes, 0.75, 3.5 - 0.34 * i, bits, colour=BUCKETS[patterns[i]])
        note(axes, 0, 3.7 - 0.34 * i, f"t{i // 4}, c{i % 4}")
    note(axes, 0.75, 0.85, "lanes: positions p511 … p0", size=7)

    heading(axes, 4.4, "2  Buckets", "the weight bits of four filters name\nan input's bucket, added or subtracted")
    for q, colour in enumerate(BUCKETS):
        y = 3.3 - 0.72 * q
        box(axes, 5.2, y, 2.0, f"bucket {q}: Σ ± planes", colour=colour)
        for i in np.flatnonzero(patterns == q):
            arrow(axes, (3.45, 3.61 - 0.34 * i), (5.2, y + 0.21), colour=colour)
    note(axes, 5.2, 0.85, "… 8 buckets, every plane added once", size=7)

    heading(
        axes, 8.9, "3  Adding", "full adders: three planes of one weight\ngive a sum and a carry of twice the weight"
    )
    for i, weight in enumerate((1, 2, 4)):
        x, y = 8.9 + 1.25 * i, 3.15 - 0.55 * i
        box(axes, x, y, 0.85, "a^b^c", height=0.34)
        note(axes, x, y + 0.53, f"weight {weight}", size=7)
        if i < 2:
            arrow(axes, (x + 0.85, y + 0.17), (x + 1.25, y - 0.3))
            note(axes, x + 1.0, y + 0.3, "maj(a, b, c)", size=6.5)
    for i in range(4):
        strip(axes, 8.9, 1.4 - 0.27 * i, rng.integers(0, 2, LANES), colour=SOFT, cell=0.18)
        note(axes, 11.15, 1.56 - 0.27 * i, f"bit {i} of the count", size=7)

    heading(
        axes,
        13.4,
        "4  Filters and thresholds",
        "filter j: Σ ± buckets, by bit j; started at\n2^B − T, its last carry is the output bit",
    )
    for j in range(4):
        y = 3.3 - 0.72 * j
        box(axes, 13.4, y, 1.5, f"filter {j}: Σ ±")
        arrow(axes, (14.9, y + 0.21), (15.2, y + 0.21))
        strip(axes, 15.25, y + 0.13, rng.integers(0, 2, LANES), colour=INK, cell=0.16)
    note(axes, 13.4, 0.85, "output planes, transposed back 64 × 64 bits at a time", size=7)
    for x in (7.55, 12.75):
        arrow(axes, (x, 2.3), (x + 0.5, 2.3), colour=INK)


def main() -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="?", type=Path, default=Path("docs/figures/bit-planes.svg"))
    options = parser.parse_args()
    plt.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "bit-planes", "font.family": "sans-serif"}
    figure, axes = plt.subplots(figsize=(13, 3.7))
    draw(axes)
    axes.set(xlim=(-0.1, 17.6), ylim=(0.45, 4.85))
    axes.axis("off")
    figure.savefig(options.target, bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    main()

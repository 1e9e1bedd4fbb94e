"""How tables, sizes, times and counts are written for people; needs nothing."""

import re
from collections.abc import Sequence

_PATH = re.compile(r"[\d.]*\.[a-zA-Z_]")
"""How the name of a node in an `nn.Sequential` begins, such as 1.0.add: no number."""


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns aligned by width: numbers and their header to the right, everything else to the left."""
    cells = [[str(cell) for cell in row] for row in rows]
    right = [bool(cells) and all(_numeric(row[c]) for row in cells) for c in range(len(header))]
    width = [max([len(name), *(len(row[c]) for row in cells)]) for c, name in enumerate(header)]
    lines = [header, ["-" * w for w in width], *cells]
    return "\n".join(
        "  ".join(cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(line, width, right)).rstrip()
        for line in lines
    )


def _numeric(cell: str) -> bool:
    if _PATH.match(cell):
        return False
    return cell in ("", "-") or cell[0].isdigit() or (cell[0] == "-" and cell[1:2].isdigit())


def size(count: int) -> str:
    """Bytes with a unit: 812 B, 6.1 kB, 3.4 MB (powers of ten)."""
    for unit, scale in (("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"


def duration(seconds: float) -> str:
    """A time with a unit: 840 ns, 12.3 µs, 4.56 ms, 862 ms, 1.20 s."""
    units = (("s", 1.0, 1.0, 2), ("ms", 0.1, 1e-3, 0), ("ms", 1e-3, 1e-3, 2), ("µs", 1e-6, 1e-6, 1))
    for unit, least, scale, digits in units:
        if seconds >= least:
            return f"{seconds / scale:.{digits}f} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def count(number: int, name: str) -> str:
    """A number of things by their `name`: 1 epoch, 2 epochs."""
    return f"{number} {name}{'' if number == 1 else 's'}"

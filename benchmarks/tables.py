"""Tables of the benchmarks, in Markdown."""

from collections.abc import Callable, Mapping

Row = Mapping[str, float]
"""By engine: its time."""


def print_ratios(
    title: str, rows: Mapping[str, Row], *, unit: str, own: Callable[[str, float], str], base: str = "ours"
) -> None:
    """Prints one row per name: the base's time, as `own(name, time)` writes it, and the times of the others over it."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row if name != base))
    print(f"\n| {title} | {unit} | {' | '.join(names)} |\n|{'---|' * (len(names) + 1 + unit.count('|') + 1)}")
    for name, row in rows.items():
        ratios = (f"{row[other] / row[base]:.1f}" if other in row else "-" for other in names)
        print(f"| {name} | {own(name, row[base])} | {' | '.join(ratios)} |")

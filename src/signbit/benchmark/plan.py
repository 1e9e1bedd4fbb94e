"""Which kernel runs each node, and the estimated and measured times behind the choice."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from signbit import packed, runtime
from signbit.benchmark.inputs import sample
from signbit.runtime.choices import FORMS, Choice
from signbit.runtime.choices import explain as explain_choices
from signbit.text import count, table


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a graph would run.

    Attributes:
        isa: kernels that were used.
        threads: of a call.
        batch: its size.
        steps: how every node runs at this batch size.
        choices: of the layers with a choice the estimated and the measured time of each form.
    """

    isa: str
    threads: int
    batch: int
    steps: tuple[runtime.NodePlan, ...]
    choices: tuple[Choice, ...]

    def dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        steps, layers = ([asdict(entry) for entry in entries] for entries in (self.steps, self.choices))
        return {"isa": self.isa, "threads": self.threads, "batch": self.batch, "plan": steps, "choices": layers}

    def table(self) -> str:
        """Everything, for people."""
        rows = [(step.name, step.op, step.kernel, step.why) for step in self.steps]
        text = f"{self.isa}, {count(self.threads, 'thread')}\n\n{table(('node', 'op', 'kernel', 'why'), rows)}"
        if self.choices:
            text += f"\n\nestimated / measured µs at batch {self.batch}:\n{_choices_table(self.choices)}"
        return text


def explain(graph: packed.Graph, *, batch: int = 1, threads: int = 1, isa: str | None = None) -> Plan:
    """How every node of `graph` runs, on random inputs.

    Args:
        graph: what would run.
        batch: its size, which the choice depends on.
        threads: of a call.
        isa: kernels; None takes the best.
    """
    model = runtime.compile(graph, threads=threads, isa=isa)
    random = np.random.default_rng(0)
    inputs = {name: sample(edge, batch, random) for name, edge in graph.inputs.items()}
    layers = explain_choices(graph, inputs, isa=isa, threads=threads)
    return Plan(
        isa=model.isa, threads=model.threads, batch=batch, steps=tuple(model.plan_for(batch)), choices=tuple(layers)
    )


def _choices_table(layers: Iterable[Choice]) -> str:
    rows = []
    for layer in layers:
        forms = {form.kernel: _both(form.predicted, form.measured) for form in layer.forms}
        taken = " + ".join(f"{piece.kernel}: {piece.rows} rows" for piece in layer.pieces)
        chosen = _both(layer.predicted, layer.measured)
        density = "-" if layer.density is None else f"{layer.density:.3g}, below {layer.break_even:.2g}"
        rows.append((layer.name, taken, chosen, *(forms.get(form, "-") for form in FORMS), density))
    return table(("layer", "chosen", "µs", *FORMS, "density, sparse pays"), rows)


def _both(predicted: float, measured: float) -> str:
    """Estimated and measured µs: of few ones two digits or three."""
    return " / ".join(f"{time:.{0 if time >= 10 else 1 if time >= 1 else 2}f}" for time in (predicted, measured))

"""What a run's weights achieved on images, kept beside the run."""

import json
from dataclasses import asdict

from signbit.files import write_whole
from signbit.runs import RESULTS
from signbit.training.evaluate import Evaluation
from signbit.training.run import Run

__all__ = ["record_result"]


def record_result(run: Run, images: str, measured: Evaluation) -> None:
    """Adds an evaluation to the run's results, with the update after which the weights were measured.

    Args:
        run: whose weights were measured.
        images: what they were measured on, such as "test".
        measured: the figures.

    Raises:
        OSError: the directory cannot be written; the file stays as it was.
    """
    path = run.path / RESULTS
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    line = json.dumps({"images": images, "step": run.step, **asdict(measured)})
    if line not in before.splitlines():
        write_whole(path, f"{before}{line}\n".encode())

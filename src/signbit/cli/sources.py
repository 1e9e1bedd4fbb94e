"""What a model named on the command line is: a packed file, a shipped one, a run directory or a network."""

import re
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from signbit import assets
from signbit.cli.errors import UserError, unknown
from signbit.cli.output import command

MODEL_HELP = "a packed file (.sbit), or the name of a shipped model (digits)"
RUN_HELP = "a run directory, as made by signbit train"


def packed_path(name: str, *, also: Callable[[], Sequence[str]] = tuple) -> Path:
    """The packed file called `name`.

    Args:
        name: what the user typed.
        also: gives further names that the verb takes; asked for the message alone, as it may have to load PyTorch.

    Raises:
        UserError: no such file and no such shipped model, or a directory.
    """
    path = Path(name)
    if path.is_file():
        return path
    if name in assets.models():
        return assets.model(name)
    if path.is_dir():
        export = command("export", name, "model.sbit")
        raise UserError(f"{name!r} is a folder; a packed file is made from a run by: {export}")
    if path.suffix or path.parent != Path():
        raise UserError(f"packed model {name!r} does not exist")
    raise unknown("packed model", name, [*assets.models(), *map(str, sorted(Path().glob("*.sbit"))), *also()])


def run_path(name: str) -> Path:
    """The run directory called `name`.

    Raises:
        UserError: there is none, or it is a file.
    """
    path = Path(name)
    if not path.exists():
        raise (
            unknown("run directory", name, _runs()) if _runs() else UserError(f"run directory {name!r} does not exist")
        )
    if not path.is_dir():
        raise UserError(f"{name!r} is a file, not a run directory")
    return path


def is_run(name: str) -> bool:
    """Whether `name` is a directory, so that it can only be a run."""
    return Path(name).is_dir()


def is_network(name: str) -> bool:
    """Whether `name` is none of the above but one of `networks`."""
    named = Path(name).exists() or name in assets.models()
    if named or not re.fullmatch(r"[\w-]+", name) or find_spec("torch") is None:
        return False
    from signbit import models

    return models.is_model(name)


def networks() -> Sequence[str]:
    """The networks of `signbit models`; none where torch is not installed."""
    if find_spec("torch") is None:
        return ()
    from signbit import models

    return models.list_models()


def _runs() -> list[str]:
    return [str(path) for path in sorted(Path("runs").glob("*")) if path.is_dir()]

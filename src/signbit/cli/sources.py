"""What a model named on the command line is: a packed file, the name of a shipped one, or a run directory."""

from pathlib import Path

from signbit import assets
from signbit.cli.errors import UserError, unknown

MODEL_HELP = "a packed file (.sbit), or the name of a shipped model (digits)"
RUN_HELP = "a run directory, as made by signbit train"


def packed_path(name: str) -> Path:
    """The packed file called `name`.

    Raises:
        UserError: no such file and no such shipped model, or a directory.
    """
    path = Path(name)
    if path.is_file():
        return path
    if name in assets.models():
        return assets.model(name)
    if path.is_dir():
        raise UserError(f"{name!r} is a folder; a packed file is made from a run by: signbit export {name} model.sbit")
    if path.suffix or path.parent != Path():
        raise UserError(f"packed model {name!r} does not exist")
    raise unknown("packed model", name, [*assets.models(), *(str(p) for p in sorted(Path().glob("*.sbit")))])


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


def _runs() -> list[str]:
    return [str(path) for path in sorted(Path("runs").glob("*")) if path.is_dir()]

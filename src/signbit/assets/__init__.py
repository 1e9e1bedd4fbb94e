"""Files that ship with the package: a small trained model of handwritten digits and images it has never seen."""

from pathlib import Path

FOLDER = Path(__file__).parent


def models() -> tuple[str, ...]:
    """Names of the shipped packed models."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.sbit")))


def model(name: str) -> Path:
    """The packed file of a shipped model; it need not exist."""
    return FOLDER / f"{name}.sbit"


def samples(name: str) -> tuple[Path, ...]:
    """Images from the held-out split that `model(name)` was tested on; the file is named by the class, e.g. 7.png."""
    return tuple(sorted((FOLDER / name).glob("*.png")))

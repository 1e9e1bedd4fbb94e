"""Where the data lie that the repository does not hold; a test of what lies nowhere is skipped, and says so.

SIGNBIT_TEST_DATA names a folder with mnist/ (the official archives), cifar-10-batches-bin/, cifar10/ (the same test
images as WebP), ref_bnn_pynq/ and ref_finn_tfc/ (networks of other projects with what they compute), or some of them.
"""

import os
from pathlib import Path

import pytest

VARIABLE = "SIGNBIT_TEST_DATA"
BESIDE = Path(__file__).parents[2] / "shared" / "data"
PLACES = (Path(os.environ[VARIABLE]),) if VARIABLE in os.environ else (BESIDE, Path("/tmp/data"))


def place(name: str) -> Path:
    """Where the file or folder `name` lies; if nowhere, where it could."""
    return next((folder / name for folder in PLACES if (folder / name).exists()), PLACES[0] / name)


def needs(*names: str) -> pytest.MarkDecorator:
    """Skips a test, or a module, where one of `names` lies nowhere."""
    absent = [str(path) for path in map(place, names) if not path.exists()]
    return pytest.mark.skipif(bool(absent), reason=f"{', '.join(absent)} not here; {VARIABLE} names a folder with it")

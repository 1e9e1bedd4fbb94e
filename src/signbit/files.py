"""Files that are whole at every moment."""

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Writes a file beside `path`, then renames it: `path` is always the old content or the new, never a part.

    Raises:
        OSError: there is no space, no permission or no such folder; `path` keeps its content.
    """
    # Of this process alone, so that two that write one file do not write into each other's.
    beside = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException as error:  # an interruption too leaves nothing beside
        with suppress(OSError):
            beside.unlink()
        if isinstance(error, OSError):  # it names the file that was asked for, not the one beside it
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise

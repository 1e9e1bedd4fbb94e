"""Real images with their classes: readers of the official layouts. Needs numpy, not torch (`loader`, `augment` do)."""

from signbit.data.dataset import Dataset
from signbit.data.error import DataError
from signbit.data.files import ImageFiles
from signbit.data.sets import kind, load, names

__all__ = ["DataError", "Dataset", "ImageFiles", "kind", "load", "names"]

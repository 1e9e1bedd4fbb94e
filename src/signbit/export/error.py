"""The one error of exporting."""


class ExportError(ValueError):
    """A model that cannot be packed; the message names the module, says why, and what would pack instead."""

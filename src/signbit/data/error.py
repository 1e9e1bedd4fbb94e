"""What every reader raises."""


class DataError(ValueError):
    """Data that is missing, damaged or inconsistent; the message names the file and the way out."""

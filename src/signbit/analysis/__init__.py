"""What happens inside a binary network while it trains."""

from signbit.analysis.monitor import FlipRates, Monitor

__all__ = ["FlipRates", "Monitor"]

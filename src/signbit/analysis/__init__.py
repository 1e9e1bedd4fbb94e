"""What happens inside a binary network while it trains."""

from signbit.analysis.initial import InitialSigns
from signbit.analysis.monitor import Monitor, Movement
from signbit.analysis.shares import Shares

__all__ = ["InitialSigns", "Monitor", "Movement", "Shares"]

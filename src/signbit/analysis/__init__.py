"""What happens inside a binary network while it trains, and what it looks like afterwards."""

from signbit.analysis.histogram import Histogram, latent_histogram, latent_histograms
from signbit.analysis.initial import InitialSigns
from signbit.analysis.landscape import Direction, loss_surface, random_direction
from signbit.analysis.magnitude import channel_magnitude, magnitude_spread
from signbit.analysis.monitor import Monitor, Movement
from signbit.analysis.saturation import Saturation, SaturationCounter
from signbit.analysis.shares import Shares
from signbit.analysis.updates import UpdateRecorder

__all__ = [
    "Direction",
    "Histogram",
    "InitialSigns",
    "Monitor",
    "Movement",
    "Saturation",
    "SaturationCounter",
    "Shares",
    "UpdateRecorder",
    "channel_magnitude",
    "latent_histogram",
    "latent_histograms",
    "loss_surface",
    "magnitude_spread",
    "random_direction",
]

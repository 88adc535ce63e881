"""The one place that holds streamer's version; packaging reads it from here."""

__version__ = "0.1.0"

"""A load generator for a running engine, and what it reports."""

from fillwright.load.generator import Load, generate
from fillwright.load.report import Histogram, LoadReport, Percentiles, histogram, percentiles
from fillwright.load.wire import LoadError

__all__ = [
    "Histogram",
    "Load",
    "LoadError",
    "LoadReport",
    "Percentiles",
    "generate",
    "histogram",
    "percentiles",
]

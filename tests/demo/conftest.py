"""Every play of the demo is judged by the referee as well."""

from refereed_stage import refereed

__all__ = ["refereed"]

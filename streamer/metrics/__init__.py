"""Metrics with confidence intervals, for any task."""

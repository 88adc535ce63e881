"""Figures of detection, segmentation and classification with confidence intervals."""

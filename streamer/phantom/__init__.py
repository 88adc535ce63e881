"""A simulated thyroid ultrasound cine with exact ground truth, for the demo, for tests and as extra training data.

It is a simulation of what a B-mode image looks like (speckle, echogenicity, shadows), not of wave propagation.
"""

from streamer.phantom.cine import PhantomFrame, simulate
from streamer.phantom.clip import write_clip
from streamer.phantom.scene import BENIGN, SUSPICIOUS, Neck, NoduleSpec, Scanner, Scene, random_scene

__all__ = [
    "BENIGN",
    "SUSPICIOUS",
    "Neck",
    "NoduleSpec",
    "PhantomFrame",
    "Scanner",
    "Scene",
    "random_scene",
    "simulate",
    "write_clip",
]

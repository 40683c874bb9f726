"""Multi-view image classification supervised by gaze."""

__version__ = "0.1.0"

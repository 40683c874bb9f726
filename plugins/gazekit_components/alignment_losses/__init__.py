"""How far attention lies from gaze."""

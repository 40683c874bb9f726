"""Readers of gaze recordings: plain tables, eye trackers, viewers and public gaze sets."""

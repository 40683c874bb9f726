"""What is there to work with, what will not work, and how to mend it."""

from gazekit.doctor.check import Check
from gazekit.doctor.surroundings import diagnose

__all__ = ["Check", "diagnose"]

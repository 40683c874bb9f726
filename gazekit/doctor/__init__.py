"""Diagnose the installation: what works, what does not, and how to fix it."""

from gazekit.contracts.check import Check
from gazekit.doctor.surroundings import diagnose

__all__ = ["Check", "diagnose"]

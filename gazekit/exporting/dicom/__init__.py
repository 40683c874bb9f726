"""Predictions as DICOM objects: Secondary Capture to look at, Segmentation to compute with, report to read."""

from gazekit.exporting.dicom.writing import AttentionSource, Findings, Written, write_exam

__all__ = ["AttentionSource", "Findings", "Written", "write_exam"]

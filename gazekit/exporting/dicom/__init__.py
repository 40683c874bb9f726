"""Write predictions as DICOM objects: Secondary Capture for viewing, Segmentation for computing, structured report."""

from gazekit.exporting.dicom.writing import AttentionSource, Findings, Written, check_installed, write_exam

__all__ = ["AttentionSource", "Findings", "Written", "check_installed", "write_exam"]

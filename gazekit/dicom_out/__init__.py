"""Attention as DICOM objects: a Secondary Capture to look at, a fractional Segmentation to compute with."""

from gazekit.dicom_out.writing import AttentionSource, write_attention

__all__ = ["AttentionSource", "write_attention"]

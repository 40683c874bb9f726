"""DICOM files to images."""

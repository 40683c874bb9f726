"""Read DICOM files into images."""

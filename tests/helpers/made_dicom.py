"""Small DICOM images, written tag by tag, and the grey values that a display shows."""

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid


def write(path, stored, *, drop=(), **tags):
    """A minimal uncompressed image of 12 stored bits; ``tags`` are set last."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2"
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[str(path)])
    dataset.PatientName, dataset.PatientBirthDate = "Secret^Name", "19500101"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.PixelData = stored.astype(f"<{stored.dtype.kind}2").tobytes()
    for name, value in tags.items():
        setattr(dataset, name, value)
    for name in drop:
        del dataset[name]
    dataset.save_as(path, enforce_file_format=True)
    return path


def linear(x, centre, width):
    """DICOM PS3.3 C.11.2.1.2.1, word by word, with output 0 to 1."""
    if x <= centre - 0.5 - (width - 1) / 2:
        return 0.0
    if x > centre - 0.5 + (width - 1) / 2:
        return 1.0
    return (x - (centre - 0.5)) / (width - 1) + 0.5

"""Write a view as a DICOM mammogram: Digital Mammography X-Ray Image Storage - For Presentation.

Source: DICOM PS3.3, A.27 (the IOD) and C.8.11.7 (Mammography Image Module); codes from PS3.16, CID 4014.
"""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

from gazekit_datasets.mammography.phantom.geometry import FIELD_MM
from gazekit_datasets.mammography.phantom.scene import Scene, View

SERIES = "in-silico phantom, no patient"
"""Series description that identifies phantom files."""
DATE, TIME = "20240101", "120000"
CODES = {"cc": ("399162004", "cranio-caudal"), "mlo": ("399368009", "medio-lateral oblique")}
ORIENTATION = {
    ("L", "cc"): ["A", "R"],
    ("R", "cc"): ["P", "L"],
    ("L", "mlo"): ["A", "FR"],
    ("R", "mlo"): ["P", "FL"],
}


def dicom_bytes(image: NDArray[np.float32], scene: Scene, view: View, identity: str) -> bytes:
    """Encode the file of one view.

    Args:
        image: brightness ``[H, W]`` in [0, 1], 0 = background.
        scene: gives patient, laterality and pixel encoding.
        view: which projection.
        identity: of the data set; unique identifiers derive from it, so equal sets have equal ones.
    """
    dataset = Dataset()
    _identify(dataset, scene, view, identity)
    _describe_view(dataset, scene, view, image.shape[0])
    _store_pixels(dataset, image, scene)
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _identify(dataset: Dataset, scene: Scene, view: View, identity: str) -> None:
    """Add patient, study, series and equipment."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[identity, scene.exam_id, view])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[identity, scene.exam_id])
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=[identity, scene.patient_id])
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = DATE
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = TIME
    dataset.Modality = "MG"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.Manufacturer = "gazekit"
    dataset.ManufacturerModelName = "phantom"
    dataset.SeriesDescription = SERIES
    dataset.PatientName = f"Phantom^{scene.patient_id}"
    dataset.PatientID = scene.patient_id
    dataset.PatientBirthDate = ""
    dataset.PatientSex = "F"
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "synthetic"
    dataset.StudyID = dataset.AccessionNumber = dataset.ReferringPhysicianName = ""
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = 1 if view == "cc" else 2


def _describe_view(dataset: Dataset, scene: Scene, view: View, height: int) -> None:
    """Add breast, projection and pixel size."""
    code, meaning = CODES[view]
    projection = _code(code, meaning)
    projection.ViewModifierCodeSequence = Sequence()
    dataset.ViewCodeSequence = Sequence([projection])
    dataset.ViewPosition = view.upper()
    dataset.ImageLaterality = scene.laterality
    dataset.PatientOrientation = ORIENTATION[scene.laterality, view]
    dataset.AnatomicRegionSequence = Sequence([_code("76752008", "Breast")])
    dataset.BodyPartExamined = "BREAST"
    dataset.OrganExposed = "BREAST"
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.PositionerType = "MAMMOGRAPHIC"
    dataset.PositionerPrimaryAngle = 0 if view == "cc" else 45
    dataset.AcquisitionContextSequence = Sequence()
    spacing = f"{FIELD_MM / height:.6f}"
    dataset.ImagerPixelSpacing = [spacing, spacing]
    dataset.PixelSpacing = [spacing, spacing]
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "00"


def _store_pixels(dataset: Dataset, image: NDArray[np.float32], scene: Scene) -> None:
    """Quantise and store pixels; MONOCHROME1 stores the complement, so its background is the largest value."""
    highest = 2**scene.bits - 1
    stored = np.rint(image * np.float32(highest)).astype(np.uint16)
    dataset.PhotometricInterpretation = "MONOCHROME1" if scene.inverted else "MONOCHROME2"
    dataset.PresentationLUTShape = "INVERSE" if scene.inverted else "IDENTITY"
    dataset.PixelIntensityRelationship = "LOG"
    dataset.PixelIntensityRelationshipSign = 1 if scene.inverted else -1
    dataset.SamplesPerPixel = 1
    dataset.Rows, dataset.Columns = image.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, scene.bits, scene.bits - 1
    dataset.PixelRepresentation = 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
    dataset.WindowCenter, dataset.WindowWidth = (highest + 1) // 2, highest + 1
    dataset.PixelData = (highest - stored if scene.inverted else stored).astype("<u2").tobytes()


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item

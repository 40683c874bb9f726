"""The attention laid over its image, as a Secondary Capture that any viewer shows."""

from typing import Any

import numpy as np
from highdicom import UID
from highdicom.sc import SCImage
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence


def secondary_capture(
    picture: NDArray[np.uint8], source: Any, *, manufacturer: str, version: str, description: str
) -> SCImage:
    """A Secondary Capture of a picture.

    Args:
        picture: RGB ``[H, W, 3]``.
        source: header of the image that it was made from, see ``read_source``.
        manufacturer, version: of the software.
        description: what it shows.
    """
    spacing = source.get("PixelSpacing") or source.get("ImagerPixelSpacing")
    zoom = source.Rows / picture.shape[0]
    captured = SCImage(
        pixel_array=picture,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=source.StudyInstanceUID,
        series_instance_uid=UID(),
        series_number=9001,
        sop_instance_uid=UID(),
        instance_number=1,
        manufacturer=manufacturer,
        patient_id=source.PatientID,
        patient_name=source.PatientName,
        patient_birth_date=source.PatientBirthDate,
        patient_sex=source.PatientSex or None,
        accession_number=source.AccessionNumber,
        study_id=source.StudyID,
        study_date=source.StudyDate or None,
        study_time=source.StudyTime or None,
        referring_physician_name=source.ReferringPhysicianName,
        pixel_spacing=(float(spacing[0]) * zoom, float(spacing[1]) * zoom) if spacing else None,
        laterality=source.get("ImageLaterality") or source.get("Laterality") or None,
        patient_orientation=("A", "F"),  # highdicom knows no oblique ones, so that of the source comes below
    )
    captured.PatientOrientation = source.get("PatientOrientation")
    captured.ImageType = ["DERIVED", "SECONDARY"]
    captured.SeriesDescription = captured.DerivationDescription = description
    captured.ManufacturerModelName = manufacturer
    captured.SoftwareVersions = version
    captured.BurnedInAnnotation = "NO"
    captured.SourceImageSequence = Sequence([_reference(source)])
    return captured


def _reference(source: Any) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = source.SOPClassUID
    item.ReferencedSOPInstanceUID = source.SOPInstanceUID
    return item

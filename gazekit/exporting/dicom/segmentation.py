"""Write the attention as a fractional Segmentation on the pixels of its image."""

import numpy as np
from highdicom import UID, AlgorithmIdentificationSequence
from highdicom.seg import Segmentation, SegmentDescription
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import JPEG2000Lossless

from gazekit.exporting.dicom.words import NAME, VERSION, in_utf8, short

ATTENTION = Code("attention", "99GAZEKIT", "Attention of a classifier")


def segmentation(attention: NDArray[np.float64], source: Dataset, *, model: str, label: str) -> Dataset:
    """Make a fractional Segmentation with one segment.

    Args:
        attention: ``[H, W]`` in [0, 1] on the pixels of the source.
        source: header of the image it refers to, see ``read_source``.
        model: name of the model.
        label: label of the segment.
    """
    segment = SegmentDescription(
        segment_number=1,
        segment_label=short(label),
        segmented_property_category=codes.SCT.SpatialAndRelationalConcept,
        segmented_property_type=ATTENTION,
        algorithm_type="AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=short(f"{NAME} {model}"), family=codes.DCM.ArtificialIntelligence, version=VERSION
        ),
    )
    made = Segmentation(
        source_images=[source],
        pixel_array=attention[None].astype(np.float32),
        segmentation_type="FRACTIONAL",
        fractional_type="PROBABILITY",
        segment_descriptions=[segment],
        series_instance_uid=UID(),
        series_number=9002,
        sop_instance_uid=UID(),
        instance_number=1,
        manufacturer=NAME,
        manufacturer_model_name=NAME,
        software_versions=VERSION,
        device_serial_number="none",
        content_description="attention / its maximum, not a probability",
        content_label="ATTENTION",
        transfer_syntax_uid=JPEG2000Lossless,
        omit_empty_frames=False,
    )
    made.SeriesDescription = short(label)
    made.PatientOrientation = source.get("PatientOrientation")
    return in_utf8(made)

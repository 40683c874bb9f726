"""Write the probabilities of an exam as a structured report: Comprehensive SR by TID 1500, Measurement Report."""

from collections.abc import Mapping, Sequence

from highdicom import UID
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    SourceImageForMeasurementGroup,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from gazekit.exporting.dicom.words import NAME, RESEARCH_ONLY, VERSION, in_utf8, short

SCHEME = "99GAZEKIT"


def structured_report(
    sources: Sequence[Dataset],
    probabilities: Mapping[str, float],
    *,
    called: str,
    threshold: float,
    model: str,
) -> Dataset:
    """Make a report with a measurement per class, its probability in [0, 1], and the class that is called.

    Args:
        sources: headers of the images, see ``read_source``; the report belongs to the first one's study.
        probabilities: class → probability.
        called: the class that is called, which need not have the highest probability.
        threshold: above which the second of two classes is called; a measurement, left out for more classes.
        model: name of the model.
    """
    classes = list(probabilities)
    measured = [
        (f"PROBABILITY{number}", f"Probability of {name}", probability)
        for number, (name, probability) in enumerate(probabilities.items())
    ]
    if len(classes) == 2:
        measured.append(("THRESHOLD", f"Threshold above which {classes[1]} is called", threshold))
    observer = ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=UID(), name=NAME, manufacturer_name=NAME, model_name=short(model)
        ),
    )
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(identifier=f"{NAME} classification"),
        source_images=[SourceImageForMeasurementGroup.from_source_image(source) for source in sources],
        algorithm_id=AlgorithmIdentification(name=short(f"{NAME} {model}"), version=VERSION),
        measurements=[
            Measurement(
                name=CodedConcept(code, SCHEME, short(meaning)),
                value=round(float(value), 6),
                unit=codes.UCUM.NoUnits,
            )
            for code, meaning, value in measured
        ],
        qualitative_evaluations=[
            QualitativeEvaluation(
                CodedConcept("PREDICTED", SCHEME, "Class that is called"),
                CodedConcept(f"CLASS{classes.index(called)}", SCHEME, short(called)),
            ),
            QualitativeEvaluation(
                CodedConcept("USE", SCHEME, "Intended use"),
                CodedConcept("RESEARCH", SCHEME, RESEARCH_ONLY.capitalize()),
            ),
        ],
    )
    report = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=observer),
        procedure_reported=CodedConcept("363679005", "SCT", "Imaging procedure"),
        imaging_measurements=[group],
    )
    made = ComprehensiveSR(
        evidence=list(sources),
        content=report,
        series_instance_uid=UID(),
        series_number=9003,
        sop_instance_uid=UID(),
        instance_number=1,
        manufacturer=NAME,
        is_complete=True,
    )
    made.SeriesDescription = short(f"{NAME} probabilities, {RESEARCH_ONLY}")
    made.ManufacturerModelName = NAME
    made.SoftwareVersions = VERSION
    return in_utf8(made)

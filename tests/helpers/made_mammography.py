"""Miniature mammography sets in the exact layout, names and quirks of the public ones; 64 x 48 pixels."""

import csv
import plistlib
from pathlib import Path

import numpy as np
from openpyxl import Workbook
from pydicom import Dataset, Sequence
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

SHAPE = (64, 48)
ANNA, BERTA, CLARA = "a" * 16, "0123456789abcdef", "c" * 16
SQUARE = ((10, 20), (20, 20), (20, 30), (10, 30))
VIEW_CODES = {"CC": "R-10242", "MLO": "R-10226", "ML": "R-10224"}

# number, patient, side, view, date, BI-RADS
INBREAST_ROWS = [
    (20586908, ANNA, "L", "CC", 201001, "1"),
    (20586934, ANNA, "L", "MLO", 201001, "1"),
    (20586960, ANNA, "R", "CC", 201001, "4a"),
    (20586986, ANNA, "R", "MLO", 201001, "5"),
    (20587054, BERTA, "L", "CC", 201002, "2"),
    (20587080, BERTA, "L", "MLO", 201002, "3"),
    (20587148, BERTA, "R", "CC", 201002, "2"),
    (20587174, BERTA, "R", "MLO", 201002, "2"),
    (20587174 + 20, BERTA, "R", "FB", 201002, "2"),
    (20588046, CLARA, "L", "CC", 200912, "2"),
    (20588072, CLARA, "L", "MLO", 200912, "2"),
    (20588190, CLARA, "L", "CC", 201106, "6"),
    (20588216, CLARA, "L", "MLO", 201106, "6"),
    (20588242, CLARA, "L", "MLO", 201106, "4c"),
]
INBREAST_HEADER = "Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads"
INBREAST_REGIONS = {
    20586960: [("Mass", SQUARE)],
    20586986: [
        ("Espiculated Region", SQUARE),
        ("Calcification", ((40.5, 50.5),)),
        ("Unnamed", ((-6, -6), (4, -6), (4, 4), (-6, 4))),
    ],
    20588190: [],
}


def write_mammogram(path: Path, *, side: str = "L", seed: int = 0, **tags: object) -> Path:
    """A half ellipse with its chest wall on the side of the breast, 12 bits; ``tags`` are set last, None deletes."""
    rows, columns = np.indices(SHAPE) + 0.5
    depth = columns if side == "L" else SHAPE[1] - columns
    inside = (depth / 36) ** 2 + ((rows - 32) / 28) ** 2 <= 1
    noise = np.random.default_rng(seed).integers(1500, 3500, SHAPE)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2"
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[path.name, str(seed)])
    dataset.Rows, dataset.Columns = SHAPE
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.PixelData = np.where(inside, noise, 0).astype("<u2").tobytes()
    for name, value in tags.items():
        if value is not None:
            setattr(dataset, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def view_sequence(view: str) -> Sequence:
    """The coded view of a DICOM header."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = VIEW_CODES[view], "SRT", view
    return Sequence([item])


def write_regions(path: Path, regions: list[tuple[str, tuple[tuple[float, float], ...]]]) -> Path:
    """A property list as OsiriX writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = [
        {
            "Area": 0.5,
            "Center": "(10.000000, 20.000000, 0.000000)",
            "IndexInImage": index,
            "Name": name,
            "NumberOfPoints": len(points),
            "Point_mm": ["(0.700000, 1.400000, 0.000000)"] * len(points),
            "Point_px": [f"({x:f}, {y:f})" for x, y in points],
            "Type": 15,
        }
        for index, (name, points) in enumerate(regions)
    ]
    image = {"ImageIndex": 0, "NumberOfROIs": len(listed), "ROIs": listed}
    path.write_bytes(plistlib.dumps({"Images": [image]}))
    return path


def make_inbreast(root: Path) -> Path:
    """Three patients; two visits of the third; BI-RADS 3; a view FB; a repeated view; misspelt and nameless lesions."""
    for number, patient, side, view, _, birads in INBREAST_ROWS:
        letters = {"MLO": "ML"}.get(view, view)
        name = f"{number}_{patient}_MG_{side}_{letters}_ANON.dcm"
        write_mammogram(root / "AllDICOMs" / name, side=side, seed=number)
        if birads != "1":
            regions = INBREAST_REGIONS.get(number, [("Mass", SQUARE)])
            write_regions(root / "AllXML" / f"{number}.xml", regions)
    write_inbreast_table(root)
    return root


def write_inbreast_table(root: Path, rows: list[tuple[object, ...]] = INBREAST_ROWS) -> None:
    """The table alone: CRLF, semicolons, a density that is all blanks."""
    lines = [INBREAST_HEADER]
    for index, (number, _, side, view, date, birads) in enumerate(rows):
        density = " " * 190 if index == 1 else "2"
        lines.append(f"removed;removed;{side};{view};{date};{number};{density};{birads}")
    root.mkdir(parents=True, exist_ok=True)
    (root / "INbreast.csv").write_bytes(("\r\n".join(lines) + "\r\n").encode("ascii"))


CMMD_HEADER = ("ID1", "LeftRight", "Age", "number", "abnormality", "classification", "subtype")
CMMD_ROWS = [
    ("D1-0001", "R", 44, 2, "calcification", "Benign", None),
    ("D1-0002", "L", 40, 2, "both", "Malignant", None),
    ("D1-0002", "R", 40, 2, "mass", "Benign", None),
    ("D2-0001", "L", 59, 2, "mass", "Malignant", "Luminal A"),
]
CMMD_BREASTS = [("D1-0001", "L"), ("D1-0001", "R"), ("D1-0002", "L"), ("D1-0002", "R"), ("D2-0001", "L")]


def make_cmmd(root: Path) -> Path:
    """Three patients in the layout of NBIA; the left breast of the first has no row."""
    series = {}
    for patient, side in CMMD_BREASTS:
        for view in ("CC", "MLO"):
            number = series[patient] = series.get(patient, 0) + 1
            folder = root / "CMMD" / patient / "07-18-2010-NA-NA-79377" / "1.000000-NA-70244"
            write_mammogram(
                folder / f"1-{number}.dcm",
                side=side,
                seed=int(patient[-1]) * 10 + number + 100 * (patient[1] == "2"),
                PatientID=patient,
                StudyInstanceUID=f"1.2.3.{patient[1]}{patient[-1]}",
                ImageLaterality=side,
                ViewCodeSequence=view_sequence(view),
            )
    write_cmmd_table(root / "CMMD_clinicaldata_revision.xlsx")
    return root


def write_cmmd_table(path: Path, rows: list[tuple[object, ...]] = CMMD_ROWS, header=CMMD_HEADER) -> Path:
    """The clinical table as a workbook, or as text where the name says so."""
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows])
        return path
    book = Workbook()
    for row in (header, *rows):
        book.active.append(row)
    book.save(path)
    return path


VINDR_HEADER = (
    "study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,breast_density,split"
)
VINDR_STUDIES = {  # study → BI-RADS of the left and of the right breast, split
    "0" * 31 + "1": ("1", "4", "training"),
    "0" * 31 + "2": ("2", "3", "training"),
    "0" * 31 + "3": ("5", "1", "test"),
}


def vindr_images() -> list[tuple[str, str, str, str, str, str]]:
    """Study, image, side, view, BI-RADS and split of all images."""
    return [
        (study, f"{study[-1]}{side.lower()}{view.lower()}".rjust(32, "0"), side, view, birads, split)
        for study, (left, right, split) in VINDR_STUDIES.items()
        for side, birads in (("L", left), ("R", right))
        for view in ("CC", "MLO")
    ]


def make_vindr_mammo(root: Path) -> Path:
    """Three studies of four views; boxes on the suspicious breasts."""
    breasts, findings = (
        [VINDR_HEADER],
        [f"{VINDR_HEADER},finding_categories,finding_birads,xmin,ymin,xmax,ymax"],
    )
    for seed, (study, image, side, view, birads, split) in enumerate(vindr_images()):
        write_mammogram(root / "images" / study / f"{image}.dicom", side=side, seed=seed)
        row = f"{study},5{image[1:]},{image},{side},{view},64,48,BI-RADS {birads},DENSITY C,{split}"
        breasts.append(row)
        is_suspicious = birads in ("3", "4", "5")
        box = ",\"['Mass']\",BI-RADS 4,10.5,20.0,20.5,30.0" if is_suspicious else ",['No Finding'],,,,,"
        findings.append(row + box)
    root.mkdir(parents=True, exist_ok=True)
    (root / "breast-level_annotations.csv").write_text("\n".join(breasts) + "\n")
    (root / "finding_annotations.csv").write_text("\n".join(findings) + "\n")
    return root

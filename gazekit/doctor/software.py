"""Versions, codecs, extras and plugins."""

import platform
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from gazekit.doctor.check import Check
from gazekit.registry import Registry

_EXTRAS = {
    "dicom": (("highdicom",), "gazekit predict --dicom-out"),
    "onnx": (("onnx", "onnxscript", "onnxruntime"), "gazekit export --format onnx"),
    "tensorboard": (("tensorboard",), "gazekit train --tensorboard"),
    "slurm": (("submitit",), "gazekit benchmark --launcher slurm"),
    "gdcm": (("python-gdcm",), "JPEG lossless DICOM files"),
}


def check_versions() -> Iterator[Check]:
    """Python, the packages that gazekit needs, and whether each is of a version that it asks for."""
    from packaging.requirements import Requirement

    yield Check(
        "versions", "python", "ok", f"{platform.python_version()}, {platform.system()} {platform.machine()}"
    )
    yield Check("versions", "gazekit", "ok", _version("gazekit") or "not installed as a distribution")
    for text in sorted(requires("gazekit") or (), key=str.lower):
        if "extra ==" in text:
            continue
        needed = Requirement(text)
        found = _version(needed.name)
        if found is None or not needed.specifier.contains(found, prereleases=True):
            remedy = f"pip install -c constraints.txt '{needed.name}{needed.specifier}'"
            yield Check(
                "versions",
                needed.name,
                "problem",
                f"{found or 'not installed'}, needs {needed.specifier}",
                remedy,
            )
        else:
            yield Check("versions", needed.name, "ok", found)


def check_torchvision() -> Iterator[Check]:
    """Whether torchvision, which timm imports, was built for this torch."""
    from gazekit.torchvision_guard import allow_missing_operators

    try:
        allow_missing_operators()
        import timm  # noqa: F401
    except Exception as error:  # a broken binary can raise anything
        reason = re.sub(r"\s+", " ", str(error))[:100]
        remedy = (
            "install torch and torchvision from one source: pip install -c constraints.txt torch torchvision"
        )
        yield Check(
            "versions", "torchvision with torch", "problem", f"timm cannot be imported: {reason}", remedy
        )
    else:
        yield Check("versions", "torchvision with torch", "ok", "timm can be imported")


def check_codecs() -> Iterator[Check]:
    """For each compression of DICOM images, whether something here can decode it."""
    from pydicom import uid
    from pydicom.pixels import get_decoder

    for name, syntax in {
        "uncompressed": uid.ExplicitVRLittleEndian,
        "RLE": uid.RLELossless,
        "JPEG": uid.JPEGBaseline8Bit,
        "JPEG lossless": uid.JPEGLosslessSV1,
        "JPEG-LS": uid.JPEGLSLossless,
        "JPEG 2000": uid.JPEG2000Lossless,
        "JPEG 2000, high throughput": uid.HTJ2KLossless,
    }.items():
        decoder = get_decoder(syntax)
        if decoder.is_available:
            by = ", ".join(decoder.available_plugins) or "pydicom"
            yield Check("codecs", name, "ok", f"by {by}")
        else:
            remedy = "pip install 'gazekit[gdcm]', or convert such files to JPEG 2000 or uncompressed"
            yield Check("codecs", name, "limit", "no decoder", remedy)


def check_extras() -> Iterator[Check]:
    """What is installed of the optional packages."""
    for extra, (packages, use) in _EXTRAS.items():
        missing = [name for name in packages if _version(name) is None]
        if missing:
            found = f"no {', '.join(missing)}, so no {use}"
            yield Check("extras", extra, "limit", found, f"pip install 'gazekit[{extra}]'")
        else:
            yield Check("extras", extra, "ok", f"for {use}")


def check_plugins(registry: Registry) -> Iterator[Check]:
    """Every plugin with the number of its components, those that failed, and names offered twice."""
    rows = registry.table()
    packages = dict.fromkeys((row["package"], row["version"]) for row in rows if row["kind"] != "plugin")
    for package, number in packages:
        count = sum(row["package"] == package and row["kind"] != "plugin" for row in rows)
        yield Check("plugins", f"{package} {number}", "ok", f"{count} components")
    for row in rows:
        name = f"{row['kind']} {row['name']} of {row['package']}"
        remedy = f"update or remove it, or set GAZEKIT_DISABLE={row['package']}"
        if row["status"].startswith("failed"):
            yield Check("plugins", name, "problem", row["status"], remedy)
        elif row["status"] == "offered twice":
            yield Check("plugins", name, "problem", "another plugin offers the same name", remedy)
        elif row["status"] == "disabled":
            yield Check("plugins", name, "limit", "disabled", "take it out of GAZEKIT_DISABLE")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None

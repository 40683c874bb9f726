"""Check versions, codecs, extras and plugins."""

import platform
import re
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version

from gazekit import __version__
from gazekit.contracts.check import Check
from gazekit.errors import ConfigurationError
from gazekit.registry import distribution
from gazekit.registry.component import Provenance
from gazekit.registry.registry import Registry

_EXTRAS = {
    "dicom": "gazekit predict --dicom-out",
    "onnx": "gazekit export --format onnx",
    "tensorboard": "gazekit train --tensorboard",
    "mlflow": "gazekit train --tracker mlflow",
    "wandb": "gazekit train --tracker wandb",
    "tune": "gazekit tune --sampler, gazekit benchmark --tune",
    "slurm": "gazekit benchmark --launcher slurm",
    "ray": "gazekit benchmark --launcher ray",
    "gdcm": "JPEG lossless DICOM files",
}
"""Extra → its use; its packages are in the metadata."""


def check_versions() -> Iterator[Check]:
    """Check Python and the packages that gazekit needs, and whether their versions are supported."""
    yield Check(
        "versions", "python", "ok", f"{platform.python_version()}, {platform.system()} {platform.machine()}"
    )
    yield _check_own_name()
    for stranger in distribution.strangers():
        remedy = f"pip uninstall {stranger.name}, then install {distribution.NAME} again: both write the folder gazekit"
        said = f"another library of that name, {stranger.version}, in {stranger.locate_file('')}"
        yield Check("versions", "gazekit of PyPI", "problem", said, remedy)
    for needed in distribution.requirements():
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


def _check_own_name() -> Check:
    """Check the name under which gazekit is installed."""
    found = distribution.own()
    if found is None:
        said = f"{__version__}, run from its sources without being installed: its plugins are not found"
        return Check(
            "versions", "gazekit", "problem", said, "make install, or pip install -e . in its folder"
        )
    if distribution.normalised(found.name) == distribution.FORMER:
        said = f"{__version__}, installed under its former name {found.name}"
        remedy = f"pip uninstall {found.name}, then make install, or pip install -e . in its folder"
        return Check("versions", "gazekit", "limit", said, remedy)
    return Check("versions", "gazekit", "ok", f"{__version__}, installed as {found.name} {found.version}")


def check_torchvision() -> Iterator[Check]:
    """Check whether torchvision, if it is installed, fits this torch, that is, whether its operators run."""
    import torch

    from gazekit.doctor import mend_torchvision  # imported here because it is run with python -m

    if _version("torchvision") is None:
        return
    name, matched = "torchvision with torch", "install torch and torchvision from one index"
    if torch.version.cuda is None:
        matched += " (of CPU builds: https://download.pytorch.org/whl/cpu)"
    try:
        from torchvision.ops import nms
    except Exception as error:  # a broken binary can raise anything
        reason = re.sub(r"\s+", " ", str(error))[:100]
        yield Check("versions", name, "problem", f"torchvision cannot be imported: {reason}", matched)
        return
    pair = f"torchvision {_version('torchvision')} and torch {torch.__version__}"
    try:
        nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except (RuntimeError, NotImplementedError):  # gazekit.registry.torchvision_guard declared what is missing
        found = f"{pair} do not fit: operators of torchvision (nms, roi_align) cannot be used; "
        remedy = f"nothing of gazekit uses them; for what does, {matched}"
        if mend_torchvision.is_broken():
            found += "torchvision, and libraries that need it, can be imported after gazekit only"
            remedy += "; to import them first: python -m gazekit.doctor.mend_torchvision"
        else:
            found += "torchvision can be imported"
        yield Check("versions", name, "limit", found, remedy)
    else:
        yield Check("versions", name, "ok", f"{pair} fit")


def check_codecs() -> Iterator[Check]:
    """Check for each compression of DICOM images whether a decoder is installed; the first named is tried first."""
    from pydicom import uid
    from pydicom.pixels import get_decoder

    from gazekit.reading.dicom.pixels import decoders

    for name, syntax in {
        "uncompressed": uid.ExplicitVRLittleEndian,
        "RLE": uid.RLELossless,
        "JPEG": uid.JPEGBaseline8Bit,
        "JPEG lossless": uid.JPEGLosslessSV1,
        "JPEG-LS": uid.JPEGLSLossless,
        "JPEG 2000": uid.JPEG2000Lossless,
        "JPEG 2000, high throughput": uid.HTJ2KLossless,
    }.items():
        if get_decoder(syntax).is_available:
            by = ", ".join(decoders(syntax)) or "pydicom"
            yield Check("codecs", name, "ok", f"by {by}")
        else:
            remedy = (
                f"{distribution.install_command('gdcm')}, or convert such files to JPEG 2000 or uncompressed"
            )
            yield Check("codecs", name, "limit", "no decoder", remedy)


def check_extras() -> Iterator[Check]:
    """Check which of the optional packages are installed."""
    for extra, use in _EXTRAS.items():
        missing = [each.name for each in distribution.requirements(extra) if _version(each.name) is None]
        if missing:
            found = f"no {', '.join(missing)}, so no {use}"
            yield Check("extras", extra, "limit", found, distribution.install_command(extra))
        else:
            yield Check("extras", extra, "ok", f"for {use}")


def check_plugins(registry: Registry) -> Iterator[Check]:
    """Check every plugin: its number of components, failures, and names offered twice."""
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


def check_by_plugins(registry: Registry) -> list[Check]:
    """Collect the checks that plugins bring, such as of the weights that their components start from."""
    found: list[Check] = []

    def note(_origin: Provenance, answer: Iterable[Check]) -> None:
        checks = list(answer)
        if strange := [each for each in checks if not isinstance(each, Check)]:
            raise ConfigurationError(f"expected checks of gazekit.contracts.check, got {strange[0]!r}")
        found.extend(checks)

    registry.ask("gazekit_doctor_checks", note)
    return found


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None

"""Generate and prepare a preset's default data once, and cache them."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import platformdirs

from gazekit import __version__
from gazekit.errors import ConfigurationError
from gazekit.prepared.manifest import SCHEMA
from gazekit.prepared.settings import PreparationSettings
from gazekit.preparing.prepare import Procedure, prepare
from gazekit.preparing.raw.source import RawData
from gazekit.presets.preset import Preset
from gazekit.registry.registry import Registry


def cache_folder() -> Path:
    """Return the folder for generated data: ``GAZEKIT_CACHE``, or the user's cache folder.

    Raises: ConfigurationError (the user has no home folder, and nothing names another).
    """
    try:
        return Path(os.environ.get("GAZEKIT_CACHE") or platformdirs.user_cache_dir("gazekit"))
    except RuntimeError:
        raise ConfigurationError(
            "this user has no home folder to keep generated data in; set GAZEKIT_CACHE to a folder, or give a "
            "prepared data set with --data"
        ) from None


def default_data(
    preset: Preset,
    registry: Registry,
    *,
    note: Callable[[str], None] = print,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Path:
    """Return the prepared default data of a preset, made on first use.

    Args:
        preset: its ``data`` table says what to generate.
        registry: provides the data source.
        note: called with the data used and their folder.
        progress: called with (done, total) during generation.

    Raises:
        ConfigurationError: the preset names no data source that can generate data.
    """
    settings, choice = preset.data, preset.data.dataset
    if choice is None:
        raise ConfigurationError(
            f"preset '{preset.name}' has no default data; give a prepared data set with --data"
        )
    source = registry.create("dataset", choice.use, **choice.options)
    if not hasattr(source, "generate"):
        raise ConfigurationError(
            f"data set '{choice.use}' cannot be generated; give a prepared data set with --data"
        )
    key = json.dumps([__version__, SCHEMA, choice.use, choice.options, settings.exams], sort_keys=True)
    folder = cache_folder() / f"{choice.use}-{hashlib.sha256(key.encode()).hexdigest()[:10]}"
    prepared = folder / f"prepared-{settings.size}"
    if not (prepared / "dataset.json").exists():
        note(f"no --data given: generating {settings.exams} exams of '{choice.use}' once, in {folder}")
        source.generate(folder / "raw", exams=settings.exams, seed=0, progress=progress)
        prepare(
            RawData(
                source,
                folder / "raw",
                gaze_reader=lambda name: registry.create("gaze_reader", name),
                registry=registry,
            ),
            prepared,
            PreparationSettings(size=(settings.size, settings.size)),
            Procedure(progress=progress),
        )
    note(f"no --data given: using {settings.exams} exams of '{choice.use}', synthetic, in {prepared}")
    return prepared

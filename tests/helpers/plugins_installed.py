"""The registry of the installed plugins, loaded once for all commands and preparations that find the same ones."""

import os
import sys
from pathlib import Path

from gazekit.registry.component import OWN
from gazekit.registry.discovery import load_registry
from gazekit.registry.registry import Registry

_loaded: dict[object, Registry] = {}


def installed_registry() -> Registry:
    """Load the registry again only where other plugins may be found: a search takes 8 ms.

    One is kept that has gazekit's own plugins alone and met no failure, for the folders as they are: Python, too, looks
    into a folder of ``sys.path`` again only if its time of change is another one.
    """
    folders = [path for path in sys.path if Path(path).is_dir()]
    key = (os.environ.get("GAZEKIT_DISABLE"), *((path, Path(path).stat().st_mtime_ns) for path in folders))
    registry = _loaded.get(key)
    if registry and not registry.failures:
        return registry
    registry = load_registry()
    if not registry.failures and {each.distribution for each in registry.provenance.values()} == {OWN}:
        _loaded.clear()
        _loaded[key] = registry
    return registry

"""Look up the region that images are cut to, by name and version, and find it in an image."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gazekit.errors import ConfigurationError, DataError, PluginError
from gazekit.prepared.settings import WHOLE, PreparationSettings
from gazekit.records.arrays import Grey
from gazekit.records.region import Region

if TYPE_CHECKING:
    from gazekit.contracts.interfaces import DataSource, RegionFinder
    from gazekit.registry.registry import Registry


def crop_of(source: "DataSource", crop: str | None = None) -> str:
    """Return the crop asked for, or else the region that the data source names; ``"none"`` where it names none."""
    return crop or str(getattr(source, "region", WHOLE))


def with_region(
    settings: PreparationSettings, source: "DataSource", registry: "Registry | None"
) -> PreparationSettings:
    """Complete settings with the name and the version of the region that a preparation looks for.

    Args:
        settings: without a crop they take the region that the source names.
        source: may name its region.
        registry: where the region comes from; None finds all plugins.

    Raises:
        ConfigurationError, PluginError: there is no such region, or none to mask by.
    """
    crop = crop_of(source, settings.crop)
    masked_by = crop_of(source) if crop == WHOLE and settings.mask_outside else ""
    if masked_by == WHOLE:
        raise ConfigurationError(
            "preparation: mask_outside needs a region, and the data set names none; choose one as the crop"
        )
    finder = find_finder(masked_by or crop, registry)
    version = 0 if finder is None else finder.version
    return replace(settings, crop=crop, masked_by=masked_by, region=version)


def find_finder(name: str, registry: "Registry | None" = None) -> "RegionFinder | None":
    """Create the finder of a region; None for ``"none"`` or no name. Raises: ConfigurationError, PluginError."""
    if name in ("", WHOLE):
        return None
    from gazekit.registry.discovery import load_registry  # which workers do not need

    try:
        finder = (registry or load_registry()).create("region", name)
    except (ConfigurationError, PluginError) as error:
        raise type(error)(f"crop '{name}': {error} '{WHOLE}' keeps the whole image.") from None
    return finder


def finder_of(settings: PreparationSettings, registry: "Registry", whose: str) -> "RegionFinder | None":
    """Create the finder of the region that prepared data were cut to, to cut new images alike; None without one.

    Args:
        settings: of the data.
        registry: where the region comes from.
        whose: data the settings are of, the subject of the sentence: ``"the training data of runs/1"``.

    Raises:
        PluginError: the region is not there.
        DataError: it is there with rules of another version.
    """
    if not settings.finds_region:
        return None
    name = settings.region_name or _only_region(registry, whose)
    try:
        finder = registry.create("region", name)
    except (ConfigurationError, PluginError) as error:
        raise PluginError(
            f"{whose} were cut to the region '{name}', which new images need, too: {error} "
            "Install the plugin that brings it"
        ) from None
    if finder.version != settings.region:
        raise DataError(
            f"{whose} were cut to the region '{name}' by another version of its rules ({settings.region}; the one "
            f"installed is {finder.version}), so new images would not be prepared alike; prepare the training data "
            "again and train on them, or predict data prepared by that version"
        )
    return finder


def _only_region(registry: "Registry", whose: str) -> str:
    """Name the region of data masked by a version of gazekit that had only one and did not store its name."""
    names = [component.name for component in registry.components("region")]
    if len(names) != 1:
        raise PluginError(
            f"{whose} were masked by a region whose name was not stored, and the regions installed are: "
            f"{', '.join(names) or 'none'}; disable the plugins of the others with GAZEKIT_DISABLE, "
            "or install the plugin that is missing"
        )
    return names[0]


def found_region(finder: "RegionFinder", pixels: Grey) -> Region:
    """Find the region of an image, which the finder cannot change. Raises PluginError: it breaks its contract."""
    shown = pixels.view()
    shown.flags.writeable = False
    try:
        region: Any = finder.find(shown)
    except (DataError, MemoryError):  # of this image alone, which is refused
        raise
    except Exception as error:
        raise _broken(finder, "to raise nothing", f"{type(error).__name__}: {error}") from error
    if not isinstance(region, Region):
        raise _broken(finder, "a Region", repr(region))
    left, top, right, bottom = region.box
    height, width = pixels.shape[:2]
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise _broken(finder, f"a box within {(0, 0, width, height)}, not empty", str(region.box))
    return region


def _broken(finder: "RegionFinder", promised: str, came: str) -> PluginError:
    kind = type(finder)
    return PluginError(f"region {kind.__module__}.{kind.__name__} promises {promised}; came: {came}")

"""Read gaze on images zoomed and moved in a viewer, from the viewer's log and the tracker's samples."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from gazekit.disk.walk import is_litter
from gazekit.errors import DataError
from gazekit.reading.tables.table import first_columns
from gazekit.records.arrays import Floats
from gazekit.records.recording import Length, Recording
from gazekit_datasets.gaze_readers.tobii.sdk import TobiiSDK
from gazekit_datasets.gaze_readers.viewer_states import COLUMNS, ViewerStates, read_states

TimeUnit = Literal["auto", "s", "ms", "10us", "us"]
MS_PER = {"s": 1e3, "ms": 1.0, "10us": 1e-2, "us": 1e-3}


class ViewerLog:
    """Reads the log of a DICOM viewer together with a table of the Tobii Pro SDK, and follows zoom and pan.

    A row of the log says how a box of the screen shows its image, until the next row of that box or
    until a newer box covers it. A sample belongs to the box it lies in:
    ``x = (screen x - img_pos_x) / img_scale_x``. Each image looked at gives one recording, of the samples
    taken while it was shown; samples on another image are in that one's recording. Samples are lost if the tracker
    lost them, if they are in no box, and, in the first image's recording, before the log begins.

    Args:
        samples: the tracker's table, in the folder of the log. None: the only other file there that is such a table.
        screen: width and height in pixels of the display the tracker was set up for.
        unit: of the log's ``timestamp``. auto: the unit in which log and samples overlap most.
        clock_offset_ms: added to the tracker's times to get log times, if the clocks differ.

    Source: https://github.com/MoMarky/eye-tracking-system-for-radiologists, whose log counts 10 µs since 1970
    """

    def __init__(
        self,
        *,
        samples: str | None = None,
        screen: tuple[Length, Length] = (1920, 1080),
        unit: TimeUnit = "auto",
        clock_offset_ms: Annotated[float, Field(allow_inf_nan=False)] = 0.0,
    ) -> None:
        self.samples, self.unit, self.clock_offset_ms = samples, unit, clock_offset_ms
        self.tracker = TobiiSDK(screen=screen)

    def fits(self, path: Path) -> bool:
        """Say whether the columns are those of the log."""
        return set(COLUMNS) <= set(first_columns(path))

    def read(self, path: Path) -> Iterator[Recording]:
        """Yield one recording per image that was looked at, in the order in which they were first shown.

        Raises:
            DataError: log or samples are not readable (with row) or not there, a box is larger than the screen,
                their times do not overlap, no sample lies on an image.
        """
        states = read_states(path)
        _check_screen(path, states, *self.tracker.screen)
        (gaze,) = self.tracker.read(self._samples_beside(path))
        assert gaze.t_ms is not None  # the SDK's tables have a clock
        t_ms = gaze.t_ms + self.clock_offset_ms
        unit = self.unit if self.unit != "auto" else _unit(path, states.time, t_ms)
        time = t_ms / MS_PER[unit]
        found, early = states.follow(time, gaze.x, gaze.y), time < states.time[0]
        if not (found.image >= 0).any():
            raise DataError(_nowhere(path, gaze, unit, early=int(early.sum())))
        for number, image in enumerate(states.images):
            on_it = found.image == number
            if on_it.any():
                shown = (found.shown == number).any(axis=0) | (early & (states.image[0] == number))
                taken = on_it | (shown & (found.image < 0))
                x, y = (np.where(on_it, values, np.nan)[taken] for values in (found.x, found.y))
                yield Recording(path, x, y, t_ms[taken], image=image)

    def beside(self, path: Path) -> list[Path]:
        """Return the tables of samples that the log may belong to."""
        if self.samples is not None:
            return [path.parent / self.samples]
        others = (each for each in sorted(path.parent.glob("*")) if each != path and not is_litter(each.name))
        return [other for other in others if self.tracker.fits(other)]

    def _samples_beside(self, path: Path) -> Path:
        found = self.beside(path)
        if len(found) != 1:
            names = ", ".join(other.name for other in found[:3]) or "none"
            raise DataError(
                f"{path}: {len(found)} files of samples beside the log ({names}); expected one table of the Tobii Pro "
                "SDK in its folder; put it there, or name it with the option samples"
            )
        return found[0]


def _check_screen(path: Path, states: ViewerStates, width: float, height: float) -> None:
    """Raise if a box extends beyond the screen; it may be on another screen, but not on both."""
    left, top, *size = states.window[:, states.image >= 0]
    for name, first, length, end in (("wide", left, size[0], width), ("high", top, size[1], height)):
        across = (first < end) & (first + length > 1.02 * end)  # a frame may stick out a little
        if across.any():
            raise DataError(
                f"{path}: a box reaches from {first[across][0]:g} to {(first + length)[across][0]:g}, beyond a screen "
                f"that is {end:g} pixels {name}; set the option screen to the size of the tracker's display"
            )


def _unit(path: Path, log: Floats, t_ms: Floats) -> str:
    """Find the unit in which log and sample times overlap most, as a share of their union."""
    spans = {unit: (log[0] * ms, log[-1] * ms) for unit, ms in MS_PER.items()}
    shares = {unit: _overlap(*span, t_ms[0], t_ms[-1]) for unit, span in spans.items()}
    best = [unit for unit, share in shares.items() if share == max(shares.values())]
    times = (
        f"{path}: its times run from {log[0]:.15g} to {log[-1]:.15g}, the samples' from {t_ms[0]:.13g} to "
        f"{t_ms[-1]:.13g} ms"
    )
    if shares[best[0]] < 0:
        raise DataError(
            f"{times}; expected them to overlap in one of {', '.join(MS_PER)}; set the option clock_offset_ms where "
            "their clocks differ, and unit where the viewer was not touched after the tracker began"
        )
    if len({spans[unit] for unit in best}) > 1:
        raise DataError(f"{times}; they overlap alike in {' and '.join(best)}; set the option unit")
    return best[0]


def _overlap(first: float, last: float, other_first: float, other_last: float) -> float:
    """Return the overlap of two spans as a share of their union; -1 if they do not meet."""
    common = min(last, other_last) - max(first, other_first)
    together = max(last, other_last) - min(first, other_first)
    if common < 0:
        return -1.0
    return common / together if together else 1.0


def _nowhere(path: Path, gaze: Recording, unit: str, *, early: int) -> str:
    lost = int(np.isnan(gaze.x).sum())
    return (
        f"{path}: none of the {len(gaze.x)} samples of {gaze.source.name} lies on an image ({lost} lost by the "
        f"tracker, {early} from before the log begins, its times in {unit}, the others in no box that shows an image); "
        "check the options screen, unit and clock_offset_ms"
    )

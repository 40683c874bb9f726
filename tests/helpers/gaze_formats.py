"""A miniature file of every gaze format, and how a reader must behave on any file at all."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import gazekit
from gazekit.errors import DataError
from gazekit.gaze.fixations import FixationSettings, fixations_of
from gazekit.gaze.heat_map import heat_map
from gazekit.records.recording import Recording

FOLDER = Path(__file__).parent / "gaze_files"
FILES = sorted(FOLDER.iterdir())
MINIATURES = {path.stem.removesuffix("_physio"): path for path in FILES if path.suffix != ".json"}
"""Named after their reader, which reads them with its default options; BIDS has a name and a sidecar beside."""

REGISTRY = gazekit.load_registry()
READERS = {
    component.name: REGISTRY.create("gaze_reader", component.name)
    for component in REGISTRY.components("gaze_reader")
}


@contextmanager
def no_hang(seconds: float) -> Iterator[None]:
    """Raise TimeoutError when the block takes longer."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"still at it after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def outcome(name: str, path: Path, seconds: float = 10) -> list[Recording] | DataError:
    """What a reader makes of a file: sound recordings, or one line that names a file. Anything else fails."""
    with no_hang(seconds):
        for reader in READERS.values():
            assert reader.fits(path) in (True, False)
        try:
            found = list(READERS[name].read(path))
        except DataError as error:
            check_message(error, path)
            return error
    for recording in found:
        check_sound(recording)
        check_usable(recording)
    return found


def check_message(error: DataError, path: Path) -> None:
    """One line of bounded length that names the file, or the one beside it that was read with it."""
    text = str(error)
    assert any(neighbour in text for neighbour in (path.name, *(other.name for other in FILES)))
    assert "\n" not in text and "\r" not in text, text
    assert len(text) < 900, text


def check_sound(recording: Recording) -> None:
    """What every recording promises, whatever it was read from."""
    rows = len(recording.x)
    columns = (recording.y, recording.t_ms, recording.duration_ms, recording.suspect)
    assert all(column is None or len(column) == rows for column in columns)
    assert not np.isinf(recording.x).any() and not np.isinf(recording.y).any()
    assert (np.isnan(recording.x) == np.isnan(recording.y)).all()
    if recording.t_ms is not None:
        known = recording.t_ms[np.isfinite(recording.t_ms)]
        assert (np.diff(known) >= 0).all() and not np.isinf(recording.t_ms).any()
    if recording.duration_ms is not None:
        assert (recording.duration_ms >= 0).all() and np.isfinite(recording.duration_ms).all()
    per_degree = recording.pixels_per_degree
    assert per_degree is None or (per_degree > 0 and np.isfinite(per_degree))
    assert recording.display_height is None or recording.display_height > 0
    assert str(recording)


def check_usable(recording: Recording) -> None:
    """It becomes a heat map, or the reason why not is a clear error."""
    try:
        fixations = fixations_of(recording, image_height=1000, image_width=800, settings=FixationSettings())
        heat = heat_map(fixations.x, fixations.y, fixations.duration_ms, shape=(25, 20), sigma=1.0)
    except DataError:
        return
    assert heat.max() == 1 and np.isfinite(heat).all()

"""Hand the lines of ``metrics.jsonl`` to trackers; one that fails costs a warning, and not the training."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Protocol, Self, TypeVar

import pydantic
from pydantic import Field

from gazekit.contracts.tracking import Ending, TrackedRun
from gazekit.disk.atomic import check_folder
from gazekit.disk.own_files import MIB, FileKind, read_model
from gazekit.distributed.membership import rank
from gazekit.errors import DataError, GazekitError, Preempted
from gazekit.presets.layers import flattened
from gazekit.presets.preset import Preset
from gazekit.registry.component import Provenance, one_line
from gazekit.registry.isolation import foreign_code
from gazekit.runs.directory import RunDirectory
from gazekit.runs.stored import stored_preset

if TYPE_CHECKING:
    from gazekit.contracts.interfaces import Tracker
    from gazekit.registry.registry import Registry

VARIABLE = "GAZEKIT_TRACKERS"
"""Environment variable with names of trackers, separated by commas, for every training."""


class HasBatch(Protocol):
    """The state of a training, as far as trackers need it."""

    @property
    def batch(self) -> int:
        """Batches completed in the current epoch; 0 at the end of an epoch."""


StateOfTraining = TypeVar("StateOfTraining", bound=HasBatch)
NAME = "trackers.json"
FOLDER = "trackers"
_KIND = FileKind("what trackers have had", MIB, "remove it; trackers then begin another run")
_LONGEST = 10_000
"""Characters of what ``begin`` returns."""
_COUNTERS = ("epoch", "step")


class StoredTracker(pydantic.BaseModel):
    """An entry of ``trackers.json``: what ``begin`` returned, and the epochs that the tracker has had."""

    tracked: Annotated[str, Field(max_length=_LONGEST)]
    epochs: Annotated[int, Field(ge=0)] = 0


@dataclass
class _Following:
    """A tracker at work."""

    name: str
    origin: Provenance
    tracker: "Tracker"
    tracked: str | None = None
    epochs: int = 0
    """Epochs that it has had."""


class Tracking:
    """Trackers of a training; a context manager.

    Args:
        run: the run directory.
        preset: of the run.
        registry: provides the trackers.
        names: those that are asked for, besides those of ``GAZEKIT_TRACKERS``.
        warn: called once for each tracker that fails.

    Raises:
        ConfigurationError: there is no such tracker, or it lacks something.
    """

    def __init__(
        self,
        run: RunDirectory,
        preset: Preset,
        registry: "Registry",
        names: Sequence[str],
        warn: Callable[[str], None],
    ) -> None:
        self.run = run
        self.warn = warn
        self.registry = registry
        self.preset = preset
        self.names = _asked_for(names) if rank() == 0 else []
        self.components = [registry.component("tracker", name) for name in self.names]
        self.following: list[_Following] = []

    def __enter__(self) -> Self:
        stored = self._stored()
        for component in self.components:
            each = _Following(component.name, component.provenance, component.value())
            before = stored.get(each.name)
            with self._guarded(each, begins=True):
                tracked = None if before is None else before.tracked
                each.tracked = _checked(each.tracker.begin(self._described(each.name), tracked))
                if before is not None and each.tracked is not None:
                    each.epochs = before.epochs
                self.following.append(each)
        self._store(stored)
        return self

    def update(self) -> None:
        """Hand over the epochs that ended since the last call."""
        if not self.following:
            return
        lines = self.run.read_metrics()
        for each in tuple(self.following):
            with self._guarded(each):
                for line in lines:
                    if line["epoch"] > each.epochs:
                        each.tracker.log(_values(line), line["epoch"])
                        each.epochs = line["epoch"]
        self._store(self._stored())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ending: Ending = "failed"
        if error is None:
            self.update()
            ending = "finished"
        elif isinstance(error, Preempted | KeyboardInterrupt):
            ending = "stopped"
        for each in tuple(self.following):
            with self._guarded(each):
                each.tracker.finish(ending)

    @contextmanager
    def _guarded(self, each: _Following, *, begins: bool = False) -> Iterator[None]:
        """Leave out a tracker that raises, with one warning."""
        try:
            with foreign_code(each.origin):
                yield
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if begins and isinstance(error, GazekitError):
                raise
            self.following = [other for other in self.following if other is not each]
            said = (
                f"tracker '{each.name}' of {each.origin} is left out: {one_line(error)}; the training goes on"
            )
            self.run.log(f"warning: {said}")
            self.warn(said)

    def _described(self, name: str) -> TrackedRun:
        facts, folder = self.run.facts(), self.run.path / FOLDER / name
        for own in (folder.parent, folder):
            check_folder(own)
        known = {
            "preset": facts.preset,
            "seed": str(facts.seed),
            "device": facts.device,
            "data": facts.fingerprint[:16],
            "classes": ", ".join(facts.classes),
            "initial weights": facts.initial_weights,
        }
        values = flattened(self.preset.model_dump(mode="json", exclude={"description", "reported", "tune"}))
        return TrackedRun(self.run.path.resolve().name, self.run.path, folder, known, values)

    def _stored(self) -> dict[str, StoredTracker]:
        path = self.run.path / NAME
        if not self.names or not os.path.lexists(path):
            return {}
        try:
            found: dict[str, StoredTracker] = read_model(path, _KIND, dict[str, StoredTracker])
        except DataError as error:
            self.warn(str(error))
            return {}
        return found

    def _store(self, stored: dict[str, StoredTracker]) -> None:
        """Keep what resumed trackers need."""
        new = stored | {
            each.name: StoredTracker(tracked=each.tracked, epochs=each.epochs)
            for each in self.following
            if each.tracked is not None
        }
        if new:
            self.run.write_json(NAME, {name: each.model_dump() for name, each in new.items()})


def _checked(tracked: object) -> str | None:
    """Return what ``begin`` returned. Raises TypeError: it is neither a text nor None."""
    if tracked is None or (isinstance(tracked, str) and len(tracked) <= _LONGEST):
        return tracked
    raise TypeError(
        f"begin returned {str(tracked)[:40]!r} ({type(tracked).__name__}); expected an id as a text of at most "
        f"{_LONGEST} characters, or None"
    )


def _asked_for(names: Sequence[str]) -> list[str]:
    """Return these names of trackers and those of ``GAZEKIT_TRACKERS``, each once."""
    listed = [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]
    return list(dict.fromkeys((*names, *listed)))


def check_trackers(registry: "Registry", names: Sequence[str]) -> None:
    """Raise ConfigurationError if a tracker, of these or of ``GAZEKIT_TRACKERS``, is not there or lacks a package."""
    for component in [registry.component("tracker", name) for name in _asked_for(names)]:
        check = getattr(component.value(), "check", None)
        if check is not None:
            with foreign_code(component.provenance):
                check()


@contextmanager
def followed(
    run: RunDirectory,
    registry: "Registry",
    names: Sequence[str],
    report: Callable[[StateOfTraining, int], None],
    *,
    warn: Callable[[str], None],
) -> Iterator[Callable[[StateOfTraining, int], None]]:
    """Let trackers follow the training in the block; yield its ``report``, which tells them of every epoch, too.

    Args:
        run, registry, names, warn: see ``Tracking``.
        report: of the training; see ``training.loop.train``.
    """
    with Tracking(run, stored_preset(run, registry), registry, names, warn) as tracking:

        def tell(state: StateOfTraining, batches: int) -> None:
            if state.batch == 0:  # an epoch has ended, and its line is written
                tracking.update()
            report(state, batches)

        yield tell


def _values(line: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in line.items() if value is not None and name not in _COUNTERS}

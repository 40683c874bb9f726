"""The contract of trackers."""

import contextlib
import tempfile
import unittest
from pathlib import Path
from typing import Any, ClassVar

from gazekit.contracts.tracking import TrackedRun
from gazekit.registry.signature import options_of
from gazekit.testing.contract import Contract
from gazekit.testing.promises import promise


class TrackerContract(Contract):
    """A tracker that begins, takes epochs, ends and goes on with the same run.

    Set ``for_real = True`` in a test where the tracker may write files and ask no server; ``plugins check`` does not.
    """

    kind = "tracker"
    for_real: ClassVar[bool] = False

    def test_no_options(self) -> None:
        """No options, and made without a thing but itself: nothing is sent before ``begin``."""
        options = [option.name for option in options_of(self.component)]
        promise(self.component, "to have no options", not options, options)
        self.make()

    def test_a_training(self) -> None:
        """Begins, takes two epochs and ends; begins again with what it returned, and returns the same."""
        if not self.for_real:
            raise unittest.SkipTest("it might ask a server: set for_real = True in your own test")
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            first = self._train(Path(folder), None)
            again = self._train(Path(folder), first)
        promise(self.component, f"to go on with {first!r}", again == first, repr(again))

    def _train(self, folder: Path, tracked: str | None) -> str | None:
        run = TrackedRun(
            "run", folder / "run", folder / "run" / "trackers" / "own", {"seed": "0"}, {"training.epochs": 2}
        )
        run.path.mkdir(exist_ok=True)
        tracker: Any = self.make()
        found: Any = tracker.begin(run, tracked)
        text = found is None or (isinstance(found, str) and bool(found))
        promise(self.component, "a text or None from begin", text, repr(found))
        for epoch in (1, 2):
            tracker.log({"loss": 1 / epoch, "val_auc": 0.5}, epoch)
        tracker.finish("finished")
        return found  # type: ignore[no-any-return]

"""Try a promise on the cases of a contract, smallest first."""

import unittest
from collections.abc import Callable
from typing import Any

from torch import nn

from gazekit.testing.promises import ContractCase, naming
from gazekit.testing.surroundings import same_random_numbers, settings_restored

CaseCheck = Callable[[Any, ContractCase, Any], None]
"""(contract, case, component built for it)."""


def for_each_case(
    *, training: bool = False, one: bool = False, costly: bool = False
) -> Callable[[CaseCheck], Callable[[Any], None]]:
    """Make a test that tries a check on every case, smallest first.

    Args:
        training: put the component in training mode, with at least two exams per case; else in evaluation mode.
        one: try only the typical case.
        costly: the check takes seconds; ``check_component`` skips it.
    """

    def decorate(check: CaseCheck) -> Callable[[Any], None]:
        def test(self: Any) -> None:
            unchecked: unittest.SkipTest | None = None
            for case in [self.typical()] if one else self.cases():
                if training and case.exams < 2:
                    continue
                with same_random_numbers(), settings_restored(), naming(case):
                    component = case.build()
                    if isinstance(component, nn.Module):
                        component.train(training)
                    try:
                        check(self, case, component)
                        unchecked = None
                    except unittest.SkipTest as reason:
                        unchecked = reason
            if unchecked is not None:  # the largest case could not be checked
                raise unchecked

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        test.costly = costly  # type: ignore[attr-defined]
        return test

    return decorate

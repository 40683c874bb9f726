"""The ordered map over processes: order, bounds, dying workers."""

import os
import time

import pytest

from gazekit.data.parallel import ordered_map
from gazekit.errors import DataError


def slow_at_first(number):
    time.sleep(0.2 if number == 0 else 0)
    return number**2, os.getpid()


def die(number):
    if number == 3:
        os._exit(9)
    return number


def test_results_come_in_order_from_other_processes_and_little_is_taken_ahead():
    taken = []

    def tasks():
        for number in range(20):
            taken.append(number)
            yield number

    results = ordered_map(slow_at_first, tasks(), jobs=2)
    first = next(results)
    assert len(taken) <= 8
    everything = [first, *results]
    assert [square for square, _ in everything] == [number**2 for number in range(20)]
    assert os.getpid() not in {process for _, process in everything}


def test_one_job_works_in_this_process():
    assert {process for _, process in ordered_map(slow_at_first, range(3), jobs=1)} == {os.getpid()}


def test_a_worker_that_dies_is_one_clear_line():
    with pytest.raises(DataError, match=r"worker process died.*--jobs 1"):
        list(ordered_map(die, range(6), jobs=2))

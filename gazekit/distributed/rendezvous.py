"""Let processes find each other before training, undisturbed by traces of an earlier life.

torchrun keeps its store across restarts, with the addresses of processes that have died. A fast process would take such
an address for that of process 0, so each life gets its own part of the store.
"""

import time
import uuid
from datetime import timedelta

from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from gazekit.errors import GazekitError

_LOOK_SECONDS = 0.05


def fresh_store(patience: timedelta) -> tuple[Store, int, int]:
    """Return a store that only the living processes use, this process's rank, and the number of processes.

    Raises:
        GazekitError: not all processes arrived in time.
    """
    store, rank, processes = next(iter(rendezvous("env://", timeout=patience)))
    return PrefixStore(agree(store, rank, processes, patience), store), rank, processes


def agree(store: Store, rank: int, processes: int, patience: timedelta) -> str:
    """Agree on a word that process 0 made up in this life and all others have confirmed.

    Every other process leaves a word. Process 0 answers each word it finds, even from a dead process, until all living
    processes have confirmed.
    """
    word = uuid.uuid4().hex
    if rank > 0:
        store.set(f"gazekit/hello/{rank}", word)
        store.wait([f"gazekit/answer/{word}"], patience)
        answer: str = store.get(f"gazekit/answer/{word}").decode()
        store.set(f"gazekit/{answer}/{rank}", "confirmed")
        return answer
    until = time.monotonic() + patience.total_seconds()
    waiting = set(range(1, processes))
    while waiting:
        if time.monotonic() > until:
            raise GazekitError(f"{len(waiting)} of {processes} processes have not come to train together")
        for other in sorted(waiting):
            if store.check([f"gazekit/hello/{other}"]):
                store.set("gazekit/answer/" + store.get(f"gazekit/hello/{other}").decode(), word)
            if store.check([f"gazekit/{word}/{other}"]):
                waiting.discard(other)
        time.sleep(_LOOK_SECONDS)
    return word

"""Where processes meet before they train together, unharmed by what an earlier life of theirs has left there.

torchrun keeps its store from one restart to the next, with the addresses of the processes that have died. One that
is quick would take such an address for that of process 0, so each life gets a part of the store of its own.
"""

import time
import uuid
from datetime import timedelta

from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from gazekit.errors import GazekitError

_LOOK_SECONDS = 0.05


def fresh_store(patience: timedelta) -> tuple[Store, int, int]:
    """A store that only the living processes use, the rank of this one, and how many there are.

    Raises:
        GazekitError: not all have come in time.
    """
    store, rank, processes = next(iter(rendezvous("env://", timeout=patience)))
    return PrefixStore(agree(store, rank, processes, patience), store), rank, processes


def agree(store: Store, rank: int, processes: int, patience: timedelta) -> str:
    """A word that process 0 has made up in this life and that all others have confirmed in theirs.

    Each other process leaves a word of its own. Process 0 answers every word that it finds, also one that a dead
    process has left, until all living ones have confirmed.
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

"""Merge the shards of a preparation into the data set that a preparation in one go would have made."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from time import time

from gazekit.disk.atomic import forget_partial
from gazekit.disk.locking import locked
from gazekit.disk.wording import first_few
from gazekit.errors import DataError
from gazekit.prepared.exam_record import ExamRecord
from gazekit.prepared.settings import PreparationSettings
from gazekit.prepared.stored_array import HEAT_MAPS
from gazekit.prepared.verification import row_digests
from gazekit.preparing.journal import Journal, check_same
from gazekit.preparing.one_exam import PreparedExam
from gazekit.preparing.prepare import Procedure, claim, discard, finish, is_damaged, is_finished, record
from gazekit.preparing.sharding.shard import Shard
from gazekit.preparing.summary import Summary, summarise
from gazekit.records.refused import Refused


def merge(shards: Sequence[Path], out: Path, procedure: Procedure) -> Summary:
    """Merge all shards of a preparation; files and fingerprint are those of a preparation in one go.

    A merge that was killed goes on when called again; a finished one is left as it is. The shards stay.

    Args:
        shards: their folders, in any order.
        out: folder of the data set.
        procedure: how to carry it out; only ``overwrite``, ``on_bad_exam``, ``progress`` and ``note`` count.

    Raises:
        DataError: a shard is missing, comes twice, is unfinished, damaged or of another preparation, or the result is
            one that ``prepare`` would refuse.
    """
    parts = _all_of_one(list(map(Shard.open, shards)))
    header, rest = parts[0].header, parts[0].rest
    claim(out)
    with locked(out, busy=f"{out}: another process is preparing this data set; wait for it or stop it"):
        forget_partial(out, now=time())
        if procedure.overwrite or is_damaged(out, header, procedure.note):
            discard(out)
        if is_finished(out):
            return summarise(out)
        with closing(Journal(out, header, PreparationSettings.from_json(header))) as journal:
            results = (result for part in parts for result in _results(part))
            total = sum(len(part.entries) for part in parts)
            record(journal, islice(results, len(journal.entries), None), total, procedure)
        finish(out, header, journal, rest)
        return summarise(out)


def _all_of_one(shards: Sequence[Shard]) -> list[Shard]:
    """Put the shards in order. Raises DataError: they are not all the shards of one preparation."""
    if not shards:
        raise DataError("no shard to merge; expected the folders of gazekit data prepare … --shard I/N")
    first = shards[0]
    place: dict[int, Shard] = {}
    for shard in shards:
        if shard.count != first.count:
            raise DataError(
                f"{shard.path}: is one of {shard.count} shards, {first.path} one of {first.count}; expected the shards "
                "of one preparation"
            )
        try:
            check_same(shard.path, shard.header, first.header)
        except DataError as error:
            told = str(error).removeprefix(f"{shard.path}: ").partition("; choose another")[0]
            raise DataError(
                f"{shard.path}: does not belong to {first.path} ({told}); expected the shards of one preparation"
            ) from None
        if shard.number in place:
            raise DataError(
                f"{shard.path}: is shard {shard.number} of {shard.count}, and so is {place[shard.number].path}; "
                "expected each once"
            )
        place[shard.number] = shard
    missing = [f"{number}/{first.count}" for number in range(1, first.count + 1) if number not in place]
    if missing:
        which = f"shard{'s' * (len(missing) > 1)} {first_few(missing, 8)}"
        raise DataError(
            f"{which} missing; expected all {first.count}; prepare what is missing (--shard {missing[0]}), and give it "
            "too"
        )
    return [place[number] for number in sorted(place)]


def _results(shard: Shard) -> Iterator[PreparedExam | Refused]:
    """Yield the exams of a shard, as its preparation did."""
    arrays, row = shard.arrays(), 0
    digests = row_digests(*arrays.values())
    for entry in shard.entries:
        if isinstance(entry, ExamRecord):
            if next(digests) != entry.digest:
                raise DataError(
                    f"{shard.path}: the pixels of exam {entry.exam_id} are not those that were prepared; the shard is "
                    "damaged; copy it again, or prepare it again with --overwrite"
                )
            own = {name: array[row] for name, array in arrays.items()}
            yield PreparedExam(own["images"], own["masks"], own.get(HEAT_MAPS, own["masks"][:0]), entry)
            row += 1
        else:
            yield entry

"""Collect the rules by which data sources identify their own files; a rule that fails costs no other."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from gazekit.records.identity import IdentityRule, ImageIdentity
from gazekit.records.image_header import ImageHeader
from gazekit.registry.component import Component, Failure, in_words
from gazekit.registry.isolation import culprit_of, foreign_code
from gazekit.registry.registry import Registry
from gazekit.registry.time_limit import TookTooLong


def identity_rules(registry: Registry) -> Mapping[str, IdentityRule]:
    """Return each data source's rule for identifying its own files; a source name offered twice is skipped.

    A rule that fails goes to ``registry.failures`` and is not asked again.
    """
    sources = registry.components("dataset")
    names = Counter(source.name for source in sources)
    return {
        source.name: _isolated(source, registry)
        for source in sources
        if names[source.name] == 1 and callable(getattr(source.value, "identify", None))
    }


def _isolated(source: Component, registry: Registry) -> IdentityRule:
    """Keep the faults of a source's rule from the other sources; their messages could name a patient or a path."""
    what = f"identify of {in_words(source.kind)} '{source.name}'"

    def rule(header: ImageHeader | None, path: Path) -> ImageIdentity | None:
        if any((each.provenance, each.what) == (source.provenance, what) for each in registry.failures):
            return None
        try:
            with foreign_code(source.provenance):
                answer = source.value.identify(header, path)
        except (Exception, TookTooLong) as error:
            culprit = culprit_of(error, registry)
            cause = type(error).__name__ + (f" at {culprit[1]}" if culprit else "")
        else:
            if answer is None or isinstance(answer, ImageIdentity):
                return answer
            cause = f"returned {type(answer).__name__}, expected ImageIdentity or None"
        cause += "; it is asked about no further image"
        registry.failures.append(Failure(source.provenance, what, cause, source.kind))
        return None

    return rule

"""Make file names from ids, which come from tables and file names of others."""

import hashlib
import re

_PLAIN = re.compile(r"[\w][\w.=+,@ -]*(?<![. ])")
_DIGESTED = re.compile(r".*~[0-9a-f]{16}")
_LONGEST = 120
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def file_name(*parts: str) -> str:
    """Make a file name that stays inside its folder and differs for different parts.

    The parts are joined by ``_``. Letters, digits and ``. = + , @ - _`` stay; a name with anything else, or one that is
    long, keeps its allowed characters and gains 16 digits of its SHA-256: ``../../a`` gives ``_.._a~`` and the digits.
    So does an ambiguous name: ``a``, ``b_c`` and ``a_b``, ``c`` would collide. The caller adds the suffix of the file.

    Args:
        parts: one id, or several that together identify the content of the file.
    """
    text = "_".join(parts)
    if any("_" in part for part in parts[1:]):
        return _digested(text, "\0".join(parts))
    fits = _PLAIN.fullmatch(text) and len(text.encode()) <= _LONGEST
    if fits and not _RESERVED.fullmatch(text) and not _DIGESTED.fullmatch(text):
        return text
    return _digested(text, text)


def _digested(text: str, whole: str) -> str:
    """Return the allowed characters of a text, and a digest of all its parts."""
    digest = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    kept = re.sub(r"[^\w.=+,@-]", "_", text).lstrip(".")
    return f"{kept.encode()[: _LONGEST - 20].decode(errors='ignore')}~{digest}"

"""Parse the choice of a grey window: by its rank or name in a DICOM file, or as centre and width."""

import re

from gazekit.errors import ConfigurationError

FIRST, RANGE = "first", "range"
_NUMBER = r"[-+]?\d+(?:\.\d+)?"

Choice = str | int | tuple[float, float]
"""``"first"``, ``"range"``, a name, a number from 1, or (centre, width)."""


def parse_window(text: str) -> Choice:
    """Parse a choice: ``first``, ``range``, ``2``, ``CENTER,WIDTH`` or a name.

    Raises:
        ConfigurationError: the text is none of these.
    """
    pair = re.fullmatch(rf"\s*({_NUMBER})\s*,\s*({_NUMBER})\s*", text)
    if pair and float(pair[2]) > 0:
        return float(pair[1]), float(pair[2])
    if text.isdecimal() and int(text) > 0:
        return int(text)
    if pair or text.isdecimal() or not text.strip():
        raise ConfigurationError(
            f"window '{text}': expected first, range, a number from 1, the name of a window in the files, "
            "or CENTER,WIDTH with a width above 0"
        )
    return text.strip()

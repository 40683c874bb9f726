"""Every way to break a text file that the tests know: some break every table, others only some."""

import re
from collections.abc import Callable

Damage = Callable[[bytes], bytes]


def first_line(content: bytes) -> bytes:
    return content.partition(b"\n")[0] + b"\n"


def lines(content: bytes) -> list[bytes]:
    return content.splitlines(keepends=True)


def numbers_replaced(by: bytes) -> Damage:
    """The last ten numbers of the file (data in every format) are something else."""

    def damage(content: bytes) -> bytes:
        places = list(re.finditer(rb"-?\d+(\.\d+)?", content))[-10:]
        for place in reversed(places):
            content = content[: place.start()] + by + content[place.end() :]
        return content

    return damage


def recoded(encoding: str, end: bytes = b"") -> Damage:
    return lambda content: content.decode("utf-8-sig", errors="replace").encode(encoding) + end


def cell_inserted(cell: bytes) -> Damage:
    """A line in the middle begins with something that is no cell of any format."""

    def damage(content: bytes) -> bytes:
        rows = lines(content)
        middle = len(rows) // 2
        return b"".join([*rows[:middle], cell + rows[middle], *rows[middle + 1 :]])

    return damage


REFUSED: dict[str, Damage] = {
    "empty": lambda content: b"",
    "one blank": lambda content: b" ",
    "line ends only": lambda content: b"\r\n" * 50,
    "only a byte order mark": lambda content: b"\xef\xbb\xbf",
    "only a UTF-16 mark": lambda content: b"\xff\xfe",
    "zeros": lambda content: bytes(4096),
    "zeros after the first half": lambda content: content[: len(content) // 2] + bytes(1000),
    "binary": lambda content: bytes(range(256)) * 64,
    "a PNG": lambda content: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 8,
    "a DICOM file": lambda content: bytes(128) + b"DICM\x02\0\0\0UL\x04\0" + bytes(200),
    "a ZIP": lambda content: b"PK\x03\x04\x14\0\0\0\x08\0" + bytes(range(256)),
    "another table": lambda content: b"name,colour\nx,red\ny,blue\n",
    "a web page": lambda content: b"<!DOCTYPE html>\n<html><body>404 not found</body></html>\n",
    "deep brackets": lambda content: b"[" * 100_000,
    "one endless line": lambda content: b"a," * 2_000_000,
    "one endless word": lambda content: b"a" * 3_000_000,
    "one endless quote": lambda content: b'"' + b"a,b\n" * 100_000,
    "UTF-16 of odd length": recoded("utf-16", b"x"),
    "the first half of its first line": lambda content: content[: len(first_line(content)) // 2],
}
SURVIVED: dict[str, Damage] = {
    "its first line only": first_line,
    "its first line twice": lambda content: first_line(content) + content,
    "without its first line": lambda content: content[len(first_line(content)) :],
    "cut in a row": lambda content: content[: len(content) * 2 // 3],
    "cut at every length": lambda content: content[: len(content) - 3],
    "cut in a character": lambda content: content + "é".encode()[:1],
    "twice": lambda content: content + content,
    "backwards": lambda content: b"".join([first_line(content), *lines(content)[:0:-1]]),
    "text in numbers": numbers_replaced(b"soon"),
    "nothing in numbers": numbers_replaced(b""),
    "infinity": numbers_replaced(b"inf"),
    "not a number": numbers_replaced(b"nan"),
    "beyond a float": numbers_replaced(b"1e400"),
    "near the end of floats": numbers_replaced(b"1e308"),
    "just above 0": numbers_replaced(b"1e-308"),
    "below 0": numbers_replaced(b"-17"),
    "0": numbers_replaced(b"0"),
    "digits without end": numbers_replaced(b"9" * 5000),
    "Arabic digits": numbers_replaced("٣".encode()),
    "an underscore": numbers_replaced(b"1_0"),
    "hexadecimal": numbers_replaced(b"0x1F"),
    "semicolons": lambda content: content.replace(b",", b";"),
    "tabs": lambda content: content.replace(b",", b"\t"),
    "commas": lambda content: content.replace(b"\t", b",").replace(b";", b","),
    "no separators": lambda content: content.replace(b",", b"").replace(b"\t", b"").replace(b";", b""),
    "an unclosed quote": cell_inserted(b'"'),
    "a long cell": cell_inserted(b"x" * 200_000),
    "a line of 3 MB": cell_inserted(b"1," * 1_500_000),
    "deep brackets in a row": cell_inserted(b"[(" * 50_000),
    "a zero in a row": cell_inserted(b"\0"),
    "no UTF-8 in a row": cell_inserted(b"\xff\xfe\x80\x81"),
    "a lone surrogate": cell_inserted(b"\xed\xa0\x80"),
    "lines that only look like ends": cell_inserted("\u2028\x0b\x0c\x1c\x85".encode()),
    "UTF-16": recoded("utf-16"),
    "UTF-16 without a mark": recoded("utf-16-le"),
    "UTF-16 the other way": lambda content: b"\xfe\xff" + recoded("utf-16-be")(content),
    "UTF-32": recoded("utf-32"),
    "another byte order mark": lambda content: b"\xef\xbb\xbf\xef\xbb\xbf" + content,
    "old line ends": lambda content: content.replace(b"\r\n", b"\n").replace(b"\n", b"\r"),
    "mixed line ends": lambda content: b"".join(
        line.rstrip(b"\r\n") + (b"\r\n", b"\n", b"\r")[i % 3] for i, line in enumerate(lines(content))
    ),
    "blank lines": lambda content: b"\n \n".join(lines(content)),
    "no end of its last line": lambda content: content.rstrip(b"\r\n"),
}

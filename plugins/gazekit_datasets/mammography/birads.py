"""Turn BI-RADS categories into labels."""

from dataclasses import dataclass
from typing import Literal

from gazekit.errors import ConfigurationError, DataError

CATEGORIES = ("1", "2", "3", "4", "4a", "4b", "4c", "5", "6")
"""Categories from least to most suspicious; a grade is a position in this list."""

Labels = Literal["malignancy", "birads", "birads_4abc"]
Category3 = Literal["drop", "benign", "malignant"]


@dataclass(frozen=True, slots=True)
class BiradsLabels:
    """Rules that map categories to classes.

    Args:
        used: the categories of the data set.
        labels: ``"malignancy"``: 1 and 2 benign; 4, 5 and 6 malignant. ``"birads"``: the categories, 4a to 4c as 4.
            ``"birads_4abc"``: the categories as they are.
        category3: use of category 3 (probably benign) if the labels are malignancy.

    Raises:
        ConfigurationError: a ``category3`` that cannot have an effect.

    Source: the malignancy rule of Shen et al. 2019, DOI 10.1038/s41598-019-48995-4.
    """

    used: tuple[str, ...]
    labels: Labels = "malignancy"
    category3: Category3 = "drop"

    def __post_init__(self) -> None:
        if self.labels != "malignancy" and self.category3 != "drop":
            raise ConfigurationError(
                f"birads3 is {self.category3!r}, but with labels {self.labels!r} category 3 is a separate class; "
                "leave birads3 out, or choose labels 'malignancy'"
            )

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, the positive one last."""
        if self.labels == "malignancy":
            return ("benign", "malignant")
        return tuple(dict.fromkeys(map(self._category, self.used)))

    def grade(self, category: str, where: str) -> int:
        """Return the grade of a category, as written in a table. Raises: DataError."""
        word = category.lower().removeprefix("bi-rads").strip()
        if word not in self.used:
            raise DataError(f"{where}: BI-RADS is {category[:40]!r}; expected one of {', '.join(self.used)}")
        return CATEGORIES.index(word)

    def label(self, grade: int) -> str | None:
        """Return the class of a grade; None if it has none."""
        category = CATEGORIES[grade]
        if self.labels != "malignancy":
            return self._category(category)
        if category == "3":
            return None if self.category3 == "drop" else self.category3
        return "benign" if category in ("1", "2") else "malignant"

    def name(self, grade: int) -> str:
        """Word a grade."""
        return f"BI-RADS {CATEGORIES[grade]}"

    def _category(self, category: str) -> str:
        return category[0] if self.labels == "birads" else category

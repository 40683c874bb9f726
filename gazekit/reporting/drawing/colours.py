"""Colours of figures and pages: legible in print, on screens and to colour-blind readers."""

from typing import Final

INK: Final = "#1f2933"
"""Text and axes; pages replace it by their text colour, so that figures follow light and dark mode."""
MUTED: Final = "#667085"
"""Secondary text and guide lines; replaced likewise."""
SERIES: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Lines of a chart in order: Okabe and Ito's palette, https://jfly.uni-koeln.de/color/."""
OUTLINE: Final = "#5ef2ff"
"""Outline of a lesion mask; not among the colours of attention."""
ATTENTION: Final = "plasma"
"""Matplotlib colour map of attention: perceptually uniform, without the greys of the image."""
GAZE: Final = "viridis"
"""Colour map of gaze drawn over the same image as attention; side by side both have the colours of attention."""

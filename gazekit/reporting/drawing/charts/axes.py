"""Style shared by all charts."""

from matplotlib.axes import Axes

from gazekit.reporting.drawing.colours import INK, MUTED


def key(axes: Axes, *, columns: int = 5) -> None:
    """Draw the legend above the axes, where it covers no line."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=columns,
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        handlelength=1.5,
        columnspacing=1.3,
        handletextpad=0.5,
    )


def finish(axes: Axes) -> None:
    """Remove the box around axes and set colours that follow light and dark mode."""
    axes.set_facecolor("none")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=9.5)
    axes.xaxis.label.set(color=INK, fontsize=10.5)
    axes.yaxis.label.set(color=INK, fontsize=10.5)
    axes.grid(color=MUTED, alpha=0.18, linewidth=0.7)

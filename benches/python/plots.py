"""The plots of cost against size: small SVG files, the same bytes for the same figures."""

import itertools

# Text stays text, names of parts do not depend on chance, and no file says when or with what it was made.
STYLE = {
    "svg.hashsalt": "arcgrad",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}
METADATA = {"Date": None, "Creator": None}
LINES = {"arcgrad": "-", "torch": "--"}


def plural(unit):
    """Several of the unit."""
    return unit + ("es" if unit.endswith("ch") else "s")


def draw(growths, folder):
    """Write a plot for each into the folder; False, and nothing written, without matplotlib."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
        from matplotlib.ticker import EngFormatter
    except ImportError:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        for growth in growths:
            figure = Figure(figsize=(6, 4), layout="constrained")
            axes = figure.subplots()
            fill(axes, growth)
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
            axes.yaxis.set_major_formatter(EngFormatter(unit="s"))
            axes.minorticks_off()
            figure.savefig(folder / growth.file, metadata=METADATA)
    return True


def fill(axes, growth):
    """Draw the growth's series: a colour for each, a kind of line for each peer."""
    for series, colour in zip(growth.series, itertools.cycle(f"C{n}" for n in range(10)), strict=False):
        for peer, points in series.seconds.items():
            if points:
                label = series.name if peer == "arcgrad" else None
                axes.plot(list(points), list(points.values()), LINES[peer], color=colour, marker=".", label=label)
    axes.set(yscale="log", xlabel=plural(growth.unit), ylabel="time")
    axes.set_xscale("log", base=2 if growth.unit in {"thread", "branch"} else 10)
    axes.legend(title="solid: arcgrad, dashed: PyTorch", title_fontsize="small", fontsize="small")

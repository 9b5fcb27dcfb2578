"""One palette and one set of font sizes for every picture of the course.

Safe for color-blind readers: the named colors are Okabe and Ito's, magnitudes use a perceptually even map,
signed values a diverging one centered at zero, and nothing sets red against green.
"""

import matplotlib as mpl

MAGNITUDES = "viridis"
SIGNED = "PuOr_r"  # orange above zero, purple below, white at zero

# The course's recurring quantities: one color each, in every notebook.
DIAGONAL = "#0072B2"  # blocks on the diagonal: inside a chunk
OFF_DIAGONAL = "#E69F00"  # blocks below the diagonal: between chunks
STATE = "#009E73"
OUTPUT = "#CC79A7"
ATTENTION = "#D55E00"  # softmax, the one that is not an SSM
NEUTRAL = "#555555"  # reference lines, what came before

# Decorates every figure function, so that what it draws has the course's look.
styled = mpl.rc_context(
    {
        "figure.facecolor": "white",
        "axes.facecolor": "white",
        "text.color": "black",
        "axes.edgecolor": "black",
        "axes.labelcolor": "black",
        "xtick.color": "black",
        "ytick.color": "black",
        "font.family": "DejaVu Sans",  # comes with Matplotlib, so pictures look alike on every machine
        "font.size": 10,
        "figure.titlesize": 12,
        "axes.titlesize": 11,
        "axes.labelsize": 10,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "legend.fontsize": 9,
        "legend.frameon": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "image.cmap": MAGNITUDES,
        "image.interpolation": "nearest",
        "lines.linewidth": 1.8,
        "lines.markersize": 5,
    }
)

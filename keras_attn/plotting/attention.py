"""Attention scores as heat maps: where each output token looked."""

import math
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

INCHES_PER_TOKEN = 0.3
FIGURE_MARGIN = 1.0  # inches for the labels of the other axis
INCHES_PER_SMALL_TOKEN = 0.15
SMALLEST_MAP = 0.8  # inches, for the title above it
SPACE = "\N{OPEN BOX}"


def attention_map(
    scores: Any,
    source: Sequence[str],
    target: Sequence[str],
    ax: Any = None,
    cmap: str = "viridis",
) -> Any:
    """Draws attention scores, source tokens across and target tokens down.

    The colours span 0 to 1 whatever the scores, so that maps can be compared. A
    space is shown as `␣`, and a character that the fonts of matplotlib cannot draw
    as its code point (`U+65E5`); name a font that has it in
    `matplotlib.rcParams["font.family"]` to see it.

    Args:
        scores: Array of shape `(target_steps, source_steps)`, each row the weights
            of the source steps while one target token is written.
        source: Strings, the source tokens.
        target: Strings, the target tokens.
        ax: The matplotlib axes to draw on. A figure with a size to suit the number
            of tokens is made if None.
        cmap: String, the name of matplotlib's colour map.

    Returns:
        The axes; `ax.figure.savefig(path)` writes the picture.

    Raises:
        ValueError: If the scores are not finite or do not match the tokens.
        ImportError: If matplotlib is not installed.

    Example:

    ```python
    ax = attention_map(scores, source=list("3. Mai 1997"), target=list("1997-05-03"))
    ax.figure.savefig("attention.png")
    ```
    """
    source, target = list(source), list(target)
    scores = _checked(scores, source, target)
    plt = _pyplot()
    if ax is None:
        size = [
            FIGURE_MARGIN + INCHES_PER_TOKEN * steps for steps in scores.shape[::-1]
        ]
        _, ax = plt.subplots(figsize=size, layout="constrained")
    ax.imshow(scores, cmap=cmap, vmin=0.0, vmax=1.0, interpolation="nearest")
    fonts = _fonts()
    across = [_label(token, fonts) for token in source]
    down = [_label(token, fonts) for token in target]
    # Without `parse_math=False`, a "$" would begin a formula.
    ax.set_xticks(range(len(across)), across, parse_math=False)
    ax.set_yticks(range(len(down)), down, parse_math=False)
    ax.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=2)
    for label in ax.get_xticklabels():
        label.set_rotation(90 if len(label.get_text()) > 1 else 0)
    return ax


def attention_heads(
    scores: Any,
    source: Sequence[str],
    target: Sequence[str],
    axes: Any = None,
    cmap: str = "viridis",
) -> Any:
    """Draws the attention scores of all heads of a layer, a small map for each.

    Each map is an `attention_map` under the number of its head. The tokens stand
    beside the outer maps only.

    Args:
        scores: Array of shape `(heads, target_steps, source_steps)`, such as a layer
            returns for one row of the batch with `return_attention_scores=True`.
        source: Strings, the source tokens; of self-attention, those of the target.
        target: Strings, the target tokens.
        axes: The matplotlib axes to draw on, one for each head, as
            `plt.subplots(rows, columns)` makes them. A figure with a size to suit is
            made if None.
        cmap: String, the name of matplotlib's colour map.

    Returns:
        Array of the axes; `axes.flat[0].figure.savefig(path)` writes the picture.

    Raises:
        ValueError: If the scores are not finite or do not match the tokens or axes.
        ImportError: If matplotlib is not installed.

    Example:

    ```python
    _, scores = attention(inputs, return_attention_scores=True)
    axes = attention_heads(scores[0], source=tokens, target=tokens)
    ```
    """
    source, target = list(source), list(target)
    scores = _checked(scores, source, target, heads=True)
    plt = _pyplot()
    if axes is None:
        axes = _grid(plt, *scores.shape)
    axes = np.asarray(axes, dtype=object)
    if axes.size != len(scores):
        raise ValueError(
            f"`axes` must be one for each of the {len(scores)} heads. "
            f"Received: {axes.size} axes"
        )
    for head, ax in enumerate(axes.flat):
        attention_map(scores[head], source, target, ax=ax, cmap=cmap)
        ax.set_title(f"head {head}", fontsize="small")
        ax.tick_params(labelsize="small")
        ax.label_outer()
    return axes


def _checked(
    scores: Any, source: list[str], target: list[str], heads: bool = False
) -> np.ndarray:
    """Returns the scores as an array; raises unless there is one a pair of tokens."""
    scores = np.asarray(scores, dtype="float64")
    rank = 3 if heads else 2
    pairs = (len(target), len(source))
    if scores.ndim != rank or scores.shape[-2:] != pairs or not scores.size:
        raise ValueError(
            f"`scores` must have the shape ({'heads, ' if heads else ''}target tokens, "
            f"source tokens), at least one of each. Received: scores of shape "
            f"{scores.shape}, {len(target)} target tokens, {len(source)} source tokens"
        )
    if not np.all(np.isfinite(scores)):
        raise ValueError("`scores` must be finite. Received: NaN or infinite scores")
    return scores


def _grid(plt: Any, heads: int, rows: int, columns: int) -> Any:
    """Returns axes for all heads, as near to a square as leaves none empty."""
    across = next(
        n for n in range(math.isqrt(heads - 1) + 1, heads + 1) if heads % n == 0
    )
    down = heads // across
    width, height = (
        max(SMALLEST_MAP, INCHES_PER_SMALL_TOKEN * steps) for steps in (columns, rows)
    )
    size = (FIGURE_MARGIN + across * width, FIGURE_MARGIN + down * height)
    _, axes = plt.subplots(
        down, across, figsize=size, layout="constrained", squeeze=False
    )
    return axes


def _label(token: str, fonts: Sequence[Any]) -> str:
    return "".join(_drawable(character, fonts) for character in token)


def _drawable(character: str, fonts: Sequence[Any]) -> str:
    """Returns what to draw for a character, which may have no glyph or no ink."""
    if unicodedata.category(character) == "Zs":
        return SPACE
    visible = not unicodedata.category(character).startswith("C")
    if visible and any(font.get_char_index(ord(character)) for font in fonts):
        return character
    return f"U+{ord(character):04X}"


def _fonts() -> list[Any]:
    """Returns the fonts that matplotlib takes glyphs from."""
    from matplotlib import font_manager

    fonts = []
    for family in font_manager.FontProperties().get_family():
        try:
            path = font_manager.findfont(family, fallback_to_default=False)
        except ValueError:  # not installed; matplotlib goes on to the next
            continue
        fonts.append(font_manager.get_font(path))
    return fonts or [font_manager.get_font(font_manager.findfont("DejaVu Sans"))]


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ModuleNotFoundError as error:
        raise ImportError(
            "Pictures need matplotlib, which is not installed. "
            'Install it with: pip install "keras_attn[plot]"'
        ) from error
    return plt

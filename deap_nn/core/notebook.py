"""Small pieces of HTML for notebooks; all values are escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def paragraph(text: object, *, strong: object = "") -> str:
    """Return a paragraph of text, with `strong` in bold before it."""
    return f"<p><strong>{escape(str(strong))}</strong> {escape(str(text))}</p>"


def table(rows: Iterable[Sequence[object]], head: Sequence[object] = ()) -> str:
    """Return a table; the first cell of each row is its header.

    Examples
    --------
    >>> table([["state", "<finished>"]])
    '<table><tbody><tr><th scope="row">state</th><td>&lt;finished&gt;</td></tr></tbody></table>'
    """
    heads = "".join(f'<th scope="col">{escape(str(name))}</th>' for name in head)
    lines = []
    for first, *others in rows:
        cells = "".join(f"<td>{escape(shown(value))}</td>" for value in others)
        lines.append(f'<tr><th scope="row">{escape(shown(first))}</th>{cells}</tr>')
    top = f"<thead><tr>{heads}</tr></thead>" if heads else ""
    return f"<table>{top}<tbody>{''.join(lines)}</tbody></table>"


def shown(value: object) -> str:
    """Return a value as text for people: floats with four digits, a tuple's values with commas between them."""
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, tuple):
        return ", ".join(map(shown, value))
    return str(value)

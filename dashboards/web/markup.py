"""HTML as values: everything that is not Markup is escaped, so no name from a device can become code."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_VOID = frozenset({"input", "img", "br", "hr", "meta", "link"})

Child = object
"""Markup stays, None and False vanish, iterables are joined, everything else is escaped text."""


class Markup(str):
    """Text that is safe HTML already."""

    __slots__ = ()


def h(tag: str, *children: Child, **attributes: object) -> Markup:
    """One element. A trailing underscore is dropped and the others become dashes; None and False leave it out.

    >>> h("a", "R&D", class_="link", href="/x?a=1&b=2", aria_current=True, hidden=False)
    '<a class="link" href="/x?a=1&amp;b=2" aria-current="true">R&amp;D</a>'
    """
    written = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in _VOID:
        return Markup(f"<{tag}{written}>")
    return Markup(f"<{tag}{written}>{join(children)}</{tag}>")


def join(children: Iterable[Child]) -> Markup:
    """The children one after the other."""
    return Markup("".join(_child(child) for child in children))


def _child(child: Child) -> str:
    if isinstance(child, Markup):
        return child
    if child is None or child is False:
        return ""
    if isinstance(child, (list, tuple)):
        return join(child)
    return escape(str(child))


def _attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    key = name.rstrip("_").replace("_", "-")
    if value is True:
        return f' {key}="true"' if key.startswith("aria-") else f" {key}"
    return f' {key}="{escape(str(value))}"'

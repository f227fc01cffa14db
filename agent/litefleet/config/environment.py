"""``$NAME`` and ``${NAME}`` in values, after YAML has been read.

Expanding one value at a time keeps a ``#``, a quote or a line break of a password from becoming YAML, and what came
out of the environment is never looked at again, so it may hold a ``$`` itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_REFERENCE = re.compile(
    r"\$(?:(?P<dollar>\$)|(?P<bare>[A-Za-z_][A-Za-z0-9_]*)|\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)\}|(?P<broken>\{))"
)
_CONVENTIONAL = re.compile(r"[A-Z_][A-Z0-9_]*")


class ExpansionError(ValueError):
    """A value that cannot be expanded; ``reasons`` never holds a part of a secret."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


def refers_to_environment(text: str) -> bool:
    """Whether :func:`expand` would look at ``text`` at all."""
    return _REFERENCE.search(text) is not None


def expand(text: str, environ: Mapping[str, str], *, secret: bool) -> str:
    """``text`` with its variables replaced; a ``$`` before anything but a name, ``{`` or ``$`` stands for itself.

    ``secret`` says that ``text`` may itself be a secret with an unescaped ``$`` in it: then what merely looks like a
    variable's name is not repeated in the error.
    """
    reasons: list[str] = []

    def value(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        if match["broken"]:
            reasons.append(
                "`${` is not followed by a variable's name and `}`; write `${NAME}`, or `$${` for these characters"
            )
            return ""
        name = match["braced"] or match["bare"]
        found = environ.get(name)
        if found is None:
            obvious = match["braced"] or (match[0] == text and _CONVENTIONAL.fullmatch(name))
            if secret and not obvious:
                reasons.append(
                    f"the `$` at character {match.start() + 1} starts the name of an environment variable that is not "
                    "set; write `$$` for a literal `$`"
                )
            else:
                reasons.append(f"environment variable `{name}` is not set; set it, or write `$$` for a literal `$`")
            return ""
        return found

    expanded = _REFERENCE.sub(value, text)
    if reasons:
        raise ExpansionError(reasons)
    return expanded

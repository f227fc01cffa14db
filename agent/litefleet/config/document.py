"""A YAML file as sections and entries that know their line, and the problems found in them.

Nodes are composed, not constructed: a scalar keeps the text that was written (``007`` stays ``007``), duplicate keys
are seen, and no YAML tag makes a Python object.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import yaml

from litefleet.config.environment import ExpansionError, expand, refers_to_environment
from litefleet.config.values import parse_duration, parse_size
from litefleet.errors import ConfigError

_TAG = "tag:yaml.org,2002:"
_NULL, _STR, _INT, _BOOL, _MERGE = (_TAG + name for name in ("null", "str", "int", "bool", "merge"))
_PLAIN_TAGS = {_TAG + name for name in ("null", "str", "int", "bool", "float", "timestamp", "merge", "value")}
_TRUE, _FALSE = {"true", "yes", "on"}, {"false", "no", "off"}
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: Halves of characters, which YAML escapes can make; the ones left out are bytes of the environment that are no text.
_NO_CHARACTER = re.compile(r"[\ud800-\udc7f\udd00-\udfff]")
#: What a YAML parser quotes in its messages: single characters, the names of its tokens, or parts of the text.
_QUOTED = re.compile(r" ?'([^']*)'")
_MERGES = "`<<` must name a mapping, or a list of mappings, but neither itself nor very many"
#: Mappings that all `<<` of one section may bring in, those inside them included: ten levels of ten are a lot of work.
_MAX_MERGES = 100
_T = TypeVar("_T")


@dataclass(slots=True)
class Problems:
    """Everything wrong with one file, to be reported at once."""

    source: str
    found: dict[tuple[int, str], None] = field(default_factory=dict)

    def add(self, line: int, key: str, text: str) -> None:
        """``line`` 0 means: no line in particular."""
        where = f"{self.source}:{line}: " if line else f"{self.source}: "
        self.found[line, where + (f"{key}: {text}" if key else text)] = None

    def raise_if_any(self) -> None:
        """Raises ConfigError with one line for each problem, in the order of the file."""
        lines = [text for _, text in sorted(self.found, key=lambda problem: problem[0])]
        if len(lines) == 1:
            raise ConfigError(lines[0])
        if lines:
            raise ConfigError(f"{len(lines)} problems in the configuration\n" + "\n".join(lines))


@dataclass(frozen=True, slots=True)
class Context:
    """What reading values needs besides the values."""

    problems: Problems
    #: None leaves ``$`` alone.
    environ: Mapping[str, str] | None
    #: Whether the files that settings name are looked at.
    check_files: bool = False
    #: Variables in which a service manager says where things belong, whether or not values are expanded.
    process: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """One value of the file. Its readers add a problem and return None if the value is not what was asked for."""

    context: Context
    node: yaml.Node
    #: As the user would name it: ``dbs[0].replica.url``.
    path: str
    line: int
    #: Never repeat the value in a message.
    secret: bool = False

    def problem(self, text: str) -> None:
        """Report ``text`` about this entry."""
        self.context.problems.add(self.line, self.path, text)

    def _scalar(self, wanted: str) -> tuple[str, str] | None:
        """The tag and the expanded text of a scalar that is not empty."""
        node = self.node
        if not isinstance(node, yaml.ScalarNode):
            is_list = isinstance(node, yaml.SequenceNode)
            advice = "" if is_list else "; write a value that starts with `{` in quotes"
            self.problem(f"must be {wanted}, not a {'list' if is_list else 'mapping'}{advice}")
            return None
        if node.tag not in _PLAIN_TAGS:
            self.problem("has a YAML tag (`!…`); write a plain value, in quotes if it starts with `!`")
            return None
        text, tag = str(node.value), node.tag
        environ = self.context.environ
        if tag != _NULL and environ is not None and refers_to_environment(text):
            try:
                # What came from the environment has no type yet: it may become a number or a boolean.
                text, tag = expand(text, environ, secret=self.secret), ""
            except ExpansionError as error:
                for reason in error.reasons:
                    self.problem(reason)
                return None
        if tag == _NULL or not text:
            came = " (the environment variable is set to nothing)" if not tag else ""
            self.problem(f"is empty{came}; give it a value or remove the key")
            return None
        return tag, text

    def text(self) -> str | None:
        """The text of a scalar, whatever it looks like to YAML."""
        scalar = self._scalar("text")
        if scalar is None:
            return None
        if not self.secret and _CONTROL.search(scalar[1]):
            self.problem("has a control character, for example a line break")
            return None
        if _NO_CHARACTER.search(scalar[1]):
            self.problem("has an escape that stands for no character")
            return None
        return scalar[1]

    def choice(self, *allowed: str) -> str | None:
        """One of a few words."""
        text = self.text()
        if text is None or text in allowed:
            return text
        self.problem(f"must be one of {', '.join(f'`{word}`' for word in allowed)}")
        return None

    def boolean(self) -> bool | None:
        """A YAML boolean."""
        scalar = self._scalar("true or false")
        if scalar is not None:
            tag, text = scalar
            if tag in (_BOOL, "") and text.lower() in _TRUE | _FALSE:
                return text.lower() in _TRUE
            self.problem("must be true or false, without quotes")
        return None

    def integer(self, *, minimum: int, maximum: int = 2**53) -> int | None:
        """A whole number from ``minimum`` to ``maximum``."""
        scalar = self._scalar("a whole number")
        if scalar is None:
            return None
        tag, text = scalar
        if tag not in (_INT, "") or not _INTEGER.fullmatch(text):
            self.problem("must be a whole number in decimal digits, without quotes")
        elif not minimum <= int(text) <= maximum:
            self.problem(f"must be {minimum} or more" if int(text) < minimum else f"must be {maximum} or less")
        else:
            return int(text)
        return None

    def size(self, *, minimum: int) -> int | None:
        """Bytes."""
        size = self._parsed("a size", parse_size)
        if size is not None and size < minimum:
            self.problem(f"must be {minimum} bytes or more")
            return None
        return size

    def duration(self, *, zero: bool) -> float | None:
        """Seconds, not negative, and zero only if ``zero``."""
        seconds = self._parsed("a time", parse_duration)
        if seconds is not None and (seconds < 0 or (seconds == 0 and not zero)):
            self.problem("must not be negative" if zero else "must be more than zero")
            return None
        return seconds

    def _parsed(self, wanted: str, parse: Callable[[str], _T]) -> _T | None:
        scalar = self._scalar(wanted)
        if scalar is None:
            return None
        try:
            return parse(scalar[1])
        except ValueError as error:
            self.problem(str(error))
            return None

    def file(self) -> Path | None:
        """An absolute path."""
        text = self.text()
        return None if text is None else self.absolute(text)

    def absolute(self, text: str) -> Path | None:
        """``text``, which is this entry's or a part of it, as an absolute path; ``~/`` is the home directory."""
        try:
            path = Path(text).expanduser() if text.startswith("~/") else Path(text)
        except RuntimeError:
            self.problem("starts with `~/`, but this user has no home directory; write the path from `/` on")
            return None
        # Not resolve(): a symbolic link that is moved later must still be followed then.
        return Path(os.path.abspath(path))  # noqa: PTH100

    def check_file(self, path: Path, check: Callable[[Path], None]) -> None:
        """Report what ``check`` says, by ValueError, about the file that this entry names."""
        if self.context.check_files:
            try:
                check(path)
            except ValueError as error:
                self.problem(f"{path}: {error}")

    def items(self) -> list[Entry] | None:
        """The entries of a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            self.problem("must be a list")
            return None
        return [
            Entry(self.context, node, f"{self.path}[{index}]", _line(node), self.secret)
            for index, node in enumerate(self.node.value)
        ]

    def one_or_more(self) -> list[Entry] | None:
        """The entries of a list that is not empty, or the one scalar that stands for it."""
        entries = self.items() if isinstance(self.node, yaml.SequenceNode) else [self]
        if not entries:
            self.problem("is an empty list; give it a value or remove the key")
            return None
        return entries

    def section(self) -> Section | None:
        """The keys of a mapping."""
        if isinstance(self.node, yaml.MappingNode):
            merges = iter(range(_MAX_MERGES))
            return Section(self.context, self.path, self.line, dict(_entries(self, self.node, merges)))
        empty = isinstance(self.node, yaml.ScalarNode) and self.node.tag == _NULL
        self.problem("is empty; give it keys or remove it" if empty else "must be a mapping of keys to values")
        return None


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping of the file."""

    context: Context
    path: str
    line: int
    entries: Mapping[str, Entry]

    def problem(self, text: str) -> None:
        """Report ``text`` about the mapping as a whole."""
        self.context.problems.add(self.line, self.path, text)

    def get(self, key: str) -> Entry | None:
        """The value of ``key``, if it is there."""
        return self.entries.get(key)


#: Values of these keys can hold a secret anywhere in them.
SECRET_KEYS = frozenset({"url", "password", "token", "nkey", "jwt", "seed"})


def _entries(parent: Entry, mapping: yaml.MappingNode, merges: Iterator[int]) -> Iterator[tuple[str, Entry]]:
    """Keys of ``mapping``; those that ``<<`` brings in come first, so that the mapping's own win."""
    own: dict[str, Entry] = {}
    for key, value in mapping.value:
        if key.tag == _MERGE:
            yield from _merged(parent, value, merges)
        elif not isinstance(key, yaml.ScalarNode):
            parent.context.problems.add(_line(key), parent.path, "a key must be a word, not a list or mapping")
        elif (name := str(key.value)) in own:
            own[name].context.problems.add(
                _line(key), _join(parent.path, name), f"is given twice, first in line {own[name].line}; keep one"
            )
        else:
            own[name] = Entry(parent.context, value, _join(parent.path, name), _line(key), name in SECRET_KEYS)
    yield from own.items()


def _merged(parent: Entry, value: yaml.Node, merges: Iterator[int]) -> Iterator[tuple[str, Entry]]:
    nodes = value.value if isinstance(value, yaml.SequenceNode) else [value]
    if not all(isinstance(node, yaml.MappingNode) for node in nodes):
        parent.context.problems.add(_line(value), parent.path, _MERGES)
        return
    for node in reversed(nodes):  # of several, YAML lets the first win
        if next(merges, None) is None:
            parent.context.problems.add(_line(value), parent.path, _MERGES)
            return
        yield from _entries(parent, node, merges)


def read(text: str, context: Context) -> Section | None:
    """The top level of a file; None if it is no YAML mapping, which is then the only problem."""
    problems = context.problems
    try:
        # Not the C loader: text that nests deeply ends it, and the process, by a stack overflow.
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = _QUOTED.sub(_without_content, error.problem or "cannot be read")
        problems.add(
            mark.line + 1 if mark else 0,
            "",
            f"not valid YAML: {what}; look for a missing quote, `:` or indentation, and write values that start with "
            "or contain `: # & * ! % @ [ {` in quotes",
        )
    except (yaml.YAMLError, ValueError, OverflowError):  # the latter two for escapes and versions without a meaning
        problems.add(0, "", "not valid YAML: it has a character that YAML does not allow; write the file as UTF-8 text")
    except RecursionError:
        problems.add(0, "", "not valid YAML: lists or mappings are nested too deeply")
    else:
        if node is not None and not (isinstance(node, yaml.ScalarNode) and node.tag == _NULL):
            return Entry(context, node, "", _line(node)).section()
        problems.add(0, "", "is empty; list the databases to protect under `dbs`")
    return None


def _without_content(quoted: re.Match[str]) -> str:
    return quoted[0] if len(quoted[1]) == 1 or quoted[1].startswith("<") else ""


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key

"""Reads a YAML 1.2 file for `plant/config_file.py`, and refuses what would only come to grief later.

That is: a key given twice, an alias inside what it names, and a small file that aliases blow up to millions of values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from plant.config_document import in_order
from plant.errors import ConfigError, Mistake, UserInputError

MAX_BYTES = 5_000_000
MAX_REPEATED = 100_000
"""How many values the aliases of a file may stand for, all together."""


def read_yaml(path: Path) -> CommentedMap:
    """The sections as written, with their lines. Raises ConfigError, or UserInputError without a readable file."""
    text = _text(path)
    yaml = YAML(typ="rt", pure=True)
    yaml.Constructor = _Constructor
    try:
        tree = yaml.load(text)
    except _Refused as refused:
        mistakes = [Mistake(path, line, "YAML", wrong, right) for line, wrong, right in refused.findings]
        raise ConfigError(path, in_order(mistakes, path)) from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        # What comes after “with value” is the whole section as Python prints it.
        wrong = str(error.problem or error.context).splitlines()[0].partition(" with value ")[0] + "."
        raise ConfigError(
            path, [Mistake(path, line, "YAML", wrong, "Check indentation, colons and quotes there.")]
        ) from None
    except YAMLError as error:
        raise ConfigError(path, [Mistake(path, None, "YAML", str(error), "")]) from None
    except RecursionError:
        wrong = "it is nested too deep."
        raise ConfigError(path, [Mistake(path, None, "YAML", wrong, "Check brackets and indentation.")]) from None
    if not isinstance(tree, CommentedMap):
        wrong = "the file holds no sections." if tree is None else "the file does not start with sections."
        raise ConfigError(path, [Mistake(path, 1, "plant.yaml", wrong, "Write plant:, sources: and machines:.")])
    return tree


def _text(path: Path) -> str:
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise UserInputError(
                f"{path} holds {size / 1e6:.1f} MB; at most {MAX_BYTES / 1e6:g} MB are read.",
                next_step="Put the tags into tag lists, or into templates for units of one kind: docs/tag-lists.md.",
            )
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserInputError(
            f"There is no file {path}.", next_step="Give the path of a plant.yaml; examples/ holds some to copy."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserInputError(f"{path} cannot be read: {error}.", next_step="It must be a UTF-8 text file.") from None


class _Refused(Exception):  # noqa: N818 - no error of the program: read_yaml turns it into mistakes
    def __init__(self, findings: list[tuple[int, str, str]]) -> None:
        super().__init__()
        self.findings = findings
        """Line, what is wrong, what would be right."""


class _Constructor(RoundTripConstructor):
    """Looks at the whole file before anything is made of it."""

    def construct_document(self, node: Any) -> Any:
        examined = _Examination()
        repeated = examined.size_of(node) - len(examined.sizes)
        if repeated > MAX_REPEATED:
            examined.tell(examined.too_big or node, f"the aliases stand for more than {MAX_REPEATED} values.", _FEWER)
        if examined.findings:
            raise _Refused(examined.findings)
        return super().construct_document(node)

    def construct_object(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001 - as in the base
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError):
            if not isinstance(node, ScalarNode):
                raise
            wrong = f"“{node.value:.40}” looks like a number or a date and is none."
            raise _Refused([(node.start_mark.line + 1, wrong, "Correct it, or put it in quotes.")]) from None


_FEWER = "Write a template (under templates) for machines of one kind, or fewer aliases (*name)."


@dataclass(slots=True)
class _Examination:
    """Sees each written node once, however many aliases lead to it."""

    findings: list[tuple[int, str, str]] = field(default_factory=list)
    sizes: dict[int, int] = field(default_factory=dict)
    """Values that each node stands for, itself included, by its identity; 0 while its parts are being looked at."""
    too_big: Node | None = None

    def tell(self, node: Node, wrong: str, right: str) -> None:
        self.findings.append((node.start_mark.line + 1, wrong, right))

    def size_of(self, node: Node) -> int:
        known = self.sizes.get(id(node))
        if known is not None:
            if known == 0:
                self.tell(node, "an alias (*name) stands inside what it names.", "Write the values out.")
            return known
        self.sizes[id(node)] = 0
        size = 1 + sum(map(self.size_of, self._parts(node)))
        self.sizes[id(node)] = size
        if size > MAX_REPEATED and self.too_big is None:
            self.too_big = node
        return size

    def _parts(self, node: Node) -> list[Node]:
        if isinstance(node, MappingNode):
            self._tell_twins(node)
            return [part for pair in node.value for part in pair]
        return list(node.value) if isinstance(node, SequenceNode) else []

    def _tell_twins(self, section: MappingNode) -> None:
        first: dict[tuple[str, str], Node] = {}
        for key, _ in section.value:
            if not isinstance(key, ScalarNode):
                continue
            before = first.setdefault((str(key.tag), key.value), key)
            if before is not key:
                wrong = f"the key “{key.value}” stands in line {before.start_mark.line + 1} already."
                self.tell(key, wrong, "Remove one of the two.")

"""Groups and attributes of a Liberty file, and the functions of its pins."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Group", "compiled", "inputs_of", "numbers", "parse"]

_TOKEN = re.compile(
    r'/\*.*?\*/|//[^\n]*|\\\r?\n|"(?:[^"\\]|\\.|\\\n)*"|[{}();:,]|[^\s{}();:,"]+', re.S
)
_OPERAND = re.compile(r"\s*(?:([A-Za-z_]\w*)|([01])|([()!'^*&+|]))")


@dataclass
class Group:
    """A group.

    Attributes:
        kind: What it is: ``cell``, ``pin``, ``timing``.
        arguments: What stands in its parentheses.
        attributes: Simple ones, as they are written; of complex ones the list of their arguments.
        groups: What is in it.
    """

    kind: str
    arguments: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)
    groups: list["Group"] = field(default_factory=list)

    def all(self, kind: str) -> Iterator["Group"]:
        """The groups of a kind."""
        return (group for group in self.groups if group.kind == kind)

    def number(self, name: str, otherwise: float = 0.0) -> float:
        """A simple attribute as a number."""
        return float(self.attributes.get(name, otherwise))


def parse(text: str) -> Group | None:
    """The outermost group of a file, or None if it has none.

    Raises:
        ValueError: if it ends within a group.
    """
    tokens = [
        token
        for token in _TOKEN.findall(text)
        if token[:2] not in ("/*", "//") and token[0] != "\\"
    ]
    place = 0

    def arguments() -> list[str]:
        """Up to the closing parenthesis, from behind the opening one."""
        nonlocal place
        found = []
        while tokens[place] != ")":
            if tokens[place] != ",":
                found.append(_bare(tokens[place]))
            place += 1
        place += 1
        return found

    def group(kind: str, given: list[str]) -> Group:
        nonlocal place
        made = Group(kind, given)
        while tokens[place] != "}":
            name = tokens[place]
            place += 1
            if name == ";":
                continue
            if tokens[place] == ":":
                place += 1
                words = []
                while tokens[place] not in (";", "}"):
                    words.append(_bare(tokens[place]))
                    place += 1
                made.attributes[name] = " ".join(words)
            elif tokens[place] == "(":
                place += 1
                given = arguments()
                if place < len(tokens) and tokens[place] == "{":
                    place += 1
                    made.groups.append(group(name, given))
                else:
                    made.attributes[name] = given
        place += 1
        return made

    try:
        while place < len(tokens):
            if tokens[place] == "library" and tokens[place + 1] == "(":
                place += 2
                given = arguments()
                if tokens[place] == "{":
                    place += 1
                    return group("library", given)
            place += 1
    except IndexError:
        raise ValueError("ends within a group") from None
    return None


def numbers(group: Group, name: str) -> list[list[float]]:
    """The rows of numbers of a complex attribute."""
    return [
        [float(word) for word in row.replace(",", " ").split()]
        for row in group.attributes.get(name, [])
    ]


def inputs_of(function: str) -> list[str]:
    """The pins of a function, in the order of their first use."""
    return list(dict.fromkeys(re.findall(r"[A-Za-z_]\w*", function)))


def compiled(function: str) -> Callable[..., Any]:
    """A function of pins as one of Python, by position as `inputs_of` names them.

    It works on whole numbers or arrays of them, each bit for itself.

    Raises:
        ValueError: if it is not understood.
    """
    rest = function.strip()
    tokens: list[str] = []
    while rest:
        match = _OPERAND.match(rest)
        if match is None:
            raise ValueError(f"the function {function!r} is not understood")
        tokens.append(match[1] or match[2] or match[3])
        rest = rest[match.end() :].strip()
    tokens.append("")
    place = 0

    def taken(*wanted: str) -> bool:
        nonlocal place
        if tokens[place] in wanted:
            place += 1
            return True
        return False

    def factor() -> str:
        nonlocal place
        if taken("!"):
            return f"~{factor()}"
        token = tokens[place]
        place += 1
        if token == "(":
            text = f"({either()})"
            if not taken(")"):
                raise ValueError(f"the function {function!r} is not understood")
        elif token in ("0", "1"):
            text = "zero" if token == "0" else "~zero"
        elif token and (token[0].isalpha() or token[0] == "_"):
            text = f"p_{token}"
        else:
            raise ValueError(f"the function {function!r} is not understood")
        while taken("'"):
            text = f"(~{text})"
        return text

    def odd() -> str:
        text = factor()
        while taken("^"):
            text = f"({text} ^ {factor()})"
        return text

    def both() -> str:
        text = odd()
        # Two operands side by side are a product too.
        while (
            taken("*", "&")
            or tokens[place] == "("
            or tokens[place] == "!"
            or (tokens[place][:1].isalnum() or tokens[place][:1] == "_")
        ):
            text = f"({text} & {odd()})"
        return text

    def either() -> str:
        text = both()
        while taken("+", "|"):
            text = f"({text} | {both()})"
        return text

    text = either()
    if tokens[place]:
        raise ValueError(f"the function {function!r} is not understood")
    names = ", ".join(f"p_{name}" for name in inputs_of(function))
    return eval(f"lambda zero{', ' if names else ''}{names}: {text}")


def _bare(token: str) -> str:
    return re.sub(r"\\\r?\n", " ", token[1:-1]) if token[0] == '"' else token

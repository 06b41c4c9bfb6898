"""Arithmetic in RTLIL that suits the words of a simulator.

A simulator keeps a sum of 17 bits in a word of 32, and cuts and extends it wherever it is made and
used. What cannot overflow is the same number in the whole word, where it takes neither. A shift to
the left has room for the furthest one; where nobody looks at that, it may fit a word.
"""

import re

__all__ = ["fit_words"]

WORDS = (32, 64)

_MODULE = re.compile(r"^module \\\S+\n.*?^end\n", re.M | re.S)
_CELL = re.compile(
    r"^  cell \$(\w+) (\S+)\n"
    r"    parameter \\A_SIGNED 1\n"
    r"    parameter \\B_SIGNED 1\n"
    r"    parameter \\A_WIDTH (\d+)\n"
    r"    parameter \\B_WIDTH (\d+)\n"
    r"    parameter \\Y_WIDTH (\d+)\n"
    r"    connect \\A ([^\n]*)\n"
    r"    connect \\B ([^\n]*)\n"
    r"    connect \\Y ([^\n]*)\n"
    r"  end\n",
    re.M,
)
_RESULT = re.compile(
    r"^(  cell \$(shl|mul|add|sub) \S+\n(?:    [^\n]*\n)*?    parameter \\Y_WIDTH )\d+"
    r"(\n(?:    [^\n]*\n)*?    connect \\Y (\$\d+)\n)",
    re.M,
)
_PLACE = re.compile(r"(?<=[ {])(\$\d+) \[(\d+)(?::\d+)?\]")
_WIRE = re.compile(r"^  wire width (\d+) (\$\d+)$", re.M)
_USED = re.compile(r"(?<=[ {])\$\d+(?= (?!\[)|$)", re.M)
_USES = ("connect ", "assign ", "switch ", "update ", "case ")
_COMPARED = ("lt", "le", "gt", "ge", "eq", "ne")


def fit_words(text: str) -> str:
    """RTLIL that does the same in other widths.

    Signed sums and products that cannot overflow have 32 or 64 bits; shifts to the left, and what
    has more than 64 bits, those that are used.
    """
    return _MODULE.sub(lambda match: _widen_module(_trim_module(match[0])), text)


def _trim_module(body: str) -> str:
    declared = {name: int(width) for width, name in _WIRE.findall(body)}
    used = {
        name: 1
        for _, kind, _, name in _RESULT.findall(body)
        if kind == "shl" or declared.get(name, 0) > WORDS[-1]
    }
    used = {name: bits for name, bits in used.items() if name in declared}
    if not used:
        return body
    for line in body.split("\n"):
        if not line.lstrip().startswith(_USES) or line.startswith("    connect \\Y "):
            continue
        for name, place in _PLACE.findall(line):
            if name in used:
                used[name] = max(used[name], int(place) + 1)
        used |= {name: declared[name] for name in _USED.findall(line) if name in used}

    def trimmed(match: re.Match[str]) -> str:
        before, _, after, name = match.groups()
        return f"{before}{used[name]}{after}" if name in used else match[0]

    body = _RESULT.sub(trimmed, body)
    return _WIRE.sub(lambda match: f"  wire width {used.get(match[2], match[1])} {match[2]}", body)


def _widen_module(body: str) -> str:
    declared = {name: int(width) for width, name in _WIRE.findall(body)}
    words: dict[str, int] = {}
    for kind, _, a, b, y, _, _, result in _CELL.findall(body):
        bits, least = int(y), _exact_bits(kind, int(a), int(b))
        if least and bits >= least and declared.get(result) == bits:
            word = next((word for word in WORDS if bits < word), bits)
            words[result] = word
    if not words:
        return body

    def operand(value: str, width: str) -> tuple[str, str]:
        name, _, place = value.partition(" ")
        whole = name in words and place in ("", f"[{declared[name] - 1}:0]")
        if whole and int(width) == declared[name]:
            return name, str(words[name])
        return _cut(value), width

    def cell(match: re.Match[str]) -> str:
        kind, name, a_width, b_width, y_width, a, b, y = match.groups()
        if kind in ("add", "sub", "mul", *_COMPARED):
            a, a_width = operand(a, a_width)
            b, b_width = operand(b, b_width)
        return (
            f"  cell ${kind} {name}\n"
            "    parameter \\A_SIGNED 1\n"
            "    parameter \\B_SIGNED 1\n"
            f"    parameter \\A_WIDTH {a_width}\n"
            f"    parameter \\B_WIDTH {b_width}\n"
            f"    parameter \\Y_WIDTH {words.get(y, y_width)}\n"
            f"    connect \\A {a}\n"
            f"    connect \\B {b}\n"
            f"    connect \\Y {y}\n"
            "  end\n"
        )

    def _cut(value: str) -> str:
        return _USED.sub(
            lambda match: (
                f"{match[0]} [{declared[match[0]] - 1}:0]" if match[0] in words else match[0]
            ),
            value,
        )

    def wire(match: re.Match[str]) -> str:
        return f"  wire width {words.get(match[2], match[1])} {match[2]}"

    parts, end = [], 0
    for match in _CELL.finditer(body):
        parts += [_others(body[end : match.start()], _cut), cell(match)]
        end = match.end()
    parts.append(_others(body[end:], _cut))
    return _WIRE.sub(wire, "".join(parts))


def _others(text: str, cut) -> str:
    """What is no arithmetic sees what it saw: declarations and names of cells stay."""
    lines = text.split("\n")
    for at, line in enumerate(lines):
        if line.lstrip().startswith(_USES):
            lines[at] = cut(line)
    return "\n".join(lines)


def _exact_bits(kind: str, a: int, b: int) -> int:
    """Bits in which a result cannot overflow; 0 for what is not arithmetic."""
    if kind == "mul":
        return a + b
    return max(a, b) + 1 if kind in ("add", "sub") else 0

"""Registers in Verilog, each assigned where it changes.

Yosys keeps what a register becomes in a signal of its own, which is the register where nothing
changes it, and copies it at every edge. A simulator then works out in every cycle what a block that
stands still becomes, and a reader finds a register's conditions far from its clock.
"""

import re
from collections import Counter

__all__ = ["write_registers"]

_MODULE = re.compile(r"^module .*?^endmodule$", re.M | re.S)
_DECLARED = re.compile(r"^  reg (?:signed )?(?:\[\d+:0\] )?(\\\$\d+) ;\n", re.M)
_EDGE = re.compile(r"^  always_ff @\(posedge ([^)]+)\)\n    (\S+) ? <= (\\\$\d+) ;\n", re.M)
_NEXT = re.compile(r"^  always_comb begin\n(    (\\\$\d+)  = ([^\n]*);\n.*?)^  end\n", re.M | re.S)
_NUMBERED = re.compile(r"\\\$\d+ ")


def write_registers(text: str) -> str:
    """Verilog that does the same, in which a register that keeps its value is not assigned."""
    return _MODULE.sub(lambda match: _write(match[0]), text)


def _write(module: str) -> str:
    declared = {match[1]: match for match in _DECLARED.finditer(module)}
    edges = {match[3]: match for match in _EDGE.finditer(module)}
    used = Counter(_NUMBERED.findall(module))
    changes: dict[tuple[int, int], str] = {}
    for block in _NEXT.finditer(module):
        body, following, first = block.groups()
        if following not in edges or following not in declared:
            continue
        edge = edges[following]
        clock, register = edge[1], edge[2]
        # An escaped name ends with a space.
        name = f"{register} " if register.startswith("\\") else register
        keeps = first.rstrip() == register
        if keeps:
            body = body.partition("\n")[2]
        body, assigned = re.subn(
            rf"^( +){re.escape(following)} (\[[^]]+\])? = ",
            lambda match, name=name: f"{match[1]}{name}{match[2] or ''} <= ",
            body,
            flags=re.M,
        )
        # Its declaration, the edge, the start that fell away; whoever else reads it needs it.
        if used[f"{following} "] != 2 + keeps + assigned:
            continue
        changes[block.span()] = changes[declared[following].span()] = ""
        changes[edge.span()] = (
            f"  always_ff @(posedge {clock}) begin\n{body}  end\n" if body else ""
        )
    pieces, end = [], 0
    for (start, stop), new in sorted(changes.items()):
        pieces += [module[end:start], new]
        end = stop
    return "".join([*pieces, module[end:]])

"""Registers in Verilog, each assigned where it changes.

Yosys keeps what a register becomes in a signal of its own, which is the register where nothing
changes it, and copies it at every edge. A simulator then works out in every cycle what a block that
stands still becomes, and a reader finds a register's conditions far from its clock.
"""

import re

__all__ = ["write_registers"]

_MODULE = re.compile(r"^module .*?^endmodule$", re.M | re.S)
_EDGE = re.compile(r"^  always_ff @\(posedge ([^)]+)\)\n    (\S+) ? <= (\\\$\d+) ;\n", re.M)
_NEXT = re.compile(r"^  always_comb begin\n(    (\\\$\d+)  = ([^\n]*);\n.*?)^  end\n", re.M | re.S)


def write_registers(text: str) -> str:
    """Verilog that does the same, in which a register that keeps its value is not assigned."""
    return _MODULE.sub(lambda match: _write(match[0]), text)


def _write(module: str) -> str:
    edges = {match[3]: match for match in _EDGE.finditer(module)}
    changes: dict[str, str] = {}
    for block in _NEXT.finditer(module):
        body, following, first = block.groups()
        escaped = re.escape(following)
        edge = edges.get(following)
        declared = re.findall(rf"^  reg (?:signed )?(?:\[\d+:0\] )?{escaped} ;\n", module, re.M)
        if edge is None or len(declared) != 1:
            continue
        clock, register = edge[1], edge[2]
        # An escaped name ends with a space.
        name = f"{register} " if register.startswith("\\") else register
        keeps = first.rstrip() == register
        if keeps:
            body = body.partition("\n")[2]
        body, assigned = re.subn(
            rf"^( +){escaped} (\[[^]]+\])? = ",
            lambda match, name=name: f"{match[1]}{name}{match[2] or ''} <= ",
            body,
            flags=re.M,
        )
        # Whoever else reads what the register becomes needs the signal.
        if module.count(f"{following} ") != len(declared) + 1 + keeps + assigned:
            continue
        changes[block[0]] = changes[declared[0]] = ""
        changes[edge[0]] = f"  always_ff @(posedge {clock}) begin\n{body}  end\n" if body else ""
    for old, new in changes.items():
        module = module.replace(old, new, 1)
    return module

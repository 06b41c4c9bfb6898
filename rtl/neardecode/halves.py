"""Any component to Verilog of two halves, for simulators of two threads."""

import json
from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Elaboratable

from neardecode.verilog import write_verilog

__all__ = ["to_halves"]


def to_halves(
    component: Elaboratable, name: str, beside: Sequence[str]
) -> tuple[str, dict[str, Any]]:
    """The Verilog of a component whose top module is no more than the wires between two others.

    Those are ``NAME_beside`` and ``NAME_rest``. Yosys dissolves the modules around the instances
    that are named, and groups what is then in the top module.

    Args:
        component: A component whose signature gives its ports.
        name: The top module's name.
        beside: Instances of the first half, each by the names on the way to it, with dots between.

    Returns:
        The Verilog; and the top module's ``ports`` and ``cells``, as Yosys writes JSON.

    Raises:
        ValueError: if there is no instance of a name.
    """
    ways = [way.split(".") for way in beside]
    around = sorted({".".join(way[:depth]) for way in ways for depth in range(1, len(way))})
    passes = [
        "setattr -mod -set keep_hierarchy 1 *",
        f"setattr -mod -unset keep_hierarchy {name}",
        f"proc {name}",
    ]
    for _ in range(max((len(way) - 1 for way in ways), default=0)):
        for place in around:
            passes += [
                f"select -set around {name}/c:{place} %M",
                "setattr -mod -unset keep_hierarchy @around",
                "proc @around",
            ]
        passes.append(f"flatten {name}")
    passes.append(f'setattr -set submod "rest" {name}/c:*')
    chosen = " ".join(f"{name}/c:{way}" for way in beside)
    passes += [
        f'setattr -set submod "beside" {chosen}',
        f"select -write found.txt {chosen}",
        f"submod {name}",
    ]
    after = (f"select {name}", "write_json -selected top.json", "select -clear")
    text, top, found = write_verilog(component, name, passes, after, ("top.json", "found.txt"))
    lacking = {f"{name}/{way}" for way in beside} - set(found.split())
    if lacking:
        raise ValueError(f"no such instance: {min(lacking)}")
    module = json.loads(top)["modules"][name]
    return text, {part: module[part] for part in ("ports", "cells")}

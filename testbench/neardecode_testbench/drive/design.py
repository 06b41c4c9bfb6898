"""A design under simulation: how it is made, its Verilog, and where its builds are kept."""

import hashlib
import inspect
import json
import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import platformdirs
from amaranth.hdl import Value
from amaranth.lib import wiring

import neardecode
import neardecode_testbench.devices
from neardecode.halves import to_halves
from neardecode.verilog import to_verilog

__all__ = [
    "TOP",
    "Design",
    "Port",
    "build_cache",
    "cpp_name",
    "digest",
    "halves_of",
    "write_atomically",
]

TOP = "dut"
"""The name of every design's top module."""
_HALVES = "// halves: "


@dataclass(frozen=True)
class Port:
    """A port of the top module, beside clk and rst.

    Attributes:
        name: Its name in Verilog.
        width: Its bits.
        is_input: Whether the simulator drives it.
    """

    name: str
    width: int
    is_input: bool


def build_cache() -> Path:
    """The folder that keeps builds, each under the digest of all that it was built from."""
    return platformdirs.user_cache_path("neardecode") / "builds"


def digest(*parts: str | bytes) -> str:
    """A name for exactly these contents."""
    state = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "little") + data)
    return state.hexdigest()[:32]


def write_atomically(path: Path, contents: str | bytes) -> None:
    """Writes a file so that nobody ever sees half of it, text as UTF-8.

    A link is followed; a device or a pipe, which cannot be half there, is written to.

    Raises:
        OSError: naming ``path``; what was there before stays.
    """
    data = contents.encode() if isinstance(contents, str) else contents
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        target = path.resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
        try:
            part.write_bytes(data)
            if target.exists():
                shutil.copymode(target, part)
            os.replace(part, target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


@cache
def _sources() -> str:
    """The digest of the hardware's and the devices' source, and of what turns it into Verilog."""
    parts: list[str | bytes] = [metadata.version("amaranth"), metadata.version("pyosys")]
    for package in (neardecode, neardecode_testbench.devices):
        for folder in package.__path__:
            for path in sorted(Path(folder).rglob("*.py")):
                parts += [path.name, path.read_bytes()]
    return digest(*parts)


@dataclass(frozen=True)
class Design:
    """A component to simulate.

    Attributes:
        component: Its class, or a function that makes it.
        arguments: What it is made with; their ``repr`` must tell them apart.
        beside: Instances that the native runner simulates on a thread of their own, as `to_halves`
            takes them; none, and there is one thread.
    """

    component: Callable[..., wiring.Component]
    arguments: tuple[Any, ...] = ()
    beside: tuple[str, ...] = ()

    def make(self) -> wiring.Component:
        """A new instance."""
        return self.component(*self.arguments)

    def files(self) -> tuple[Path, list[Port]]:
        """Its Verilog file and its ports, converted when nothing like it was before.

        Raises:
            YosysError: if it cannot be converted.
            ValueError: if there is no instance of a name in ``beside``.
        """
        folder = self._folder()
        verilog, ports = folder / f"{TOP}.v", folder / "ports.json"
        if not ports.exists():
            component = self.make()
            listing = [
                Port(
                    "__".join(map(str, path)),
                    len(Value.cast(value)),
                    member.flow == wiring.In,
                )
                for path, member, value in component.signature.flatten(component)
            ]
            if self.beside:
                text, top = to_halves(component, TOP, self.beside)
                # One file: another conversion may call the wires between its halves otherwise.
                text = f"{_HALVES}{json.dumps(top)}\n{text}"
            else:
                text = to_verilog(component, TOP)
            write_atomically(verilog, f"`timescale 1ns/1ps\n{text}")
            write_atomically(ports, json.dumps([vars(port) for port in listing]))
        return verilog, [Port(**port) for port in json.loads(ports.read_text())]

    def _folder(self) -> Path:
        made = (self.component.__module__, self.component.__qualname__, repr(self.arguments))
        halves = (repr(self.beside),) if self.beside else ()
        own = _own_source(self.component)
        return build_cache() / "verilog" / digest(_sources(), *made, own, *halves)


def halves_of(verilog: str) -> dict[str, Any]:
    """The ports and the two halves of a design that has halves, from its Verilog."""
    _, _, text = verilog.partition(_HALVES)
    return json.loads(text[: text.index("\n")])


def cpp_name(port: str) -> str:
    """What a port is called in a Verilated model: double underscores are Verilator's own."""
    return port.replace("__", "___05F")


def _own_source(component: Callable[..., wiring.Component]) -> bytes:
    """The file in which a component is defined: it may be a test's own."""
    path = inspect.getsourcefile(component)
    return Path(path).read_bytes() if path else b""

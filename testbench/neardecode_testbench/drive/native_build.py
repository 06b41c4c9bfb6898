"""Builds of the native runner: Verilog to a library, once for each content, in the user's cache."""

import os
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from neardecode.tools import YosysError
from neardecode_testbench.drive.design import (
    TOP,
    Design,
    Port,
    build_cache,
    cpp_name,
    digest,
    halves_of,
)
from neardecode_testbench.drive.halves import machine_of_halves, read_halves
from neardecode_testbench.drive.toolchain import ToolError, compiler, verilator_root

__all__ = ["build", "call", "compiler_flags", "storage_bytes"]

_HERE = Path(__file__).parent
_CLOCK_LOOP = _HERE / "clock_loop.cpp"
_PARTS = (_CLOCK_LOOP, *(_HERE / name for name in ("whole.h", "halves.h", "pace.h")))
_VERILATOR_FLAGS = (
    "-O3",
    # Compilers take more than twice the time for a function of twice the size.
    "--output-split-cfuncs",
    "3000",
    "--expand-limit",
    "8",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "--no-assert",
    "-Wno-fatal",
)
_COMPILER_FLAGS = ("-std=gnu++17", "-fPIC", "-DVM_SC=0", "-DVM_COVERAGE=0")
_OPTIMISED = "-O1"
"""As fast as -O2 where a cycle is straight code, and compiled in half the time."""
_LOOP_OPTIMISED = "-O2"
"""Of the loop between two halves, which is not straight."""


@dataclass(frozen=True)
class _Model:
    """A class that Verilator is to write.

    Attributes:
        name: What it is called.
        wrapper: Verilog of its top module, of the same name, around one of the design.
    """

    name: str
    wrapper: str


def build(design: Design, trace: bool) -> tuple[Path, list[Port]]:
    """The compiled library and the ports of a design, made when nothing like it was before.

    A design in halves is one model where it is traced.

    Raises:
        ToolError: if a tool is missing or fails, or the design cannot be two halves.
    """
    try:
        verilog, ports = design.files()
        text = verilog.read_text()
        halves = design.beside and not trace
        models, header = _in_halves(text, ports) if halves else _as_whole(ports)
    except (YosysError, ValueError) as error:
        if not design.beside:
            raise
        raise ToolError(f"not to be simulated on two threads: {error}") from None
    verilator, root = verilator_root()
    cxx = compiler()
    flags = (*_VERILATOR_FLAGS, *(("--trace",) if trace else ()))
    key = digest(
        text,
        *(model.wrapper for model in models),
        *(path.read_bytes() for path in _PARTS),
        header,
        " ".join((*flags, *_COMPILER_FLAGS, _OPTIMISED, _LOOP_OPTIMISED)),
        (root / "include" / "verilated_config.h").read_bytes(),
        _version(cxx),
    )
    library = build_cache() / "native" / f"{key}.so"
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:
            (Path(folder) / "ports.h").write_text(header)
            for model in models:
                (Path(folder) / f"{model.name}.v").write_text(model.wrapper)
            _compile(Path(folder), verilog, models, verilator, root, cxx, flags, trace)
            os.replace(Path(folder) / "library.so", library)
    return library, ports


def _compile(
    folder: Path,
    verilog: Path,
    models: Sequence[_Model],
    verilator: Path,
    root: Path,
    cxx: str,
    flags: Sequence[str],
    trace: bool,
) -> None:
    """Verilates and compiles in a folder, every core at work, into ``library.so``."""

    def verilate(model: _Model) -> None:
        call(
            [
                *(str(verilator), "--cc", str(verilog), str(folder / f"{model.name}.v")),
                *("--top-module", model.name, "--prefix", model.name, "-Mdir", str(folder)),
                *flags,
            ],
            env={**os.environ, "VERILATOR_ROOT": str(root)},
        )

    common = [*_command(cxx, root, trace), f"-I{folder}", f"-I{_HERE}"]

    def compile_one(source: Path) -> Path:
        target = folder / f"{source.stem}.o"
        if source == _CLOCK_LOOP and len(models) > 1:
            how = [_LOOP_OPTIMISED]
        else:
            how = [_OPTIMISED, "-include", str(header.result())]
        call([*common, *how, "-c", str(source), "-o", str(target)])
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        header = pool.submit(_header_of_all, folder, root, cxx, trace)
        list(pool.map(verilate, models))
        header.result()
        runtime = pool.submit(_runtime, folder, root, cxx, trace)
        # The largest first, so that the cores end together.
        sources = [*folder.glob("*.cpp"), _CLOCK_LOOP]
        sources.sort(key=lambda path: (-path.stat().st_size, path.name))
        objects = [*pool.map(compile_one, sources), runtime.result()]
    call([cxx, "-shared", *map(str, objects), "-lpthread", "-o", str(folder / "library.so")])


def _command(cxx: str, root: Path, trace: bool) -> list[str]:
    """How a file that knows of Verilator is compiled."""
    include = root / "include"
    return [
        *(cxx, *_COMPILER_FLAGS, f"-DVM_TRACE={int(trace)}", f"-DVM_TRACE_VCD={int(trace)}"),
        *("-DVM_TRACE_FST=0", "-DVM_TRACE_SAIF=0", f"-I{include}", f"-I{include / 'vltstd'}"),
    ]


def _header_of_all(folder: Path, root: Path, cxx: str, trace: bool) -> Path:
    """The header that every file of every model begins with, read when nothing like it was."""
    command = [*_command(cxx, root, trace), _OPTIMISED, "-x", "c++-header"]
    include = root / "include"
    key = digest(
        " ".join(command[1:]),
        *((include / name).read_bytes() for name in ("verilated_config.h", "verilated.h")),
        _version(cxx),
    )
    header = build_cache() / "native" / f"{key}.h"
    made = Path(f"{header}.gch")
    if not made.exists():
        (folder / header.name).write_text('#include "verilated.h"\n')
        call([*command, str(folder / header.name), "-o", str(folder / made.name)])
        for part in (header, made):
            os.replace(folder / part.name, part)
    return header


def _runtime(folder: Path, root: Path, cxx: str, trace: bool) -> Path:
    """What every model needs of Verilator's own, compiled when nothing like it was before."""
    include = root / "include"
    names = ["verilated.cpp", "verilated_threads.cpp"] + ["verilated_vcd_c.cpp"] * trace
    command = [*_command(cxx, root, trace), _OPTIMISED]
    key = digest(
        " ".join(command[1:]),
        *((include / name).read_bytes() for name in ("verilated_config.h", *names)),
        _version(cxx),
    )
    runtime = build_cache() / "native" / f"{key}.o"
    if not runtime.exists():
        objects = [str(folder / f"{name}.o") for name in names]
        for name, target in zip(names, objects, strict=True):
            call([*command, "-c", str(include / name), "-o", target])
        call([cxx, "-r", "-nostdlib", *objects, "-o", str(folder / "runtime.o")])
        os.replace(folder / "runtime.o", runtime)
    return runtime


def _as_whole(ports: Sequence[Port]) -> tuple[list[_Model], str]:
    """One model of a design, and the header of its machine."""
    model = _Model(
        "Model", _wrapper("Model", TOP, [(port.name, port) for port in ports], ("clk", "rst"))
    )
    machine = ['#include "whole.h"', "using Machine = Whole<Model>;"]
    places = [f"machine.model.{cpp_name(port.name)}" for port in ports]
    return [model], _header([model], machine, places)


def _in_halves(verilog: str, ports: Sequence[Port]) -> tuple[list[_Model], str]:
    """The models of a design in halves, and the header of their machine."""
    halves, others = read_halves(halves_of(verilog))
    models = [
        _Model(name, _wrapper(name, half.module, half.ports(), half.clocks))
        for name, half in halves.items()
    ]
    first, second = halves.values()
    machine, places = machine_of_halves(halves), []
    alone: dict[str, str] = {}
    for port in ports:
        same = others.get(port.name, 0)
        name = same if isinstance(same, str) else port.name
        if name in first.host or name in second.host:
            side = "first" if name in first.host else "second"
            places.append(f"machine.{side}.model.{cpp_name(name)}")
            continue
        # What never changes, and what no half looks at.
        if name not in alone:
            value = same if isinstance(same, int) else 0
            data = value.to_bytes(storage_bytes(port.width), "little")
            alone[name] = f"{cpp_name(name)}_alone"
            machine.append(f"static uint8_t {alone[name]}[] = {{{', '.join(map(str, data))}}};")
        places.append(alone[name])
    return models, _header(models, machine, places)


def _header(models: Sequence[_Model], machine: Sequence[str], places: Sequence[str]) -> str:
    """C++ of the machine, and of where its ports are, in the order of a design's."""
    lines = [
        "#pragma once",
        *(f'#include "{model.name}.h"' for model in models),
        *machine,
        "struct Port {",
        "    void* data;",
        "    int bytes;",
        "};",
        f"constexpr int PORT_COUNT = {len(places)};",
        "inline void list_ports(Machine& machine, Port* ports) {",
        *(
            f"    ports[{index}] = {{&{place}, sizeof({place})}};"
            for index, place in enumerate(places)
        ),
        "}",
    ]
    return "\n".join([*lines, ""])


def storage_bytes(width: int) -> int:
    """Bytes in which Verilator keeps a port: 1, 2, 4, 8, or whole words of 4."""
    for size in (1, 2, 4, 8):
        if width <= 8 * size:
            return size
    return 4 * -(-width // 32)


def _wrapper(
    name: str, module: str, ports: Sequence[tuple[str, Port]], clocks: Sequence[str]
) -> str:
    """Verilog that keeps the inputs of a module as they were when ``drive`` last changed.

    Nothing but registers follows an input, so that an edge and the inputs after it settle at once.

    Args:
        name: What it is called.
        module: The module.
        ports: Each port's name, and that of the module which it is.
        clocks: Which of clk and rst the module has.
    """
    inputs = [("rst", Port("rst", 1, True)), *(each for each in ports if each[1].is_input)]
    outputs = [each for each in ports if not each[1].is_input]
    # A port of the module may be several of the model's.
    firsts = {port: outer for outer, port in reversed(outputs)}
    lines = [
        *(f"  input [{port.width - 1}:0] \\{outer} ," for outer, port in inputs),
        *(f"  output [{port.width - 1}:0] \\{outer} ," for outer, port in outputs),
        "  input clk, input drive",
        ");",
        "  // verilator tracing_off",
        *(f"  reg [{port.width - 1}:0] \\{outer}$now ;" for outer, port in inputs),
        "  // verilator tracing_on",
        "  always @(posedge drive or negedge drive) begin",
        *(f"    \\{outer}$now <= \\{outer} ;" for outer, _ in inputs),
        "  end",
        f"  {module} {TOP} (",
        ",\n".join(
            [
                *(
                    f"    .\\{port.name} (\\{outer}$now )"
                    for outer, port in inputs
                    if port.name != "rst" or "rst" in clocks
                ),
                *(f"    .\\{port.name} (\\{outer} )" for port, outer in firsts.items()),
                *(["    .clk(clk)"] if "clk" in clocks else []),
            ]
        ),
        "  );",
        *(
            f"  assign \\{outer} = \\{firsts[port]} ;"
            for outer, port in outputs
            if firsts[port] != outer
        ),
    ]
    return "\n".join([f"module {name}(", *lines, "endmodule", ""])


def _version(program: str) -> str:
    return call([program, "--version"])


def compiler_flags() -> tuple[str, ...]:
    """How every library here is compiled, but for its optimisation."""
    return _COMPILER_FLAGS


def call(command: Sequence[str], env: dict[str, str] | None = None) -> str:
    """What a program prints.

    Raises:
        ToolError: if it fails.
    """
    result = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if result.returncode != 0:
        lines = [line for line in (result.stderr or result.stdout).splitlines() if line.strip()]
        first = next(
            (line for line in lines if "rror" in line), lines[-1] if lines else "no output"
        )
        raise ToolError(f"{Path(command[0]).name} failed: {first}")
    return result.stdout

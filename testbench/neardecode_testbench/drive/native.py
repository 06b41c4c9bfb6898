"""The native runner: Verilator's C++ model and a C++ clock loop, called through a C interface."""

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neardecode_testbench.drive.design import Design
from neardecode_testbench.drive.native_build import build, storage_bytes
from neardecode_testbench.drive.stimulus import (
    Outcome,
    Play,
    Probe,
    Scenario,
    SinkLog,
    Storage,
    StorageError,
    StuckError,
)
from neardecode_testbench.drive.toolchain import ToolError

__all__ = ["NativeRunner", "run"]

LOG_CAPACITY = 1 << 16
"""Accesses that a play may keep for one storage port."""


def run(
    design: Design,
    scenario: Scenario,
    *,
    waves: Path | None,
    wave_cycles: int,
    wave_from: int = 0,
) -> Any:
    """Plays a scenario and returns its result.

    Args:
        design: What to simulate.
        scenario: What to do.
        waves: A VCD file to write.
        wave_cycles: Cycles of it.
        wave_from: Its first cycle.
    """
    runner = NativeRunner(design, trace=waves is not None)
    try:
        if waves is not None:
            runner.trace(waves, wave_cycles, wave_from)
        return scenario(
            lambda step: runner.probe(step) if isinstance(step, Probe) else runner.play(step)
        )
    finally:
        runner.close()


class NativeRunner:
    """A design in the native simulator.

    Args:
        design: What to simulate.
        trace: Build it with waveforms, which is slower.

    Raises:
        ToolError: if there is no compiler, or it fails.
    """

    def __init__(self, design: Design, *, trace: bool = False):
        library, ports = build(design, trace)
        self._library = ctypes.CDLL(str(library))
        self._library.runner_open.restype = ctypes.c_void_p
        for name in ("cycle", "fed", "taken", "reads", "writes"):
            getattr(self._library, f"runner_{name}").restype = ctypes.c_int64
        self._library.runner_bad_address.restype = ctypes.c_uint64
        self._library.runner_port.restype = ctypes.c_void_p
        self._index = {port.name: index for index, port in enumerate(ports)}
        self._width = {port.name: port.width for port in ports}
        self._bytes = {port.name: storage_bytes(port.width) for port in ports}
        self._runner = ctypes.c_void_p(self._library.runner_open())
        # What stands in the model by pointer must outlive the call.
        self._held: dict[str, np.ndarray] = {}
        self._storages: list[Storage] = []

    def close(self) -> None:
        """Ends the simulation."""
        if self._runner:
            self._library.runner_close(self._runner)
            self._runner = ctypes.c_void_p()

    def trace(self, path: Path, cycles: int, first: int = 0) -> None:
        """Writes a VCD file of some cycles."""
        window = ctypes.c_int64(first), ctypes.c_int64(cycles)
        if not self._library.runner_trace(self._runner, str(path).encode(), *window):
            raise ToolError(f"{path}: cannot be written")

    @property
    def cycle(self) -> int:
        """Cycles since reset."""
        return self._library.runner_cycle(self._runner)

    def _set(self, port: str, value: int) -> None:
        self._library.runner_set(
            self._runner, self._index[port], value.to_bytes(self._bytes[port], "little")
        )

    def set_input(self, port: str, value: int) -> None:
        """Sets an input from here on."""
        self._set(port, value)

    @property
    def handle(self) -> int:
        """The model, for functions of its library."""
        return self._runner.value or 0

    def pointer(self, port: str) -> tuple[int, int]:
        """Where a port's bits stand, and in how many bytes."""
        return self._library.runner_port(self._runner, self._index[port]), self._bytes[port]

    def function(self, name: str) -> int:
        """The address of a function of the library, ``settle`` or ``edge``."""
        return ctypes.cast(getattr(self._library, f"runner_{name}"), ctypes.c_void_p).value or 0

    def probe(self, probe: Probe) -> Outcome:
        """Sets inputs, samples outputs, and gives one clock edge."""
        for port, value in probe.levels.items():
            self._set(port, value)
        self._library.runner_look(self._runner)
        outputs = {}
        for port in probe.outputs:
            buffer = ctypes.create_string_buffer(self._bytes[port])
            self._library.runner_get(self._runner, self._index[port], buffer)
            outputs[port] = int.from_bytes(buffer.raw, "little")
        start = self.cycle
        if not self._library.runner_go_on(self._runner):
            raise self._bad_address()
        return Outcome(start, 1, outputs=outputs)

    def play(self, play: Play) -> Outcome:
        """Runs the clock loop until every source is drained and every sink has its count."""
        library, runner = self._library, self._runner
        library.runner_disconnect(runner)
        for port, value in play.levels.items():
            self._set(port, value)

        keep: list[Any] = []
        feeds = []
        for source in play.sources:
            cycles = np.zeros(max(1, len(source.payloads)), np.int64)
            payloads = self._pack(source.payloads, f"{source.stream}__payload")
            stalls = _stalls(source.stalls)
            keep += [payloads, stalls]
            feeds.append(cycles)
            library.runner_feed(
                runner,
                *self._stream(source.stream),
                _pointer(payloads),
                ctypes.c_int64(len(source.payloads)),
                _pointer(stalls),
                ctypes.c_int64(len(stalls)),
                _pointer(cycles),
            )
        drains = []
        for sink in play.sinks:
            port = f"{sink.stream}__payload"
            capacity = sink.count + play.trailing + 1
            cycles = np.zeros(capacity, np.int64)
            payloads = np.zeros((capacity, self._bytes[port]), np.uint8)
            mismatched = np.zeros(capacity, np.uint8)
            expected = None if sink.expected is None else self._pack(sink.expected, port)
            keys = self._pack([sink.keys], port)
            stalls = _stalls(sink.stalls)
            keep += [expected, keys, stalls]
            drains.append((cycles, payloads, mismatched))
            library.runner_drain(
                runner,
                *self._stream(sink.stream),
                None if expected is None else _pointer(expected),
                _pointer(keys),
                ctypes.c_int64(sink.count),
                ctypes.c_int64(capacity),
                _pointer(stalls),
                ctypes.c_int64(len(stalls)),
                _pointer(cycles),
                _pointer(payloads),
                _pointer(mismatched),
            )
        reads, writes = [], []
        self._storages = play.storages
        for storage in play.storages:
            width = self._width[f"{storage.port}__data"]
            if 8 * storage.beat_bytes != width:
                raise ValueError(
                    f"{storage.port}: its beats have {width} bits, not {8 * storage.beat_bytes}"
                )
            if storage.writable != (f"{storage.port}__write" in self._index):
                raise ValueError(
                    f"{storage.port}: the port {'only reads' if storage.writable else 'writes'}"
                )
            memory = storage.memory.reshape(-1).view(np.uint8)
            self._held[storage.port] = memory
            capacity = LOG_CAPACITY if storage.log_every else 1
            for logs in (reads, writes):
                logs.append((np.zeros(capacity, np.int64), np.zeros(capacity, np.uint64)))
            library.runner_memory(
                runner,
                *(self._index[f"{storage.port}__{part}"] for part in ("valid", "address", "data")),
                *(
                    self._index[f"{storage.port}__{part}"] if storage.writable else -1
                    for part in ("write", "write_data")
                ),
                _pointer(memory),
                ctypes.c_int(storage.beat_bytes),
                ctypes.c_uint64(memory.size // storage.beat_bytes),
                ctypes.c_uint64(storage.log_every),
                ctypes.c_int64(capacity),
                *(_pointer(array) for logs in (reads, writes) for array in logs[-1]),
            )

        start = self.cycle
        status = library.runner_play(
            runner, ctypes.c_int64(play.limit), ctypes.c_int64(play.trailing)
        )
        fed = [library.runner_fed(runner, index) for index in range(len(feeds))]
        taken = [library.runner_taken(runner, index) for index in range(len(drains))]
        if status == 1:
            parts = [
                f"{source.stream} gave {done} of {len(source.payloads)}"
                for source, done in zip(play.sources, fed, strict=True)
            ] + [
                f"{sink.stream} took {done} of {sink.count}"
                for sink, done in zip(play.sinks, taken, strict=True)
            ]
            raise StuckError(f"no end after {play.limit} cycles: {'; '.join(parts)}")
        if status == 2:
            raise self._bad_address()
        return Outcome(
            start,
            self.cycle - start,
            sources={
                source.stream: cycles[:done].tolist()
                for source, cycles, done in zip(play.sources, feeds, fed, strict=True)
            },
            sinks={
                sink.stream: SinkLog(
                    cycles[:done].tolist(),
                    [int.from_bytes(row.tobytes(), "little") for row in payloads[:done]],
                    np.flatnonzero(mismatched[:done]).tolist(),
                )
                for sink, (cycles, payloads, mismatched), done in zip(
                    play.sinks, drains, taken, strict=True
                )
            },
            accesses={
                storage.port: _kept(log, library.runner_reads(runner, index))
                for index, (storage, log) in enumerate(zip(play.storages, reads, strict=True))
            },
            writes={
                storage.port: _kept(log, library.runner_writes(runner, index))
                for index, (storage, log) in enumerate(zip(play.storages, writes, strict=True))
                if storage.writable
            },
        )

    def _bad_address(self) -> StorageError:
        library, runner = self._library, self._runner
        storage = self._storages[library.runner_bad_memory(runner)]
        return StorageError(
            f"cycle {self.cycle}: {storage.port}"
            f" {'wrote' if library.runner_bad_write(runner) else 'read'} beat"
            f" {library.runner_bad_address(runner)}, beyond its"
            f" {storage.memory.nbytes // storage.beat_bytes}"
        )

    def _stream(self, stream: str) -> tuple[int, int, int]:
        valid, ready, payload = (
            self._index[f"{stream}__{part}"] for part in ("valid", "ready", "payload")
        )
        return valid, ready, payload

    def _pack(self, payloads: Sequence[int], port: str) -> np.ndarray:
        """Payloads as the model stores them: (payloads, bytes), at least one row."""
        size = self._bytes[port]
        data = b"".join(payload.to_bytes(size, "little") for payload in payloads) or bytes(size)
        return np.frombuffer(data, np.uint8).reshape(-1, size)


def _kept(log: tuple[np.ndarray, np.ndarray], count: int) -> list[tuple[int, int]]:
    """The (cycle, address) pairs of a log."""
    cycles, addresses = log
    return list(zip(cycles[:count].tolist(), addresses[:count].tolist(), strict=True))


def _stalls(stalls: np.ndarray | None) -> np.ndarray:
    return np.zeros(0, np.uint8) if stalls is None else np.ascontiguousarray(stalls, np.uint8)


def _pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)

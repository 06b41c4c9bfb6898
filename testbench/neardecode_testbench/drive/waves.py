"""Waveforms: every simulator writes VCD; FST is made from it."""

import re
from pathlib import Path

import pylibfst

__all__ = ["cut_vcd", "vcd_to_fst"]

_TIMESCALES = {"s": 0, "ms": -3, "us": -6, "ns": -9, "ps": -12, "fs": -15}


def cut_vcd(path: Path, end: int) -> None:
    """Takes off a VCD file what happens from a time on, in its own unit."""
    with path.open("r+b") as file:
        offset, in_header = 0, True
        for line in file:
            if in_header:
                in_header = not line.lstrip().startswith(b"$enddefinitions")
            elif line[:1] == b"#" and int(line[1:]) >= end:
                file.truncate(offset)
                return
            offset += len(line)


def vcd_to_fst(source: Path, target: Path) -> None:
    """Rewrites a VCD file as FST, which is a fraction of its size and opens at once.

    Raises:
        OSError: if the target cannot be written.
    """
    library, ffi = pylibfst.lib, pylibfst.ffi
    writer = library.fstWriterCreate(str(target).encode(), 1)
    if writer == ffi.NULL:
        raise OSError(f"{target}: cannot be written")
    handles: dict[str, tuple] = {}
    try:
        library.fstWriterSetPackType(writer, library.FST_WR_PT_LZ4)
        with source.open(encoding="utf-8") as lines:
            tokens = iter(lines)
            for line in tokens:
                words = line.split()
                if not words:
                    continue
                match words[0]:
                    case "$timescale":
                        text = line if "$end" in line else line + next(tokens)
                        if (scale := re.search(r"(\d+)\s*([munpf]?s)", text)) is not None:
                            power = _TIMESCALES[scale[2]] + len(scale[1]) - 1
                            library.fstWriterSetTimescale(writer, power)
                    case "$scope":
                        library.fstWriterSetScope(
                            writer, library.FST_ST_VCD_MODULE, words[2].encode(), ffi.NULL
                        )
                    case "$upscope":
                        library.fstWriterSetUpscope(writer)
                    case "$var":
                        _declare(writer, words, handles)
                    case "$enddefinitions":
                        break
            for line in tokens:
                _change(writer, line.strip(), handles)
    finally:
        library.fstWriterClose(writer)


def _declare(writer, words: list[str], handles: dict[str, tuple]) -> None:
    library, ffi = pylibfst.lib, pylibfst.ffi
    width, code, name = int(words[2]), words[3], " ".join(words[4:-1])
    alias = handles[code][0] if code in handles else 0
    handle = library.fstWriterCreateVar(
        writer, library.FST_VT_VCD_WIRE, library.FST_VD_IMPLICIT, width, name.encode(), alias
    )
    handles.setdefault(code, (handle, width, ffi))


def _change(writer, line: str, handles: dict[str, tuple]) -> None:
    library = pylibfst.lib
    if not line or line[0] == "$":
        return
    if line[0] == "#":
        library.fstWriterEmitTimeChange(writer, int(line[1:]))
        return
    if line[0] in "bB":
        bits, code = line[1:].split()
    elif line[0] in "01xzXZ":
        bits, code = line[0], line[1:]
    else:
        return
    handle, width, _ = handles[code]
    fill = "0" if bits[0] in "01" else bits[0]
    library.fstWriterEmitValueChange(writer, handle, bits.lower().rjust(width, fill).encode())

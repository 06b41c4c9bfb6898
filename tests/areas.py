"""Areas of the standard sizes, committed, so that a change of any is seen and meant.

``python -m tests.areas`` (``make areas``) writes them anew; with ``--check`` it measures all of
them and complains of what is more than one per cent away.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neardecode_testbench.cli.area_blocks import STANDARD, Size
from neardecode_testbench.cli.area_results import block_results, complain
from neardecode_testbench.drive.design import write_atomically

PATH = Path(__file__).with_name("areas.json")
KEYS = ("kge", "kge_high", "flip_flops", "sram_bits")
LARGEST_CHANGE = 0.01

FAST = [size for size in STANDARD if size.block in ("mesh_router", "softmax")]
"""What every run of the tests measures; the others take minutes."""


def measure(sizes: Sequence[Size]) -> dict[str, Any]:
    """What is committed of each size, by its title."""
    plain = [size._replace(fpga=False) for size in sizes]
    results = block_results(plain, None, os.cpu_count() or 1)
    complain(plain, results)
    return {
        size.title: {key: one[key] for key in KEYS}
        for size, one in zip(sizes, results, strict=True)
    }


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """A line for each figure that is more than one per cent away from what it was."""
    return [
        f"{title}: {key}: {before.get(title, {}).get(key, 'nothing')} -> {value}"
        for title, figures in now.items()
        for key, value in figures.items()
        if (old := before.get(title, {}).get(key)) is None
        or abs(value - old) > LARGEST_CHANGE * old
    ]


def committed() -> dict[str, Any]:
    """The areas of the file."""
    return json.loads(PATH.read_text())


def main() -> None:
    """Measures everything, and writes the file or complains."""
    before = committed() if PATH.exists() else {}
    now = measure(STANDARD)
    lines = differences(before, now)
    print("\n".join(lines))
    if "--check" in sys.argv[1:]:
        sys.exit(bool(lines))
    write_atomically(PATH, json.dumps(now, indent=2) + "\n")


if __name__ == "__main__":
    main()

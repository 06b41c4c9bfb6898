"""Errors that a user can mend, and how they are told."""

from neardecode.config import ConfigError
from neardecode_synth.vcd import WavesError
from neardecode_synth.yosys import SynthesisError
from neardecode_testbench.drive.stimulus import StorageError, StuckError
from neardecode_testbench.drive.toolchain import ToolError
from neardecode_testbench.drive.traffic import TrafficError
from neardecode_testbench.experiments.figure import FigureError
from neardecode_testbench.reference.gguf_model import ModelError
from neardecode_testbench.scenarios.attention import CapacityError
from neardecode_testbench.scenarios.counters import CounterError

__all__ = ["KNOWN_ERRORS", "InputError", "one_line"]


class InputError(ValueError):
    """An option or a file that cannot be used, in one line that says why."""


KNOWN_ERRORS = (
    CapacityError,
    ConfigError,
    CounterError,
    FigureError,
    InputError,
    ModelError,
    OSError,
    StorageError,
    StuckError,
    SynthesisError,
    ToolError,
    TrafficError,
    WavesError,
)


def one_line(error: BaseException) -> str:
    """An error's text without its line ends."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())

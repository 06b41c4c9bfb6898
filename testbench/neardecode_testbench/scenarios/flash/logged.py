"""What the controller's logs must tell of the errors that the host was told of."""

from neardecode.config import Flash
from neardecode.flash.admin.logs import ErrorEntry, ErrorKind
from neardecode.flash.status import AdminStatus, ReadStatus
from neardecode_testbench.scenarios.flash.traffic import ERROR_LOG, FLASH, SMART_LOG, Command

__all__ = ["Logged"]

SMART_ERRORS = 13
"""The 64-bit word of the smart log whose lower half counts errors."""
FIELDS = ("status", "info", "address")


class Logged:
    """The errors of a channel's flash commands since reset.

    Those of reads are logged in the order of their answers, those of writes too; how the two lie
    between each other only the log itself tells, and that none is missing.

    Args:
        flash: The channel's configuration.
    """

    def __init__(self, flash: Flash):
        self._flash = flash
        self._entry = ErrorEntry(flash)
        self._answered: dict[bool, list[int]] = {False: [], True: []}
        self._errors: dict[bool, list[tuple[int, ...]]] = {False: [], True: []}

    def round(self, commands: list[Command]) -> None:
        """Adds what went wrong in a round."""
        for command in sorted(commands, key=lambda command: command.answered[-1]):
            good = (ReadStatus.OK.value,) + (ReadStatus.CORRECTED.value,) * (not command.write)
            if command.kind == FLASH and command.status not in good:
                page = command.address // self._flash.page_bytes % self._flash.pages
                self._answered[command.write].append(command.answered[-1])
                self._errors[command.write].append((command.status, command.info, page))

    def is_read_by(self, command: Command) -> bool:
        """Whether a command reads a log."""
        return not command.write and command.address in (SMART_LOG, ERROR_LOG)

    def difference(self, command: Command) -> str | None:
        """What is wrong about a log that was read, or None."""
        # An error may be logged some cycles before it is told.
        told = {
            write: sum(cycle < command.accepted for cycle in cycles)
            for write, cycles in self._answered.items()
        }
        read, written = (
            range(told[write], len(self._errors[write]) + 1) for write in (False, True)
        )
        least, most = read[0] + written[0], read[-1] + written[-1]
        if command.address == SMART_LOG:
            bits = sum(
                word << 8 * self._flash.beat_bytes * beat
                for beat, word in enumerate(command.answer)
            )
            count = bits >> 64 * SMART_ERRORS & 0xFFFFFFFF
            if command.status or not least <= count <= most:
                return f"status {command.status}, {count} errors, not {least} to {most}"
            return None
        if command.status:
            empty = not least and command.status == AdminStatus.DENIED.value
            return None if empty else f"status {command.status} with {least} errors"
        entries = [self._fields(word) for word in command.answer]
        number = entries[0]["number"]
        for reads in read:
            if number - reads in written and self._tells(entries, reads, number - reads):
                return None
        return f"not the latest of {least} to {most} errors: {entries}"

    def _tells(self, entries: list[dict[str, int]], reads: int, writes: int) -> bool:
        """Whether entries are the newest first of so many reads' and writes' errors."""
        left = {False: reads, True: writes}
        entries = list(entries)
        # Behind the oldest error, and where a newer one took its place, there is nothing.
        while entries and not any(entries[-1].values()):
            entries.pop()
        for entry in entries:
            write = entry["kind"] == ErrorKind.WRITE.value
            number = left[False] + left[True]
            if not left[write] or entry["zero"] or entry["number"] != number:
                return False
            left[write] -= 1
            if tuple(entry[name] for name in FIELDS) != self._errors[write][left[write]]:
                return False
        return True

    def _fields(self, bits: int) -> dict[str, int]:
        return {
            str(name): bits >> place.offset & (1 << place.width) - 1 for name, place in self._entry
        }

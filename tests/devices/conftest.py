"""Small core dies of every configuration."""

import pytest

from neardecode.config import Ecc, Flash, Host, Repair

HOST = Host(pages_a_block=4, zones=2, spare_blocks=1)
ECC = Ecc(correctable=4, codeword_bytes=64)
SECTIONS = {
    "host": {"host": HOST},
    "ecc": {"ecc": ECC},
    "repair": {"repair": Repair(groups=4)},
    "host, ecc": {"host": HOST, "ecc": ECC},
    "host, ecc, repair": {"host": HOST, "ecc": ECC, "repair": Repair(groups=2, spares=2)},
}


@pytest.fixture
def flash_with():
    """Makes a flash section with host, ecc and repair as they are listed."""

    def flash_with(sections, banks=4, page_beats=4, **changes):
        numbers = {"dies": 1, "banks_a_die": banks, "pages_a_bank": 16, "beat_bytes": 32}
        return Flash(**{**numbers, "page_bytes": 32 * page_beats, **SECTIONS[sections], **changes})

    return flash_with

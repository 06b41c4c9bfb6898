"""No command that the bank states allow is too early, shown for every sequence of some length."""

from neardecode.config import StackCycles
from neardecode.stack.banks import BankStates
from neardecode_testbench.benches.vault import TINY
from neardecode_testbench.drive.prove import prove
from neardecode_testbench.scenarios.properties.bank_states import BankStatesProperties

SMALL = TINY.stack.model_copy(
    update={"banks_a_group": 2, "pages_a_bank": 2, "page_bytes": 32, "bank_groups": 2}
)
SHORT = StackCycles(
    rcd=2,
    rp=2,
    cl=2,
    cwl=1,
    ras=3,
    rc=4,
    ccd_s=1,
    ccd_l=2,
    rrd=2,
    faw=9,
    wr=1,
    wtr=1,
    rtp=2,
    refi=100,
    rfc=4,
    rfc_bank=3,
    refresh_gap=2,
)


def test_no_command_is_early_whatever_the_commands_before():
    prove(BankStatesProperties(BankStates(SMALL, SHORT), SMALL, SHORT), 8, "bmc")

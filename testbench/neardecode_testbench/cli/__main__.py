"""The neardecode command, as ``python -m neardecode_testbench.cli``."""

from neardecode_testbench.cli import main

main()

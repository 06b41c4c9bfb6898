"""The whole model in the exact integers of the hardware; the chain is stated in `decoder`."""

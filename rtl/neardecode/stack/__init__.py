"""DRAM vaults: controller, TSV bus, refresh."""

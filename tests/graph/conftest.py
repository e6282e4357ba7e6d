"""The folders below import what is beside this file, as `gated_networks`."""

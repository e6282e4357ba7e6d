"""Functional models read and rewritten: sections found, gated and removed."""

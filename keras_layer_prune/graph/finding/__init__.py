"""Sections that could leave a model, and why others could not."""

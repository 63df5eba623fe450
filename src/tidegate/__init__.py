"""Tidegate keeps a target in step with a source, continuously, and gives one place to operate that."""

__version__ = "0.1.0"

"""Measures which layout of a chat history makes a memory that can be asked: ``python -m tests.recall``, ``make recall``."""

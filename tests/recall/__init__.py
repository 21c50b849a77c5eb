"""Measures which layout of a chat history makes a memory that can be asked: ``make recall``."""

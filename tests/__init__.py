"""Tests of the project, and the programs that measure it."""

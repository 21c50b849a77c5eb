"""Reads JSON of any size and of doubtful quality."""

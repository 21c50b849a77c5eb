"""Measures speed and memory, and checks the delivery guarantees under faults."""

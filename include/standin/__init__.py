"""
A stand-in for the EverOS v1 API: it behaves as EverOS does wherever an import can fail, and produces faults on request.

It is not EverOS: it has no model. An episode ends at a long silence and repeats what people wrote.
"""

from include.standin.faults import Fault
from include.standin.journal import Entry, Verdict, conversation_key, judge
from include.standin.server import StandIn
from include.standin.settings import Latency

__all__ = ["Entry", "Fault", "Latency", "StandIn", "Verdict", "conversation_key", "judge"]

"""
A stand-in for the EverOS v1 API: it behaves as the real one does where an importer can be hurt, and fails on request.

It is not EverOS: memories are cut by silences and made of sentences that people wrote, no model is involved.
"""

from include.standin.faults import Fault
from include.standin.journal import Entry, Verdict, conversation_key, judge
from include.standin.server import StandIn
from include.standin.settings import Latency

__all__ = ["Entry", "Fault", "Latency", "StandIn", "Verdict", "conversation_key", "judge"]

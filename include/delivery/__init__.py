"""Delivery: every planned batch once, in order, whatever breaks; and the ledger that remembers it across runs."""

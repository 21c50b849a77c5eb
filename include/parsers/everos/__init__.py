"""EverOS JSON: conversations in the form of the memory API."""

"""
A stand-in for the language model of a self-hosted EverOS, used if no model is configured. It is not a model.

It answers EverOS's prompts with text that people wrote: a boundary at a new day or a long silence, an episode of
``speaker: text`` lines, facts that are their sentences. The memory system is the real one, so that an answer found
there proves that the messages arrived and became memory; it proves nothing about understanding.
"""

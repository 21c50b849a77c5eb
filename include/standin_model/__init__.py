"""
A stand-in for the language MODEL behind a self-hosted EverOS, where nobody has configured one. Not a model.

It answers the questions that EverOS asks of a model with nothing but what people wrote: a cut where the day changes or
hours pass, an episode that says who said what, facts that are their sentences. The memory system around it is the real
one, so that an answer found there proves that the messages arrived and became memory, and nothing about understanding.
"""

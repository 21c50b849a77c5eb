"""Figures and proofs: how fast the project is, and what its promise is worth when everything fails."""

"""Measures extract, transform and plan on generated exports; prints figures, asserts nothing."""

"""Slack: exports, and messages as tools and the API return them."""

"""Programs that run beside this one: they end with it, and one command at a time works in a home folder."""

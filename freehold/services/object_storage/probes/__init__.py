"""Programs that run on hosts, with Debian's Python and nothing of Freehold but themselves."""

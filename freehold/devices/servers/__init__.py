"""Servers over SSH: an agent program reads and changes, this side decides what."""

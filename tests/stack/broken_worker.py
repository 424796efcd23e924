"""A worker that always fails."""

raise RuntimeError("no hardware today")

"""When an instance shall change its size: from what was observed of it to a decision. Pure, no I/O, no clock."""

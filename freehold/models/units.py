"""Units that figures are given in."""

GIB = 1 << 30
HOUR_S, DAY_S = 3600, 86400

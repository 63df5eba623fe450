"""Attacks on a whole installation: real servers, real workers, one copy after another, and an audit of each.

`stage` holds the machinery, `victim` a task under fire, `fire` the kinds of faults, `campaign` who is struck when and
what came of it. `python -m tidegate.testing.crash --minutes 60 --seed 7` runs one.
"""

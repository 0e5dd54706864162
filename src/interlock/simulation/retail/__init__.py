"""A whole retail estate with virtual time, for `interlock simulate`: actors, faults, an independent auditor, and stories.

    result = simulate(Plan(seed=1, days=30, profile="storm"), memory)

`simulation.py` is the run; `shops`, `tills`, `floors`, `returns` and `office` act; `post` carries their messages and lets
`profiles` go wrong with them; `auditor` holds Interlock to its word; `trace` and `shrink` make a short story of a failure.
"""

"""PostgreSQL and nothing else: every function here takes and gives sets."""

"""The edges: the only code that knows a peer's language."""

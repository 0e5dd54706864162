"""The versioned contracts of everything that comes in: the estate file, and the schemas that are published
with it.
"""

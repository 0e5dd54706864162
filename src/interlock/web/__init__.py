"""The HTTP API: JSON in, answers and problems out."""

"""Contracts of what partners send: read, checked, and drafted from samples. Nothing here knows of a transport or a database."""

"""Transports: how bytes come in and go out; directories and HTTP calls."""

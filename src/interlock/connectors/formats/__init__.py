"""Formats: bytes to rows or segments and back, without any knowledge of orders and without I/O of their own."""

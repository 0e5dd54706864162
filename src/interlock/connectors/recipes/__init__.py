"""Mappings at work: a recipe makes canonical records of documents, a template makes documents of canonical messages."""

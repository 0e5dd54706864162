"""Interlock: the order orchestration control plane between sales channels, legacy POS and warehouses."""

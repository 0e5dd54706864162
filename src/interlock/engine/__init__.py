"""The middle of the way: micro-batches, each in one transaction of one part."""

"""A retailer's estate to talk to: `estate_program` is a program of its own that knows Interlock's public edges only."""

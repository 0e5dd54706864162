"""The demo: real baskets, made into a retailer's estate by stated rules, and sent the whole way from order to door.

`slice.prepare` writes everything that the simulated estate needs; docs/demo.md tells the rules.
"""

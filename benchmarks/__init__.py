"""Benchmarks: what the speaker's promises are worth on this machine; see `run`.

It must never be imported by the product.
"""

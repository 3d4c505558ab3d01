"""Benchmarks: what the speaker's promises are worth on this machine; see `run` (purpose).

Owner thread: none.  Must never be imported by the product.
"""

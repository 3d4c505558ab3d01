"""Hearing: how often the speaker cuts itself, and how soon a person over it is heard.

`python -m benchmarks.hearing`; see `__main__`.  It must never be imported by the product.
"""

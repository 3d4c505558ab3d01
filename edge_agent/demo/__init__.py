"""The demo: a household talks to the speaker, and every promise is measured.

`main` plays it; `stage.Stage` is the same house for benchmarks and end-to-end tests.
"""

from edge_agent.demo.run import main

__all__ = ["main"]

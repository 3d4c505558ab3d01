"""An arm64 machine for `scripts/lab-arm.sh`: how it is made and driven, and what is played in it.

`build.sh` and `machine.sh` run on the host, `guest/` in the machine with Debian's Python alone,
`boards.py` turns what was counted into benchmarks/boards.md.
"""

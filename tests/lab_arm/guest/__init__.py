"""Programs that run inside the machine of `scripts/lab-arm.sh`, as root, on Debian's own Python."""

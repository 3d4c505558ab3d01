"""One session kept alive for ever: dial, watch, roll over, fall back."""

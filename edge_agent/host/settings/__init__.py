"""Settings: what an owner may choose, read in layers, explained, and refused with a remedy."""

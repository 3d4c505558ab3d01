"""Speech over HTTPS: voice packs and transcripts."""

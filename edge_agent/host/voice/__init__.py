"""Our own sentences, in five languages, from recordings or from espeak-ng."""

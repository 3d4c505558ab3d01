"""The sound of one speaker: device, microphone side and loudspeaker put together."""

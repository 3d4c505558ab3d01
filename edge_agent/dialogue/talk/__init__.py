"""The journeys of a talk, one file each, standing on `talk_core`."""

"""The host room: what surrounds the talk: settings, journal, systemd, health, state, sentences.  Imports only `contract` and itself."""

"""The host room: settings, journal, systemd, health, state, sentences.

Imports only `contract` and itself.
"""

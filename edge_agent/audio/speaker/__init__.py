"""The one owner of the loudspeaker, its ledger and its cut."""

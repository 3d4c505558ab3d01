"""The journeys of a talk, a plain class each; `dialogue.manager` says which event goes where."""

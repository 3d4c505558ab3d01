"""The referee: an independent judge of what the speaker promises.

It sees only what crosses a border (events and commands, frames on the wire, samples, tool runs,
files, journal lines) and shares no code with the speaker but `contract`.

    referee = Referee(Household(risks={"unlock": "high"}))
    agent.observers.append(referee.observe)      # or call it after every `handle`
    ...
    referee.end(at)
    referee.check()                              # AssertionError with every broken promise

`household` says what was wished, `records` what can be seen, `scene` what several rules look at,
`rules_*` hold one promise each, `tape` writes the events of a failing run into a file.
"""

from referee.household import Household
from referee.referee import Broken, Referee

__all__ = ["Broken", "Household", "Referee"]

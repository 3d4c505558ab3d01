"""The simulated Realtime server, in parts (purpose); the door is `simulation.server`.

Owner thread: the event loop that serves the session.  Must never import `edge_agent.realtime`:
a test double that shares code with the client would share its mistakes.
"""

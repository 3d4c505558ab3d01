"""The simulated Realtime server, in parts; the door is `simulation.server`.

Thread: the event loop that serves the session.  It must never import `edge_agent.realtime`: a test
double that shares code with the client would share its mistakes.
"""

"""The wire protocol without a wire: typed messages, one session's rules."""

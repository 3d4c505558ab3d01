"""The panel room: button and light.  Imports only `contract` and itself."""

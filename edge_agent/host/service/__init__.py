"""The program as a service: systemd, health, workers, network news, the local socket."""

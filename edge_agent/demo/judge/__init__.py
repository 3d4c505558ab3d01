"""What really sounded, measured."""

"""Tool calls and the consent to them."""

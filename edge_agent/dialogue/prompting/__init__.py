"""The persona in words: composed, checked, criticised, walked step by step."""

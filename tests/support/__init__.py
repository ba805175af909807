"""What the tests of the whole need: building programs, recording them, expected figures."""

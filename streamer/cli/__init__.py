"""The command line: terminal only, no logic of its own."""

"""One command each, printing JSON. Compare figures only within one run."""

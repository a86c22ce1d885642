"""The embedded checkpoint: its pictures, its curriculum and its evaluation."""

"""Checkpoints in the formats of other engines: `python -m app.export gguf`."""

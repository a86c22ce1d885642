"""Conversations outside the session: the form in which a browser keeps them, files to share, code that repeats them."""

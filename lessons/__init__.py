"""The lessons, and the claims of the source texts as programs."""

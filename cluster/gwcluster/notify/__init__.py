"""Tells a person, by a webhook, what needs one: few messages, each worth reading, never in anybody's way."""

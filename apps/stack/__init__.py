"""
The launcher behind `make run`, `start`, `stop` and `status`: servers, supervision, the first picture.

It needs the standard library, the server wheels and `cryptography` only, and nothing of the product:
what it starts is a table of commands (`commands.py`), and what it knows it tells by `var/stack.env`.
"""

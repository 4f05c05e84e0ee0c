"""How a picture comes in: as a part of a form, inline, or from an address that the client names."""

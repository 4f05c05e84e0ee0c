"""A mark that is the same on many photos: learned once, found and taken away everywhere."""
